"""Entries of the feature cache: their names, and the kinds of targets in them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from skybench.core import DataError, Features, Sample, Target
from skybench.features import cache
from skybench.features.extraction import CachedFeatures, StreamedFeatures, split_features

from .._toys import Noise, Toy, entries, looking


def test_a_cache_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="SKYBENCH_CACHE"):
        cache.write_entry(tmp_path / "file" / "entry", {}, [], "pooled", Noise(0))


@pytest.mark.usefixtures("own_cache")
def test_entries_of_earlier_versions_are_found() -> None:
    """The names under which the first release stored these features."""
    for level in ("pooled", "pyramid"):
        split_features(looking(Toy()), Noise(3), {"model": "toy"}, level)
    assert entries() == ["cd589a24aad5dccb919fc815", "f44c1ff787418061996e7522"]


class Measured(Noise):
    """One value for each pixel, or two of the whole image."""

    card = replace(Noise.card, target=Target("values"))

    def read(self, index: int) -> Sample:
        values = torch.tensor([index + 0.25, float("nan")])
        target = values.expand(4, 2) if self.masks else values
        return replace(super().read(index), target=target)


@pytest.mark.usefixtures("own_cache")
@pytest.mark.parametrize("dense", [False, True])
def test_values_stay_what_they_are(dense: bool) -> None:
    samples = Measured(3, masks=dense)
    stored, _ = split_features(looking(Toy()), samples, {"toy": dense}, "pooled")
    streamed = StreamedFeatures(looking(Toy()), samples)
    assert isinstance(stored, CachedFeatures)
    for one in (stored, streamed):
        assert one.target(2).dtype == np.float32
        np.testing.assert_array_equal(one.target(2), samples.read(2).target)
        np.testing.assert_array_equal(one.labels()[1], samples.read(1).target)


def test_an_entry_is_written_by_the_declared_kind(tmp_path: Path) -> None:
    samples = Noise(2)
    samples.card = replace(samples.card, target=Target("class"))
    batch = Features(torch.zeros(2, 3), ())
    cache.write_entry(tmp_path / "entry", {"a": 1}, [(batch, [0, 2])], "pooled", samples)
    assert CachedFeatures(tmp_path / "entry").labels().tolist() == [0, 2]
    assert [p.name for p in tmp_path.iterdir()] == ["entry"]
