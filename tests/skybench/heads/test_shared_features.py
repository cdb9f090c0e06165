from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skybench.core import Batch, FitContext
from skybench.heads.dense import Standardise
from skybench.heads.shared_features import SharedFeatures

COUNT = 12


class Whole:
    """Samples with one map each, and what was asked of them; see core.Source."""

    def __init__(self, indices: Sequence[int], asked: list[Any] | None = None) -> None:
        self.indices, self.epoch = list(indices), 0
        self.asked: list[Any] = [] if asked is None else asked

    def __len__(self) -> int:
        return len(self.indices)

    def subset(self, indices: Sequence[int]) -> Whole:
        return Whole([self.indices[i] for i in indices], self.asked)

    def prefetch(self, indices: Sequence[int]) -> None:
        self.asked.append(("prefetch", *indices))

    def begin(self, epoch: int) -> None:
        """As augmentation does: features are others in each epoch."""
        self.asked.append(("epoch", epoch))
        self.epoch = epoch

    def pyramid(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        self.asked.append(("read", *(self.indices[i] for i in indices)))
        return (self._maps([self.indices[i] for i in indices]),)

    def _maps(self, numbers: Sequence[int]) -> Tensor:
        return torch.tensor(numbers).reshape(-1, 1, 1, 1) + torch.tensor(
            [[0.0, 100.0 * self.epoch]]
        )

    def open_batch(
        self, indices: Sequence[int]
    ) -> tuple[Any, Callable[[Batch], tuple[Tensor, ...]]]:
        return [self.indices[i] for i in indices], lambda part: (self._maps(part),)

    def target(self, index: int) -> Any:
        self.asked.append(("target", self.indices[index]))
        return np.array(self.indices[index])

    def pooled(self) -> Tensor:
        return self._maps(self.indices).mean((2, 3))

    def labels(self) -> Tensor:
        return torch.tensor(self.indices)


def halved(levels: Sequence[Tensor]) -> list[Tensor]:
    return [x / 2 for x in levels]


def shared(whole: Whole, most: int = 4) -> SharedFeatures:
    return SharedFeatures(whole, halved, FitContext(0, on_epoch_start=whole.begin), most)


def test_a_batch_is_read_and_scaled_once_for_all_heads_also_in_its_parts() -> None:
    whole = Whole(range(COUNT))
    source = shared(whole)
    for _ in range(3):  # heads, each of which takes the batch in two parts
        first, second = source.pyramid([3, 1])[0], source.pyramid([2, 7])[0]
        assert first[:, 0, 0, 0].tolist() == [1.5, 0.5]
        assert second[:, 0, 0, 0].tolist() == [1, 3.5]
        assert [int(source.target(i)) for i in (1, 7)] == [1, 7]
    reads = [a for a in whole.asked if a[0] == "read"]
    assert reads == [("read", 3, 1), ("read", 2, 7)]
    assert whole.asked.count(("target", 7)) == 1


def test_no_more_samples_are_held_than_were_asked_for_last() -> None:
    whole = Whole(range(COUNT))
    source = shared(whole)
    for start in range(0, 12, 2):
        source.pyramid([start, start + 1])
        assert sum(map(len, source.held)) <= 4
    source.pyramid(range(6))  # a single request may be larger
    assert [*source.held] == [(0, 1, 2, 3, 4, 5)]
    source.pyramid([10, 11])
    assert [*source.held] == [(10, 11)]
    assert int(source.target(0)) == 0  # read anew


def test_another_epoch_has_other_features_and_begins_once() -> None:
    whole = Whole(range(COUNT))
    source = shared(whole)
    values = []
    for epoch in (0, 0, 1, 1):
        source.begin_epoch(epoch)
        values.append(float(source.pyramid([5])[0][0, 0, 0, 1]))
    assert values == [2.5, 2.5, 52.5, 52.5]
    assert [a for a in whole.asked if a[0] != "target"] == [
        ("epoch", 0), ("read", 5), ("epoch", 1), ("read", 5),
    ]  # fmt: skip


def test_a_batch_is_announced_once_in_an_epoch() -> None:
    whole = Whole(range(COUNT))
    source = shared(whole)
    for epoch in (0, 1):
        for _ in range(2):
            source.begin_epoch(epoch)
            source.prefetch([1, 2])
        for _ in range(2):
            source.prefetch([])
    announced = [("prefetch", 1, 2), ("prefetch",)]
    assert whole.asked == [("epoch", 0), *announced, ("epoch", 1), *announced]


def test_a_subset_and_views_are_scaled_too() -> None:
    source = shared(Whole(range(COUNT))).subset([4, 6, 8])
    assert (len(source), source.indices) == (3, [4, 6, 8])
    assert source.pyramid([2])[0][0, 0, 0, 0] == 4
    batch, levels = source.open_batch([1, 0])
    assert levels(batch)[0][:, 0, 0, 0].tolist() == [3, 2]
    assert source.labels().tolist() == [4, 6, 8]
    assert source.pooled()[:, 0].tolist() == [4, 6, 8]


def test_heads_leave_shared_features_as_they_are() -> None:
    source = shared(Whole(range(COUNT)))
    scale = Standardise(source)
    levels = source.pyramid([1, 2])
    assert scale(levels)[0] is levels[0]
    assert not scale.state_dict()
