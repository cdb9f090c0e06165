"""Sources: the features and targets of a split, from the cache or computed when a head asks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skybench.core import Batch, Boxes, UsageError
from skybench.core.dataset import Samples
from skybench.data.batching import collate
from skybench.data.read_ahead import ReadAhead, next_run
from skybench.features import cache, quantisation, targets
from skybench.features.extractor import Extractor, extract, stack_dates
from skybench.features.parts import CachedRows

Stored = list[list[Tensor]]  # of each level
OpenBatch = tuple[Batch, Callable[[Batch], tuple[Tensor, ...]]]  # samples; their pyramid


class CachedFeatures:
    """A split's features from the cache; see core.Source.

    Feature maps are read ahead in a thread, cross to the device as they are stored, and are
    converted there.
    """

    def __init__(
        self, rows: CachedRows, truth: targets.Targets, extracted: int = 0, device: str = "cpu"
    ) -> None:
        """truth: the targets of all samples; extracted: how many had no features before."""
        self.rows, self._targets, self.extracted = rows, truth, extracted
        self.device, self.pool = device, ThreadPoolExecutor(1)
        self.following: Sequence[int] = ()
        self.coming: tuple[list[int], Future[Stored]] | None = None
        self.remade = "; ".join(dict.fromkeys(rows.entry.faults))  # why, if any were
        self._part = rows.part_of(0)
        names = self._part.names if rows.names else ()
        self._levels = sum(name.startswith("level") for name in names)

    def __len__(self) -> int:
        return len(self.rows)

    def pooled(self) -> Tensor:
        return self.vectors(range(len(self)))

    def pyramid(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        asked, coming, following = [*indices], self.coming, [*self.following]
        stored = coming[1].result() if coming and coming[0] == asked else self._stored(asked)
        self.following, self.coming = (), None
        if following:
            self.coming = following, self.pool.submit(self._stored, following)
        return tuple(quantisation.from_stored([*map(self._moved, level)]) for level in stored)

    def _stored(self, indices: Sequence[int]) -> Stored:
        levels = []
        for number in range(self._levels):
            names = (f"level{number}", f"scale{number}")  # the second for int8 alone
            arrays = [self.rows.read(n, indices) for n in names if n in self._part.names]
            levels.append([torch.from_numpy(x) for x in arrays])
        return levels

    def _moved(self, stored: Tensor) -> Tensor:
        gpu = self.device.startswith("cuda")
        return stored.pin_memory().to(self.device, non_blocking=True) if gpu else stored

    def prefetch(self, indices: Sequence[int]) -> None:
        """Announce the samples of the request after the next one."""
        self.following = indices

    def expect(self, indices: Sequence[int]) -> None:
        """Announce them unless others are announced already."""
        self.following = self.following or indices

    def open_batch(self, indices: Sequence[int]) -> OpenBatch:
        raise UsageError(
            "Test-time views need features that are computed on request, but those of a frozen "
            "backbone are cached, of whole images; give a protocol that trains the backbone"
        )

    def vectors(self, indices: Sequence[int]) -> Tensor:
        return torch.from_numpy(self.rows.read("pooled", indices))

    def errors(self) -> list[float]:
        """Return what rounding changes in each level, relative; [] where it is to float16."""
        return [*self._part.errors] if self._levels else []

    def target(self, index: int) -> Any:
        target = self._targets[index]
        return target if isinstance(target, Boxes) else np.array(target)

    def labels(self) -> Tensor:
        return targets.stack_targets(self._targets)


class StreamedFeatures:
    """A split's features, computed on every request; see core.Source."""

    def __init__(self, extractor: Extractor, samples: Samples, kind: str = "") -> None:
        """kind: how feature maps are rounded, of `quantisation.KINDS`, as in the cache."""
        self.extractor, self.samples, self.kind = extractor, samples, kind
        self.ahead = ReadAhead(samples)
        self.extracted = 0  # none is kept
        self._errors: list[float] = []

    def __len__(self) -> int:
        return len(self.samples)

    def pooled(self) -> Tensor:
        found = extract(self.extractor, self.samples, level="pooled")
        return torch.cat([stack_dates(f).pooled for f, _ in found])

    def pyramid(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        batch = collate(self.ahead(indices), self.extractor.size)
        return self.levels(batch)

    def levels(self, batch: Batch) -> tuple[Tensor, ...]:
        """Return the pyramid of a collated batch, on the device, rounded as in the cache."""
        maps = stack_dates(self.extractor.on_device(batch)).pyramid
        if self.kind == "int8" and not self._errors:
            self._errors = [quantisation.relative_error(x, self.kind) for x in maps]
        return tuple(quantisation.rounded(x, self.kind) for x in maps)

    def errors(self) -> list[float]:
        """Return what rounding changes in each level, relative; [] where it is to float16."""
        return [*self._errors]

    def open_batch(self, indices: Sequence[int]) -> OpenBatch:
        """Return samples with the sensors that the model uses, and a function for their pyramid."""
        batch = collate(self.ahead(indices), self.extractor.size)
        seen = {f.sensor: batch.images[f.sensor] for f in self.extractor.mapping.values()}
        return replace(batch, images=seen).to(self.extractor.device), self.levels

    def prefetch(self, indices: Sequence[int]) -> None:
        """Announce the samples of the request after the next one."""
        self.ahead.follow_with(indices)

    def expect(self, indices: Sequence[int]) -> None:
        """Announce them unless others are announced already."""
        self.ahead.following = self.ahead.following or indices

    def vectors(self, indices: Sequence[int]) -> Tensor:
        batch = collate(self.ahead(indices), self.extractor.size)
        return stack_dates(self.extractor.on_device(batch, "pooled")).pooled

    def target(self, index: int) -> Any:
        return self.as_array(self.ahead.target(index))

    def as_array(self, target: Any) -> Any:
        """Return a sample's target as sources give it: boxes as they are, all else as an array."""
        boxes = self.samples.card.target_of(target).kind == "boxes"
        return target if boxes else np.asarray(target)

    def labels(self) -> Tensor:
        every = (self.samples.target(index) for index in range(len(self)))
        return cache.as_labels(torch.stack([torch.as_tensor(target) for target in every]))


class SourceSubset:
    """A subset of a source's samples, in the given order; see core.Source."""

    def __init__(self, whole: CachedFeatures | StreamedFeatures, indices: Sequence[int]) -> None:
        self.whole, self.indices = whole, list(indices)

    def __len__(self) -> int:
        return len(self.indices)

    def subset(self, indices: Sequence[int]) -> SourceSubset:
        """Return a subset of this one, by indices within it."""
        return SourceSubset(self.whole, [self.indices[i] for i in indices])

    def prefetch(self, indices: Sequence[int]) -> None:
        """Announce the samples of the request after the next one."""
        self.whole.prefetch([self.indices[i] for i in indices])

    def pooled(self) -> Tensor:
        if isinstance(self.whole, CachedFeatures):
            return self.whole.vectors(self.indices)  # only these are read
        return self.whole.pooled()[self.indices]

    def pyramid(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        return self.whole.pyramid(self._of_whole(indices))

    def open_batch(self, indices: Sequence[int]) -> OpenBatch:
        return self.whole.open_batch(self._of_whole(indices))

    def vectors(self, indices: Sequence[int]) -> Tensor:
        return self.whole.vectors(self._of_whole(indices))

    def _of_whole(self, indices: Sequence[int]) -> list[int]:
        """The indices in the whole; a run of samples is followed by the next one of this subset."""
        if following := self.indices[next_run(indices)]:
            self.whole.expect(following)
        return [self.indices[i] for i in indices]

    def target(self, index: int) -> Any:
        return self.whole.target(self.indices[index])

    def labels(self) -> Tensor:
        return self.whole.labels()[self.indices]
