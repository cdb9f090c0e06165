"""Features computed on each request from augmented samples, of a backbone trained or frozen."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import Future
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skybench.augment.apply import augment
from skybench.augment.geometry import crop_centre, finest_size
from skybench.augment.mixing import draw_mixing, mix_classes, mix_images
from skybench.core import Batch, Recipe, Sample, UsageError
from skybench.core.dataset import Samples
from skybench.data.batching import collate
from skybench.features.extractor import Extractor, stack_dates
from skybench.features.sources import StreamedFeatures

PLAIN = Recipe("finetune")  # without augmentation


class OnlineFeatures(StreamedFeatures):
    """Features of a model, computed on every request, with gradients if enabled.

    In training, samples are augmented as the recipe says, and `target` is that of the last batch:
    with mixup or CutMix soft classes [K]. Partners are within a request: a batch that is split, for
    memory or among processes, is mixed in its parts. The random draws depend on seed, epoch and
    sample indices alone, so neither the thread that draws nor an interruption of training matters.
    Otherwise samples are seen as they are, or their centre where the recipe has a `test_crop`.
    A frozen model stays in evaluation mode and gets no gradients: enabled ones mean training.
    """

    def __init__(
        self,
        extractor: Extractor,
        samples: Samples,
        recipe: Recipe = PLAIN,
        seed: int = 0,
        frozen: bool = False,
    ) -> None:
        super().__init__(extractor, samples)
        self.recipe, self.seed, self.epoch, self.frozen = recipe, seed, 0, frozen
        self.drawn: dict[int, Any] = {}  # index -> target of the last batch
        self.coming: dict[tuple[int, int], Future[Sample]] = {}  # by epoch and index

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch of the random draws; samples prefetched before are dropped."""
        self.epoch = epoch
        self.coming.clear()

    def prefetch(self, indices: Sequence[int]) -> None:
        """Start to read and augment the samples of the next request, in threads."""
        for index in indices:
            future = self.ahead.pool.submit(self._draw, index, self.epoch)
            self.coming[self.epoch, index] = future

    def pyramid(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        return self.levels(self._batch(indices))

    def levels(self, batch: Batch) -> tuple[Tensor, ...]:
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            return stack_dates(self.extractor.forward(batch)).pyramid

    def vectors(self, indices: Sequence[int]) -> Tensor:
        batch = self._batch(indices)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            return stack_dates(self.extractor.forward(batch)).pooled

    def target(self, index: int) -> Any:
        drawn = self._trains() and index in self.drawn
        return self.drawn[index] if drawn else super().target(index)

    def _trains(self) -> bool:
        return torch.is_grad_enabled() if self.frozen else self.extractor.model.training

    def _batch(self, indices: Sequence[int]) -> Batch:
        if not self._trains():
            self.drawn = {}
            return self._whole_batch(indices)
        coming = [self.coming.pop((self.epoch, i), None) for i in indices]
        samples = [
            future.result() if future else self._draw(i, self.epoch)
            for i, future in zip(indices, coming, strict=True)
        ]
        targets = [self.as_array(sample.target) for sample in samples]
        batch = collate(samples, self.extractor.size)
        if self.recipe.mixup or self.recipe.cutmix:
            self._require_classes(samples[0], "mixup or cutmix")
            batch, targets = self._mixed(batch, targets, (self.seed, self.epoch, indices[0], 1))
        self.drawn = dict(zip(indices, targets, strict=True))
        return batch

    def _whole_batch(self, indices: Sequence[int]) -> Batch:
        """Samples that are not augmented; the centre of each, where the recipe says so."""
        samples = self.ahead(indices)
        size = self.extractor.size
        if self.recipe.test_crop:
            self._require_classes(samples[0], "test_crop")
            size = size or max(finest_size(samples[0]))  # as large as in training
            samples = [crop_centre(sample, self.recipe.test_crop) for sample in samples]
        return collate(samples, size)

    def _require_classes(self, sample: Sample, what: str) -> None:
        """Raise UsageError where the target is not a class, or classes, of the whole image."""
        kind = self.samples.card.target_of(sample.target).kind
        if kind not in ("class", "classes"):
            raise UsageError(
                f"{what} was given, but the target of {self.samples.card.title} is of the kind "
                f"{kind!r}; leave it out"
            )

    def _mixed(
        self, batch: Batch, targets: Sequence[Any], seed: tuple[int, ...]
    ) -> tuple[Batch, list[Any]]:
        """A batch after mixup or CutMix, and the soft classes of its samples."""
        height, width = max((x.shape[-2:] for x in batch.images.values()), key=lambda s: s.numel())
        rng, recipe = np.random.default_rng(seed), self.recipe
        mixing = draw_mixing(recipe.mixup, recipe.cutmix, (height, width), rng)
        truth = torch.from_numpy(np.stack(targets))
        soft = mix_classes(truth, len(self.samples.card.classes), mixing)
        return mix_images(batch, mixing), [*soft.numpy()]

    def _draw(self, index: int, epoch: int) -> Sample:
        seed = (self.seed, epoch, index)
        return augment(self.samples.read(index), self.recipe.augment, self.samples.card, seed)
