"""Features of a split: extracted once at the speed of the bare forward pass, kept on disk.

An entry of the cache is a folder of `.npy` files (read as memory maps) and a JSON sidecar,
addressed by the hash of all that affects the features. Dense features above the size budget
are not kept but computed again whenever a head asks: the numbers are the same.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import zipfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from skybench.core import Batch, Boxes, Features, Found, Report, Time, UsageError, folders
from skybench.core.dataset import Samples, Subset
from skybench.core.fingerprint import fingerprint
from skybench.core.model import Model, encode
from skybench.data.batching import batches, collate, resize, side
from skybench.features import cache
from skybench.features.cache import halved

BUDGET = 8e9  # bytes of dense features of one split; SKYBENCH_BUDGET_GB overrides
VERSION = 1  # raised when extraction itself changes
# What reading an entry raises of which the machine's crash cut a file off.
DAMAGED = (FileNotFoundError, EOFError, ValueError, KeyError, zipfile.BadZipFile)
Opened = tuple[Batch, Callable[[Batch], tuple[Tensor, ...]]]  # samples; the pyramid of a batch


@dataclass(frozen=True)
class Extractor:
    """A model, its view of a dataset, and the size at which it looks."""

    model: Model
    found: Mapping[str, Found]
    time: Time
    size: int
    device: str

    def __call__(self, batch: Batch) -> list[Features]:
        """Features of a collated batch, on the CPU, without gradients."""
        with torch.inference_mode():
            out = self.look(batch)
        return [Features(f.pooled.cpu(), tuple(p.cpu() for p in f.pyramid)) for f in out]

    def look(self, batch: Batch) -> list[Features]:
        """Features of a collated batch, on the device, with gradients where they are enabled."""
        picked = batch.to(self.device).select(self.found)
        card = self.model.card
        images = {n: resize(x, *side(card, n, *x.shape[-2:])) for n, x in picked.images.items()}
        picked = Batch(picked.keys, images, picked.seen, picked.days, picked.lonlat)
        return encode(self.model, picked, self.time)


def extract(
    extractor: Extractor, samples: Samples, report: Report = lambda *_: None
) -> Iterator[tuple[list[Features], list[Any]]]:
    """Features and targets batch by batch, in order; the batch is halved when memory is short."""
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


class Stored:
    """A split's features from the cache; see core.Source."""

    def __init__(self, folder: Path) -> None:
        self._pooled = np.load(folder / "pooled.npy", mmap_mode="r")
        boxes = folder / "boxes.npz"
        self._targets = (
            cache.read_boxes(boxes)
            if boxes.exists()
            else np.load(folder / "targets.npy", mmap_mode="r")
        )
        levels = sorted(folder.glob("level*.npy"))
        self._levels = [np.load(p, mmap_mode="r") for p in levels]

    def __len__(self) -> int:
        return len(self._pooled)

    def pooled(self) -> Tensor:
        return torch.from_numpy(np.array(self._pooled))

    def pyramid(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        return tuple(torch.from_numpy(level[list(indices)]).float() for level in self._levels)

    def opened(self, indices: Sequence[int]) -> Opened:
        raise UsageError(
            "Test-time views need features that are computed when they are asked for, and those of "
            "a frozen backbone are cached, of whole images; give --protocol finetune"
        )

    def vectors(self, indices: Sequence[int]) -> Tensor:
        return torch.from_numpy(np.array(self._pooled[list(indices)]))

    def target(self, index: int) -> Any:
        one = self._targets[index]
        return one if isinstance(one, Boxes) else np.array(one)

    def labels(self) -> Tensor:
        return torch.from_numpy(np.array(self._targets)).long()


class Streamed:
    """A split's dense features, computed again on every request; see core.Source."""

    def __init__(self, extractor: Extractor, samples: Samples) -> None:
        self.extractor, self.samples = extractor, samples

    def __len__(self) -> int:
        return len(self.samples)

    def pooled(self) -> Tensor:
        return torch.cat([joined(f).pooled for f, _ in extract(self.extractor, self.samples)])

    def pyramid(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        batch = collate([self.samples.read(i) for i in indices], self.extractor.size)
        return self.levels(batch)

    def levels(self, batch: Batch) -> tuple[Tensor, ...]:
        """The pyramid of a collated batch."""
        features = joined(self.extractor(batch))
        return tuple(halved(torch.as_tensor(p.numpy())).float() for p in features.pyramid)

    def opened(self, indices: Sequence[int]) -> Opened:
        """Samples as they are read, of the sensors that the model sees, to look at in parts."""
        batch = collate([self.samples.read(i) for i in indices], self.extractor.size)
        seen = {f.sensor: batch.images[f.sensor] for f in self.extractor.found.values()}
        return replace(batch, images=seen).to(self.extractor.device), self.levels

    def ahead(self, indices: Sequence[int]) -> None:
        """Hears what will be asked for next."""

    def vectors(self, indices: Sequence[int]) -> Tensor:
        batch = collate([self.samples.read(i) for i in indices], self.extractor.size)
        return joined(self.extractor(batch)).pooled

    def target(self, index: int) -> Any:
        one = self.samples.read(index).target
        return one if isinstance(one, Boxes) else np.asarray(one)

    def labels(self) -> Tensor:
        return torch.stack([torch.as_tensor(s.target) for s in self.samples]).long()


class Chosen:
    """Some samples of a source, in the given order; see core.Source."""

    def __init__(self, whole: Stored | Streamed, indices: Sequence[int]) -> None:
        self.whole, self.indices = whole, list(indices)

    def __len__(self) -> int:
        return len(self.indices)

    def some(self, indices: Sequence[int]) -> Chosen:
        """Some of these."""
        return Chosen(self.whole, [self.indices[i] for i in indices])

    def ahead(self, indices: Sequence[int]) -> None:
        """Says what will be asked for next, where that is computed live."""
        if isinstance(self.whole, Streamed):
            self.whole.ahead([self.indices[i] for i in indices])

    def pooled(self) -> Tensor:
        return self.whole.pooled()[self.indices]

    def pyramid(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        return self.whole.pyramid([self.indices[i] for i in indices])

    def opened(self, indices: Sequence[int]) -> Opened:
        return self.whole.opened([self.indices[i] for i in indices])

    def vectors(self, indices: Sequence[int]) -> Tensor:
        return self.whole.vectors([self.indices[i] for i in indices])

    def target(self, index: int) -> Any:
        return self.whole.target(self.indices[index])

    def labels(self) -> Tensor:
        return self.whole.labels()[self.indices]


def joined(dates: Sequence[Features]) -> Features:
    """One for all dates: as they are if time was fused, else with an axis T after the first."""
    if len(dates) == 1:
        return dates[0]
    levels = zip(*(f.pyramid for f in dates), strict=True)
    return Features(
        torch.stack([f.pooled for f in dates], 1), tuple(torch.stack(x, 1) for x in levels)
    )


def budget() -> float:
    """Bytes that dense features of one split may take on disk."""
    return float(os.environ.get("SKYBENCH_BUDGET_GB", BUDGET / 1e9)) * 1e9


def dense_bytes(extractor: Extractor, samples: Samples) -> int:
    """The size of a split's dense features on disk, from one sample."""
    features = extractor(collate([samples.read(0)], extractor.size))
    return len(samples) * sum(2 * level.numel() for f in features for level in f.pyramid)


def source(
    extractor: Extractor,
    samples: Samples,
    identity: Mapping[str, Any],
    level: Literal["pooled", "pyramid"],
    report: Report = lambda *_: None,
) -> tuple[Stored | Streamed, bool]:
    """A split's features, and whether they were in the cache already.

    identity: what tells model, weights and data apart; size, level and the samples' keys are
    added here.
    """
    full = {
        **identity, "version": VERSION, "size": extractor.size, "time": extractor.time,
        "level": level, "keys": fingerprint({"keys": samples.keys}),
        "found": {name: list(map(str, f)) for name, f in extractor.found.items()},
    }  # fmt: skip
    folder = folders.cache() / "features" / fingerprint(full)[:24]
    if (folder / "meta.json").exists():
        with contextlib.suppress(*DAMAGED):
            return Stored(folder), True
        shutil.rmtree(folder, ignore_errors=True)
    if level == "pyramid" and dense_bytes(extractor, samples) > budget():
        return Streamed(extractor, samples), False
    stream = ((joined(f), truth) for f, truth in extract(extractor, samples, report))
    cache.fill(folder, full, stream, len(samples), level)
    return Stored(folder), False
