from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from skybench.checks import feature_collapse
from skybench.core import (
    UINT8,
    Batch,
    DatasetCard,
    Features,
    ModelCard,
    Sample,
    Sensor,
    dataset,
    fingerprint,
    folders,
    match,
)
from skybench.core.model import Model
from skybench.features import extraction
from skybench.features.extractor import Extractor
from skybench.features.sources import StreamedFeatures

RGB = Sensor("hr", ("red", "green", "blue"), 0.5, UINT8)
CARD = ModelCard("toy", "Toy", "extra", (RGB,), 32, (), "ours", "ours", "none")
FOUND = match(CARD, (RGB,))


class Noise(dataset.Samples):
    """Seeded images [1, 3, 8, 8]; from `repeats` on they come again."""

    card = DatasetCard("toy", "", (), (RGB,), ("a",), {}, "", "", "", "")
    split = dataset.Split("test", "ours", "", False)

    def __init__(self, count: int, repeats: int = 10**9) -> None:
        self.keys, self.repeats = tuple(f"n{i:03}" for i in range(count)), repeats

    def read(self, index: int) -> Sample:
        made = torch.Generator().manual_seed(index % self.repeats)
        image = torch.randint(0, 256, (1, 3, 8, 8), generator=made).to(torch.uint8)
        return Sample(self.keys[index], {"hr": image}, 0)


class Toy(Model):
    """Random projections of the pixels, 32 of them, then whatever `after` does."""

    def __init__(self, after: Callable[[Tensor], Tensor] = lambda x: x) -> None:
        super().__init__(CARD)
        self.after = after
        made = torch.Generator().manual_seed(0)
        self.register_buffer("weight", torch.randn(192, 32, generator=made) / 192)

    def forward(self, batch: Batch) -> Features:
        x = batch.images["hr"].flatten(1)
        return Features(self.after(x @ self.get_buffer("weight")), ())


def looked(model: Model, given: Noise, test: list[int] | None = None) -> dict[str, Any]:
    extractor = Extractor(model, FOUND, "fuse", 0, "cpu")
    whole = StreamedFeatures(extractor, given)
    return feature_collapse.feature_statistics(
        whole, extractor, given, list(range(len(given))) if test is None else test
    )


def test_healthy_features_are_described_and_nothing_is_said() -> None:
    facts = looked(Toy(), Noise(40))
    assert (facts["images"], facts["dimensions"], facts["rows"]) == (40, 32, 40)
    assert facts["constant"] == 0
    assert facts["twins"] == 0
    assert 10 < facts["rank"] <= 32
    assert facts["spread"] > 0.1
    assert facts["seen"] == {"hr": [[8, 8], [8, 8]]}
    assert feature_collapse.collapse_reason(facts, random=False) == ""


@pytest.mark.parametrize(
    ("after", "said"),
    [
        (lambda x: torch.ones_like(x), "100 % of the 32 dimensions are constant"),
        (lambda x: x * (torch.arange(32) < 1), "97 % of the 32 dimensions are constant"),
        (lambda x: 1e4 + x, "images differ by 0.00"),
        (lambda x: x[:, :1] * torch.arange(1, 33), "effective rank 1.0 of 32 dimensions"),
        (lambda x: (x > 1e9).float() + x * float("nan"), "40 of 40 feature vectors are not finite"),
    ],
    ids=["constant", "almost all constant", "hardly different", "one number", "not a number"],
)
def test_collapsed_features_are_told_with_figures(
    after: Callable[[Tensor], Tensor], said: str
) -> None:
    assert said in feature_collapse.collapse_reason(looked(Toy(after), Noise(40)), random=False)


def test_different_images_with_the_same_features_are_twins() -> None:
    def some(x: Tensor) -> Tensor:
        return torch.where(torch.arange(len(x))[:, None] % 16 < 2, x[:1], x)

    facts = looked(Toy(some), Noise(32))
    assert facts["twins"] == pytest.approx(4 / 32)
    assert "12.5 % of the images have the features of another" in feature_collapse.collapse_reason(
        facts, False
    )


def test_the_same_image_twice_is_no_twin() -> None:
    facts = looked(Toy(), Noise(40, repeats=20))
    assert facts["twins"] == 0
    assert feature_collapse.collapse_reason(facts, random=False) == ""


