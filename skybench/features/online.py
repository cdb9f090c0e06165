"""Features of a backbone while it learns: computed whenever a head asks, of augmented samples."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
from torch import Tensor

from skybench.augment import apply as augment
from skybench.core import Batch, Boxes, Sample
from skybench.core.dataset import Samples
from skybench.data.batching import collate
from skybench.features.extraction import Extractor, Streamed, joined


class Live(Streamed):
    """Features of a model that learns: computed on every request, with gradients if enabled.

    While the model is in training mode samples are augmented by the names given; `target` is then
    that of the last draw. A sample's draw follows the seed, the epoch and its index alone, so it
    does not matter who draws and whether training was interrupted.
    """

    def __init__(
        self, extractor: Extractor, samples: Samples, augment: Sequence[str] = (), seed: int = 0
    ) -> None:
        super().__init__(extractor, samples)
        self.augment, self.seed, self.epoch = tuple(augment), seed, 0
        self.drawn: dict[int, Any] = {}
        self.coming: dict[tuple[int, int], Future[Sample]] = {}  # by epoch and index
        self.readers = ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1))

    def begin(self, epoch: int) -> None:
        """What is drawn from now on is that epoch's."""
        self.epoch = epoch
        self.coming.clear()

    def ahead(self, indices: Sequence[int]) -> None:
        """Starts to read what will be asked for next."""
        for index in indices:
            future = self.readers.submit(self._draw, index, self.epoch)
            self.coming[self.epoch, index] = future

    def pyramid(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        return self.levels(self._batch(indices))

    def levels(self, batch: Batch) -> tuple[Tensor, ...]:
        return joined(self.extractor.look(batch)).pyramid

    def vectors(self, indices: Sequence[int]) -> Tensor:
        return joined(self.extractor.look(self._batch(indices))).pooled

    def target(self, index: int) -> Any:
        learns = self.extractor.model.training
        return self.drawn[index] if learns and index in self.drawn else super().target(index)

    def _batch(self, indices: Sequence[int]) -> Batch:
        if not self.extractor.model.training:
            return collate([self.samples.read(i) for i in indices], self.extractor.size)
        coming = [self.coming.pop((self.epoch, i), None) for i in indices]
        samples = [
            found.result() if found else self._draw(i, self.epoch)
            for i, found in zip(indices, coming, strict=True)
        ]
        self.drawn = {}
        for i, sample in zip(indices, samples, strict=True):
            one = sample.target
            self.drawn[i] = one if isinstance(one, Boxes) else np.asarray(one)
        return collate(samples, self.extractor.size)

    def _draw(self, index: int, epoch: int) -> Sample:
        seed = (self.seed, epoch, index)
        return augment.augment(self.samples.read(index), self.augment, self.samples.card, seed)
