"""Sources: equal values whether features are kept or computed, for whole splits and parts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch

from skybench.core import Boxes, Sample
from skybench.features.extraction import split_features
from skybench.features.extractor import Extractor
from skybench.features.sources import CachedFeatures, SourceSubset, StreamedFeatures

from .._toys import FOUND, Noise, Toy, looking

pytestmark = pytest.mark.usefixtures("own_cache")


# A gain of 1e3 gives more than float16 holds.
@pytest.mark.parametrize(("masks", "gain"), [(True, 1 / 3), (True, 1e3), (False, 1.0)])
def test_stored_and_streamed_features_are_the_same(
    masks: bool, gain: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    samples = Noise(19, masks)
    stored, _ = split_features(looking(Toy(gain)), samples, {"gain": gain}, "pyramid")
    monkeypatch.setenv("SKYBENCH_BUDGET_GB", "0")
    streamed, cached = split_features(looking(Toy(gain)), samples, {"another": gain}, "pyramid")
    assert (type(stored), type(streamed), cached) == (CachedFeatures, StreamedFeatures, False)
    assert len(stored) == len(streamed) == 19
    torch.testing.assert_close(stored.pooled(), streamed.pooled())
    order = [18, 0, 7, 7]
    for one, other in zip(stored.pyramid(order), streamed.pyramid(order), strict=True):
        assert one.dtype == other.dtype == torch.float32
        assert torch.equal(one, other)
        assert one.isfinite().all()
    for index in (0, 18):
        np.testing.assert_array_equal(stored.target(index), streamed.target(index))
        assert stored.target(index).dtype == streamed.target(index).dtype
    if not masks:
        assert stored.labels().tolist() == streamed.labels().tolist() == [i % 3 for i in range(19)]
        assert stored.labels().dtype == streamed.labels().dtype == torch.int64


def test_some_of_a_source_in_a_given_order() -> None:
    whole, _ = split_features(looking(Toy()), Noise(9), {}, "pyramid")
    part = SourceSubset(whole, [7, 2, 5])
    assert len(part) == 3
    assert torch.equal(part.pooled(), whole.pooled()[[7, 2, 5]])
    assert torch.equal(part.pyramid([1, 0])[1], whole.pyramid([2, 7])[1])
    assert part.labels().tolist() == [1, 2, 2]
    assert (part.target(1), part.subset([2, 0]).indices) == (2, [5, 7])


class Pairs(Noise):
    """Two dates and a mask for each, or one for both."""

    def read(self, index: int) -> Sample:
        one, other = super().read(index), super().read(-1 - index)
        image = torch.cat([one.images["air"], other.images["air"]])
        return Sample(self.keys[index], {"air": image}, np.stack([one.target, other.target]))


def test_where_time_is_kept_every_date_has_features_of_its_own(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    samples = Pairs(5, masks=True)
    extractor = Extractor(Toy(), FOUND, "keep", 0, "cpu")
    stored, _ = split_features(extractor, samples, {"toy": 1}, "pyramid")
    fine, coarse = stored.pyramid([3, 1])
    assert fine.shape == (2, 2, 3, 8, 8)
    assert coarse.shape == (2, 2, 3, 4, 4)
    seen = samples.read(3).images["air"][1, [2, 1, 0]].float()
    assert torch.equal(fine[0, 1], seen)
    assert stored.pooled().shape == (5, 2, 3)
    assert stored.target(2).shape == (2, 8, 8)
    monkeypatch.setenv("SKYBENCH_BUDGET_GB", "0")
    streamed, _ = split_features(extractor, samples, {"toy": 2}, "pyramid")
    for one, other in zip(stored.pyramid([3, 1]), streamed.pyramid([3, 1]), strict=True):
        assert torch.equal(one, other)
    assert torch.equal(streamed.pooled(), stored.pooled())


class Found(Noise):
    """As many boxes as the index says."""

    def read(self, index: int) -> Sample:
        made = torch.Generator().manual_seed(index)
        boxes = Boxes(
            torch.rand(index, 4, 2, generator=made), torch.arange(index), torch.arange(index) > 1,
            (8, 8 + index),
        )  # fmt: skip
        return Sample(self.keys[index], super().read(index).images, boxes)


def test_boxes_are_kept_with_their_images() -> None:
    samples = Found(5)
    stored, _ = split_features(looking(Toy()), samples, {"toy": 1}, "pyramid")
    again, cached = split_features(looking(Toy()), samples, {"toy": 1}, "pyramid")
    assert cached
    for index in range(5):
        expected = samples.read(index).target
        for one in (stored.target(index), again.target(index)):
            assert torch.equal(one.corners, expected.corners)
            assert torch.equal(one.labels, expected.labels)
            assert torch.equal(one.difficult, expected.difficult)
            assert one.size == expected.size == (8, 8 + index)
    nothing, _ = split_features(looking(Toy()), Found(1), {"toy": 2}, "pyramid")
    assert nothing.target(0).corners.shape == (0, 4, 2)


def test_kept_maps_are_read_ahead_as_announced_and_in_runs() -> None:
    whole, _ = split_features(looking(Toy()), Noise(9), {"toy": 1}, "pyramid")
    assert isinstance(whole, CachedFeatures)
    expected = whole.pyramid(range(9))
    asked, read = list[list[int]](), whole.rows.read

    def noted(name: str, indices: Sequence[int]) -> Any:
        asked.append([*indices])
        return read(name, indices)

    whole.rows.read = noted  # type: ignore[method-assign]
    part = SourceSubset(whole, [8, 1, 0, 5, 4, 3])
    part.prefetch([0, 2])
    for indices in ([3, 1], [0, 2], [0, 1, 2], [3, 4, 5], [5, 0]):
        found = part.pyramid(indices)
        for level, truth in zip(found, expected, strict=True):
            assert torch.equal(level, truth[[part.indices[i] for i in indices]])
    # Two levels each: [0, 2] was announced; a run is followed by the next one, which was asked for.
    assert sorted(asked) == sorted(2 * [[5, 1], [8, 0], [8, 1, 0], [5, 4, 3], [3, 8]])
