"""Features of a backbone in training, computed on each request from augmented samples."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

from torch import Tensor

from skybench.augment.apply import augment
from skybench.core import Batch, Sample
from skybench.core.dataset import Samples
from skybench.data.batching import collate
from skybench.features.extraction import Extractor, StreamedFeatures, stack_dates


class OnlineFeatures(StreamedFeatures):
    """Features of a model in training, computed on every request, with gradients if enabled.

    In training mode samples are augmented by the names given, and `target` is that of the last
    augmented batch. The random draws depend on seed, epoch and sample index alone, so neither
    the thread that draws nor an interruption of training matters.
    """

    def __init__(
        self, extractor: Extractor, samples: Samples, names: Sequence[str] = (), seed: int = 0
    ) -> None:
        super().__init__(extractor, samples)
        self.names, self.seed, self.epoch = tuple(names), seed, 0
        self.drawn: dict[int, Any] = {}  # index -> target of the last batch
        self.coming: dict[tuple[int, int], Future[Sample]] = {}  # by epoch and index
        self.readers = ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1))

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the random draws; samples prefetched before are dropped."""
        self.epoch = epoch
        self.coming.clear()

    def prefetch(self, indices: Sequence[int]) -> None:
        """Start to read and augment the samples of the next request, in threads."""
        for index in indices:
            future = self.readers.submit(self._draw, index, self.epoch)
            self.coming[self.epoch, index] = future

    def pyramid(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        return self.levels(self._batch(indices))

    def levels(self, batch: Batch) -> tuple[Tensor, ...]:
        return stack_dates(self.extractor.forward(batch)).pyramid

    def vectors(self, indices: Sequence[int]) -> Tensor:
        return stack_dates(self.extractor.forward(self._batch(indices))).pooled

    def target(self, index: int) -> Any:
        training = self.extractor.model.training
        return self.drawn[index] if training and index in self.drawn else super().target(index)

    def _batch(self, indices: Sequence[int]) -> Batch:
        if not self.extractor.model.training:
            return collate([self.samples.read(i) for i in indices], self.extractor.size)
        coming = [self.coming.pop((self.epoch, i), None) for i in indices]
        samples = [
            future.result() if future else self._draw(i, self.epoch)
            for i, future in zip(indices, coming, strict=True)
        ]
        self.drawn = {}
        for i, sample in zip(indices, samples, strict=True):
            self.drawn[i] = self.as_array(sample.target)
        return collate(samples, self.extractor.size)

    def _draw(self, index: int, epoch: int) -> Sample:
        seed = (self.seed, epoch, index)
        return augment(self.samples.read(index), self.names, self.samples.card, seed)
