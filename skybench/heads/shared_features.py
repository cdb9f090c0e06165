"""Features for heads that take turns: a batch is read, moved and standardised once for all."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Protocol, Self

from torch import Tensor

from skybench.core import Batch, FitContext, Source

Scale = Callable[[Sequence[Tensor]], Sequence[Tensor]]
Held = tuple[tuple[Tensor, ...], dict[int, Any]]  # the feature maps and targets of a request


class DivisibleSource(Source, Protocol):
    """A source of which subsets can be taken."""

    indices: list[int]  # of its samples within the source that it is a part of

    def subset(self, indices: Sequence[int]) -> Self: ...
    def prefetch(self, indices: Sequence[int]) -> None: ...


class SharedFeatures:
    """A source for heads that are trained, or that predict, side by side; see core.Source.

    What one head asked for is held for the others until that many samples were asked for since.
    The feature maps are on the device and standardised already.
    """

    def __init__(
        self, whole: DivisibleSource, scale: Scale, setting: FitContext, most: int
    ) -> None:
        """scale: standardises feature maps on the device; most: samples that are held."""
        self.whole, self.scale, self.setting, self.most = whole, scale, setting, most
        self.indices = whole.indices
        self.held: dict[tuple[int, ...], Held] = {}  # by request, the oldest first
        self.epoch, self.announced = -1, [-1]

    def __len__(self) -> int:
        return len(self.whole)

    def subset(self, indices: Sequence[int]) -> SharedFeatures:
        """Return a subset of this one, by indices within it."""
        return SharedFeatures(self.whole.subset(indices), self.scale, self.setting, self.most)

    def begin_epoch(self, epoch: int) -> None:
        """Begin an epoch, in which augmentation may give other features; once for all heads."""
        if epoch != self.epoch:
            self.epoch, self.announced = epoch, [-1]
            self.held.clear()
            self.setting.on_epoch_start(epoch)

    def prefetch(self, indices: Sequence[int]) -> None:
        """Announce the samples of the next request; once for all heads."""
        if [*indices] != self.announced:
            self.announced = [*indices]
            self.whole.prefetch(indices)

    def pyramid(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        asked = tuple(indices)
        if asked not in self.held:
            while self.held and sum(map(len, self.held)) + len(asked) > self.most:
                del self.held[next(iter(self.held))]
            levels = self._scaled(self.whole.pyramid(indices))
            self.held[asked] = levels, {i: self.whole.target(i) for i in asked}
        return self.held[asked][0]

    def _scaled(self, levels: Sequence[Tensor]) -> tuple[Tensor, ...]:
        return tuple(self.scale([x.to(self.setting.device) for x in levels]))

    def target(self, index: int) -> Any:
        for _, targets in self.held.values():
            if index in targets:
                return targets[index]
        return self.whole.target(index)

    def open_batch(self, indices: Sequence[int]) -> tuple[Batch, Callable[[Batch], Any]]:
        """Return samples and a function for the pyramid of views of them, which is not shared."""
        whole: Any = self.whole  # one of those whose features are computed on request
        batch, levels = whole.open_batch(indices)
        return batch, lambda part: self._scaled(levels(part))

    def pooled(self) -> Tensor:
        return self.whole.pooled()

    def labels(self) -> Tensor:
        return self.whole.labels()
