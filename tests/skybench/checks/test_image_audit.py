from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from skybench.checks import image_audit
from skybench.core import UINT8, DatasetCard, Sample, Sensor, dataset
from skybench.plan.cell import Cell
from skybench.plan.planner import Planner
from skybench.plan.request import Request

RGB = Sensor("hr", ("red", "green", "blue"), 0.5, UINT8)


class Noise(dataset.Samples):
    """Seeded images [1, 3, 16, 16]; counts what is read."""

    card = DatasetCard("toy", "", (), (RGB,), ("a",), {}, "", "", "", "")
    split = dataset.Split("train", "ours", "", False)

    def __init__(self, count: int, first: int = 0) -> None:
        self.keys, self.first = tuple(f"n{i:05}" for i in range(count)), first
        self.decoded: list[int] = []

    def read(self, index: int) -> Sample:
        self.decoded.append(index)
        made = torch.Generator().manual_seed(self.first + index)
        image = torch.randint(0, 256, (1, 3, 16, 16), generator=made).to(torch.uint8)
        return Sample(self.keys[index], {"hr": image}, 0)


def test_all_of_small_splits_is_looked_at() -> None:
    found = image_audit.read_images(Noise(30), Noise(12, 1000), ["hr"])
    assert found["looked"] == {"train": [30, 30], "test": [12, 12]}
    assert found["sensors"]["hr"]["images"] == 42
    assert found["twins"]["exact"] == 0
    assert image_audit.read_images(Noise(30), Noise(12, 20), ["hr"])["twins"]["exact"] == 10


def test_of_large_splits_a_part_from_all_over_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_audit, "MOST", 50)
    train, test = Noise(5000), Noise(200, 9000)
    found = image_audit.read_images(train, test, ["hr"])
    assert found["looked"] == {"train": [50, 5000], "test": [50, 200]}
    places = sorted(train.decoded)
    assert max(b - a for a, b in itertools.pairwise((0, *places, 5000))) < 2.7 * 5000 / 50


def test_slow_images_end_it_but_not_before_some_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_audit, "_clock", lambda: lambda: True)
    found = image_audit.read_images(Noise(500), Noise(500, 1000), ["hr"])
    assert found["looked"] == {"train": [8, 500], "test": [8, 500]}
    assert found["sensors"]["hr"]["images"] == image_audit.LEAST


def cell() -> Cell:
    request = Request(models=["rcf"], tasks=["scene_classification"], datasets=["eurosat"],
                      data="demo")  # fmt: skip
    return Planner(request).cells()[0]


def test_it_is_done_once_for_the_same_files_and_again_for_others(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mine = cell()
    monkeypatch.setenv("SKYBENCH_CACHE", str(tmp_path))
    looks: list[int] = []
    look = image_audit.read_images

    def counting(*given: Any) -> dict[str, Any]:
        looks.append(1)
        return look(*given)

    monkeypatch.setattr(image_audit, "read_images", counting)
    first = image_audit.audit_images(mine)
    assert image_audit.audit_images(mine) == first
    assert len(looks) == 1
    train = mine.splits["train"]
    fewer = {**mine.splits, "train": dataset.Subset(train, range(20))}
    assert image_audit.audit_images(replace(mine, splits=fewer))["looked"]["train"] == [20, 20]
    monkeypatch.setattr(type(train), "stamp", lambda self: "another")
    image_audit.audit_images(mine)
    assert len(looks) == 3
    assert [p.suffix for p in (tmp_path / "audit").iterdir()] == [".json"] * 3


FOREIGN = ("null", "[]", '{"facts": null}', '{"facts": {}, "sha256": "00"}', "[" * 9999, "\udcff")


def instead(text: str) -> Callable[[bytes], bytes]:
    return lambda _: text.encode("utf-8", "surrogateescape")


SPOILED: dict[str, Callable[[bytes], bytes]] = {
    "empty": instead(""),
    "cut off by a crash": lambda whole: whole[:100],
    "edited": lambda whole: whole.replace(b'"exact": 0', b'"exact": 7'),
    **{f"foreign {n}": instead(text) for n, text in enumerate(FOREIGN)},
}


@pytest.mark.parametrize("spoil", SPOILED.values(), ids=SPOILED)
def test_what_is_no_audit_in_the_cache_is_made_again(
    spoil: Callable[[bytes], bytes], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mine = cell()
    monkeypatch.setenv("SKYBENCH_CACHE", str(tmp_path))
    first = image_audit.audit_images(mine)
    (path,) = (tmp_path / "audit").iterdir()
    whole = path.read_bytes()
    path.write_bytes(spoil(whole))
    assert path.read_bytes() != whole
    assert image_audit.audit_images(mine) == first
    assert path.read_bytes() == whole


def test_a_cache_that_cannot_be_written_costs_nothing_but_time(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    mine = cell()
    monkeypatch.setenv("SKYBENCH_CACHE", str(tmp_path))
    first = image_audit.audit_images(mine)
    (path,) = (tmp_path / "audit").iterdir()
    path.unlink()
    path.mkdir()
    assert image_audit.audit_images(mine) == first


def test_a_model_that_needs_one_sensor_makes_no_other_be_read() -> None:
    request = Request(models=["imagenet"], tasks=["multimodal_classification"], data="demo",
                      datasets=["ben_mm"])  # fmt: skip
    (mine,) = Planner(request).cells()[:1]
    assert set(image_audit.audit_images(mine)["sensors"]) == {"s2"}