def test_a_random_network_is_only_told_of_when_nothing_varies() -> None:
    close, constant = (
        looked(Toy(lambda x: 1e4 + x), Noise(40)),
        looked(Toy(torch.ones_like), Noise(40)),
    )
    assert feature_collapse.collapse_reason(close, random=True) == ""
    assert "constant" in feature_collapse.collapse_reason(constant, random=True)


def test_of_a_few_images_nothing_is_said() -> None:
    assert (
        feature_collapse.collapse_reason(
            looked(Toy(torch.ones_like), Noise(feature_collapse.FEWEST - 1)), False
        )
        == ""
    )
    assert (
        feature_collapse.collapse_reason(
            looked(Toy(torch.ones_like), Noise(feature_collapse.FEWEST)), False
        )
        != ""
    )


def test_only_the_test_images_count_and_at_most_so_many(monkeypatch: pytest.MonkeyPatch) -> None:
    given = Noise(30)
    facts = looked(Toy(), given, [3, 4, 5, 6, 7, 8])
    assert facts["keys"] == fingerprint.fingerprint_keys(given.keys[3:9])
    monkeypatch.setattr(feature_collapse, "COMPUTED", 3)
    facts = looked(Toy(), given, [3, 4, 5, 6, 7, 8])
    assert facts["keys"] == fingerprint.fingerprint_keys([given.keys[i] for i in (3, 5, 7)])


def test_kept_and_computed_features_have_one_fingerprint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKYBENCH_CACHE", str(tmp_path))
    given, every = Noise(20), list(range(20))
    extractor = Extractor(Toy(), FOUND, "fuse", 0, "cpu")
    stored, _ = extraction.split_features(extractor, given, {}, "pooled")
    kept = feature_collapse.feature_statistics(stored, extractor, given, every)
    assert kept == looked(Toy(), given)
    assert kept["sha256"] != looked(Toy(lambda x: x + 1e-3), given)["sha256"]


@pytest.mark.usefixtures("own_cache")
def test_statistics_are_made_once_for_the_same_features_and_images(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    given, made = Noise(20), feature_collapse.summarise_features
    extractor = Extractor(Toy(), FOUND, "fuse", 0, "cpu")
    calls: list[int] = []

    def counted(pooled: Tensor, *rest: Any) -> dict[str, Any]:
        calls.append(len(pooled))
        return made(pooled, *rest)

    monkeypatch.setattr(feature_collapse, "summarise_features", counted)

    def facts(test: range) -> dict[str, Any]:
        stored, _ = extraction.split_features(extractor, given, {}, "pooled")
        return feature_collapse.feature_statistics(stored, extractor, given, test)

    first = facts(range(16))
    monkeypatch.setattr(feature_collapse, "collate", None)  # no image is looked at
    assert facts(range(16)) == first
    assert calls == [16]
    monkeypatch.undo()
    assert facts(range(3, 19)) != first
    for path in (folders.cache() / "features").glob("*/statistics-*"):
        path.write_text(path.read_text().replace('"rank": ', '"rank": 1'))
    assert facts(range(16)) == first  # what was remembered is damaged


def test_neighbours_are_those_of_all_rows_whatever_the_chunks(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rows = torch.randn(50, 6, generator=torch.Generator().manual_seed(0)).double()
    rows[41] = rows[7]
    distance = torch.cdist(rows, rows).fill_diagonal_(float("inf"))
    monkeypatch.setattr(feature_collapse, "CHUNK", 8)
    nearest, other = feature_collapse._neighbours(rows)
    torch.testing.assert_close(nearest, distance.amin(1), atol=1e-7, rtol=1e-7)
    assert (int(other[41]), int(other[7])) == (7, 41)


def test_dates_that_are_kept_are_rows() -> None:
    class Pairs(Noise):
        def read(self, index: int) -> Sample:
            dates = [Noise(20).read(i).images["hr"] for i in (index, index + 10)]
            return Sample(self.keys[index], {"hr": torch.cat(dates)}, 0)

    given = Pairs(10)
    extractor = Extractor(Toy(), FOUND, "keep", 0, "cpu")
    whole = StreamedFeatures(extractor, given)
    facts = feature_collapse.feature_statistics(whole, extractor, given, list(range(10)))
    assert (facts["images"], facts["rows"]) == (10, 20)
    assert facts["twins"] == 0
    extractor = Extractor(Toy(torch.ones_like), FOUND, "keep", 0, "cpu")
    whole = StreamedFeatures(extractor, given)
    assert (
        feature_collapse.feature_statistics(whole, extractor, given, list(range(10)))["twins"] == 1
    )
