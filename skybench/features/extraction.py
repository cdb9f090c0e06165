"""Feature extraction: the features of a split, from the cache or computed when a head asks.

An entry of the cache is a folder of `.npy` files (read as memory maps) and a JSON sidecar; its
name is the hash of everything that affects the features, which labels do not. Dense features above
the disk budget are not cached but computed on each request, with equal values.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from skybench.core import BandMapping, Batch, Boxes, Features, Report, Time, UsageError, folders
from skybench.core.dataset import Samples, Subset
from skybench.core.fingerprint import fingerprint
from skybench.core.model import Model, encode
from skybench.data.batching import batches, collate, input_size, resize
from skybench.features import cache, targets
from skybench.features.cache import to_float16

BUDGET = 8e9  # bytes of dense features of one split; SKYBENCH_BUDGET_GB overrides
VERSION = 1  # incremented when extraction itself changes
OpenBatch = tuple[Batch, Callable[[Batch], tuple[Tensor, ...]]]  # samples; their pyramid


@dataclass(frozen=True)
class Extractor:
    """A model with its band mapping, time handling, input size and device."""

    model: Model
    mapping: Mapping[str, BandMapping]  # of the model's inputs to the dataset's sensors
    time: Time
    size: int  # side of the finest sensor's images in pixels; 0: as read
    device: str

    def __call__(self, batch: Batch) -> list[Features]:
        """Return the features of a collated batch, on the CPU, without gradients."""
        with torch.inference_mode():
            out = self.forward(batch)
        return [Features(f.pooled.cpu(), tuple(p.cpu() for p in f.pyramid)) for f in out]

    def forward(self, batch: Batch) -> list[Features]:
        """Return the features of a collated batch, on the device, with gradients if enabled."""
        picked = batch.to(self.device).select(self.mapping)
        card = self.model.card
        images = {
            n: resize(x, *input_size(card, n, *x.shape[-2:])) for n, x in picked.images.items()
        }
        picked = Batch(picked.keys, images, picked.seen, picked.days, picked.lonlat)
        return encode(self.model, picked, self.time)


def extract(
    extractor: Extractor, samples: Samples, report: Report = lambda *_: None
) -> Iterator[tuple[list[Features], list[Any]]]:
    """Yield features and targets by batch, in order; out of memory halves the batch size."""
    dates = max(len(x) for x in samples.read(0).images.values())
    done, batch = 0, max(1, (64 if extractor.device.startswith("cuda") else 16) // dates)
    while done < len(samples):
        try:
            rest = Subset(samples, range(done, len(samples))) if done else samples
            for images, truth in batches(rest, extractor.size, batch):
                yield extractor(images), truth
                done += len(truth)
                report("features", done, len(samples))
        except torch.cuda.OutOfMemoryError:
            if batch == 1:
                raise
            torch.cuda.empty_cache()
            batch //= 2


class CachedFeatures:
    """A split's features from the cache; see core.Source."""

    def __init__(self, folder: Path, truth: targets.Targets, remade: str = "") -> None:
        """truth: the targets of all samples; remade: why the entry was made again, if it was."""
        self.remade, self._targets = remade, truth
        self._pooled = np.load(folder / "pooled.npy", mmap_mode="r")
        levels = sorted(folder.glob("level*.npy"), key=lambda p: int(p.stem.removeprefix("level")))
        self._levels = [np.load(p, mmap_mode="r") for p in levels]

    def __len__(self) -> int:
        return len(self._pooled)

    def pooled(self) -> Tensor:
        return torch.from_numpy(np.array(self._pooled))

    def pyramid(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        return tuple(torch.from_numpy(level[list(indices)]).float() for level in self._levels)

    def open_batch(self, indices: Sequence[int]) -> OpenBatch:
        raise UsageError(
            "Test-time views need features that are computed on request, but those of a frozen "
            "backbone are cached, of whole images; give a protocol that trains the backbone"
        )

    def vectors(self, indices: Sequence[int]) -> Tensor:
        return torch.from_numpy(np.array(self._pooled[list(indices)]))

    def target(self, index: int) -> Any:
        target = self._targets[index]
        return target if isinstance(target, Boxes) else np.array(target)

    def labels(self) -> Tensor:
        return targets.stack_targets(self._targets)


class StreamedFeatures:
    """A split's features, computed on every request; see core.Source."""

    def __init__(self, extractor: Extractor, samples: Samples) -> None:
        self.extractor, self.samples = extractor, samples

    def __len__(self) -> int:
        return len(self.samples)

    def pooled(self) -> Tensor:
        return torch.cat([stack_dates(f).pooled for f, _ in extract(self.extractor, self.samples)])

    def pyramid(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        batch = collate([self.samples.read(i) for i in indices], self.extractor.size)
        return self.levels(batch)

    def levels(self, batch: Batch) -> tuple[Tensor, ...]:
        """Return the pyramid of a collated batch, rounded to float16 as in the cache."""
        features = stack_dates(self.extractor(batch))
        return tuple(to_float16(torch.as_tensor(p.numpy())).float() for p in features.pyramid)

    def open_batch(self, indices: Sequence[int]) -> OpenBatch:
        """Return samples with the sensors that the model uses, and a function for their pyramid."""
        batch = collate([self.samples.read(i) for i in indices], self.extractor.size)
        seen = {f.sensor: batch.images[f.sensor] for f in self.extractor.mapping.values()}
        return replace(batch, images=seen).to(self.extractor.device), self.levels

    def prefetch(self, indices: Sequence[int]) -> None:
        """Announce the samples of the next request."""

    def vectors(self, indices: Sequence[int]) -> Tensor:
        batch = collate([self.samples.read(i) for i in indices], self.extractor.size)
        return stack_dates(self.extractor(batch)).pooled

    def target(self, index: int) -> Any:
        return self.as_array(self.samples.target(index))

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
        """Announce the samples of the next request, if features are computed on request."""
        if isinstance(self.whole, StreamedFeatures):
            self.whole.prefetch([self.indices[i] for i in indices])

    def pooled(self) -> Tensor:
        return self.whole.pooled()[self.indices]

    def pyramid(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        return self.whole.pyramid([self.indices[i] for i in indices])

    def open_batch(self, indices: Sequence[int]) -> OpenBatch:
        return self.whole.open_batch([self.indices[i] for i in indices])

    def vectors(self, indices: Sequence[int]) -> Tensor:
        return self.whole.vectors([self.indices[i] for i in indices])

    def target(self, index: int) -> Any:
        return self.whole.target(self.indices[index])

    def labels(self) -> Tensor:
        return self.whole.labels()[self.indices]


def stack_dates(dates: Sequence[Features]) -> Features:
    """Stack the features of the dates along a new axis T after the first; one alone stays."""
    if len(dates) == 1:
        return dates[0]
    levels = zip(*(f.pyramid for f in dates), strict=True)
    return Features(
        torch.stack([f.pooled for f in dates], 1), tuple(torch.stack(x, 1) for x in levels)
    )


def disk_budget() -> float:
    """Return how many bytes of disk the dense features of one split may take."""
    return float(os.environ.get("SKYBENCH_BUDGET_GB", BUDGET / 1e9)) * 1e9


def dense_bytes(extractor: Extractor, samples: Samples) -> int:
    """Return the bytes of disk that a split's dense features take, from one sample."""
    features = extractor(collate([samples.read(0)], extractor.size))
    return len(samples) * sum(2 * level.numel() for f in features for level in f.pyramid)


def split_features(
    extractor: Extractor,
    samples: Samples,
    identity: Mapping[str, Any],
    level: Literal["pooled", "pyramid"],
    report: Report = lambda *_: None,
) -> tuple[CachedFeatures | StreamedFeatures, bool]:
    """Return a split's features, and whether they were cached before.

    identity: what identifies model, weights and data in the cache key; size, level and the
    samples' keys are added here.
    """
    full = {
        **identity, "version": VERSION, "size": extractor.size, "time": extractor.time,
        "level": level, "keys": fingerprint({"keys": samples.keys}),
        "found": {name: list(map(str, f)) for name, f in extractor.mapping.items()},
    }  # fmt: skip
    folder = folders.cache() / "features" / fingerprint(full)[:24]
    reading = [identity.get("dataset"), identity.get("options")]
    fault = cache.entry_fault(folder, full, ["pooled.npy"])
    if not fault:
        return CachedFeatures(folder, targets.open_targets(samples, reading)), True
    remade = "" if fault == cache.ABSENT else fault
    if remade:
        print(f"Features in {folder} are made again: {fault}.", file=sys.stderr, flush=True)
        cache.discard_entry(folder)
    if level == "pyramid" and dense_bytes(extractor, samples) > disk_budget():
        return StreamedFeatures(extractor, samples), False
    stream = (stack_dates(features) for features, _ in extract(extractor, samples, report))
    cache.write_features(folder, full, stream, level, len(samples))
    return CachedFeatures(folder, targets.open_targets(samples, reading), remade), False
