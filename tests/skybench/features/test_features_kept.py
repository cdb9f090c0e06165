"""Features on disk: when they are used again, and what a fill that fails leaves behind."""

from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from skybench.core import BandMapping, Batch, Conversion, Features
from skybench.core.dataset import Samples
from skybench.features import extraction
from skybench.features.extraction import split_features
from skybench.features.extractor import Extractor
from skybench.features.sources import CachedFeatures
from skybench.plan.request import Request
from skybench.runner.run_cells import run_cells

from .._toys import Noise, Toy, entries, gathered, looking, parts

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.mark.parametrize("level", ["pooled", "pyramid"])
def test_a_second_call_needs_no_forward_pass(level: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    model = Toy()
    first, _ = split_features(looking(model), Noise(5), {"model": "toy"}, level)
    calls = len(model.calls)
    monkeypatch.setenv("SKYBENCH_BUDGET_GB", "0")  # what is stored is used all the same
    again, cached = split_features(looking(model), Noise(5), {"model": "toy"}, level)
    assert cached
    assert len(model.calls) == calls
    assert torch.equal(first.pooled(), again.pooled())


def test_pooled_features_are_always_stored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SKYBENCH_BUDGET_GB", "0")
    found, _ = split_features(looking(Toy()), Noise(5), {}, "pooled")
    assert isinstance(found, CachedFeatures)
    assert found.pyramid([0]) == ()


def test_anything_that_affects_features_makes_another_entry(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    path.write_bytes(b"x")
    samples = Noise(5, files=[path])
    one = looking(Toy())
    other = replace(one, mapping={"hr": BandMapping("air", (0, 1, 2), Conversion(1.0))})
    scaled = replace(one, mapping={"hr": BandMapping("air", (2, 1, 0), Conversion(2.0))})
    identity = {"model": "toy"}
    cases: list[tuple[Extractor, Samples, dict[str, Any], Any]] = [
        (one, samples, identity, "pooled"),
        (one, samples, {**identity, "model": "toy 2"}, "pooled"),
        (looking(Toy(), 6), samples, identity, "pooled"),
        (other, samples, identity, "pooled"),
        (scaled, samples, identity, "pooled"),
    ]
    for extractor, part, known, level in cases:
        assert not split_features(extractor, part, known, level)[1]
    for extractor, part, known, level in cases:
        assert split_features(extractor, part, known, level)[1]
    assert split_features(replace(one, device="meta"), samples, identity, "pooled")[1]
    path.write_bytes(b"yy")
    assert not split_features(one, samples, identity, "pooled")[1]
    assert len(entries()) == len(cases) + 1


def test_the_size_on_disk_is_known_from_one_sample() -> None:
    samples = Noise(7, masks=True)
    expected = extraction.dense_bytes(looking(Toy()), samples)
    split_features(looking(Toy()), samples, {}, "pyramid")
    assert expected == sum(np.load(p).nbytes for part in parts() for p in part.glob("level*.npy"))


@pytest.mark.parametrize("error", [RuntimeError("broken"), KeyboardInterrupt()])
def test_an_interrupted_fill_leaves_only_whole_batches(error: BaseException) -> None:
    class Breaking(Toy):
        def forward(self, batch: Batch) -> Features:
            if len(self.calls) == 1:
                raise error
            return super().forward(batch)

    with pytest.raises(type(error)):
        split_features(looking(Breaking()), Noise(20), {}, "pooled")
    model = Toy()
    found, cached = split_features(looking(model), Noise(20), {}, "pooled")
    assert not cached
    assert isinstance(found, CachedFeatures)
    assert (found.extracted, len(model.calls)) == (4, 1)
    torch.testing.assert_close(found.pooled(), gathered(Toy(), Noise(20))[0])
    assert len(entries()) == 1


@pytest.mark.parametrize("name", ["pooled.npy", "meta.json"])
@pytest.mark.parametrize("kept", [None, 0, 100])
def test_an_entry_that_a_crash_cut_off_is_made_again(name: str, kept: int | None) -> None:
    first = split_features(looking(Toy()), Noise(5), {}, "pooled")[0].pooled()
    (part,) = parts()
    path = part / name
    whole, pooled = path.read_bytes(), (part / "pooled.npy").read_bytes()
    path.unlink()
    if kept is not None:
        path.write_bytes(whole[:kept])
    again, cached = split_features(looking(Toy()), Noise(5), {}, "pooled")
    assert not cached
    assert torch.equal(again.pooled(), first)
    (made,) = parts()
    assert (made / "pooled.npy").read_bytes() == (whole if name == "pooled.npy" else pooled)


def test_two_fills_of_one_entry_at_the_same_time_are_both_fine() -> None:
    results: list[Any] = []

    class Beside(Toy):
        def forward(self, batch: Batch) -> Features:
            if len(self.calls) == 1:  # half-way, another one begins and ends
                results.append(split_features(looking(Toy()), Noise(20), {}, "pooled"))
            return super().forward(batch)

    results.append(split_features(looking(Beside()), Noise(20), {}, "pooled"))
    expected = gathered(Toy(), Noise(20))[0]
    for found, cached in results:
        assert not cached
        torch.testing.assert_close(found.pooled(), expected)
    assert len(results) == 2
    assert len(entries()) == 1


def test_another_process_may_win_at_the_very_last_moment(monkeypatch: pytest.MonkeyPatch) -> None:
    rename = Path.rename

    def beaten(self: Path, target: Path) -> Path:
        monkeypatch.setattr(Path, "rename", rename)
        split_features(looking(Toy()), Noise(5), {}, "pooled")
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", beaten)
    found, _ = split_features(looking(Toy()), Noise(5), {}, "pooled")
    assert len(found) == 5
    assert len(entries()) == 1


def test_a_place_that_cannot_be_written_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(self: Path, target: Path) -> Path:
        raise PermissionError(13, os.strerror(13), str(target))

    monkeypatch.setattr(Path, "rename", fail)
    with pytest.raises(PermissionError):
        split_features(looking(Toy()), Noise(5), {}, "pooled")
    assert parts() == []


def test_a_full_disk_fails_the_entry_and_leaves_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "posix_fallocate", full, raising=False)
    with pytest.raises(OSError, match="No space left"):
        split_features(looking(Toy()), Noise(5), {}, "pyramid")
    assert parts() == []


def test_an_option_that_changes_images_makes_another_entry(tmp_path: Path) -> None:
    asked = Request(
        models=("rcf",), tasks=("semantic_segmentation",), datasets=("dyna_s2",), data="demo",
        protocol="linear", limit=2, results=tmp_path, overrides={"epochs": "1"},
    )  # fmt: skip
    runs = [
        run_cells(replace(asked, options={"s2_bands": order}))[0]
        for order in ("l2a", "by_resolution")
    ]
    one, other = (record.used["features"]["sha256"] for record in runs)
    assert one != other
