"""Features of a split: extracted once at the speed of the bare forward pass, kept on disk.

An entry of the cache is a folder of `.npy` files (read as memory maps) and a JSON sidecar,
addressed by the hash of all that affects the features. Dense features above the size budget
are not kept but computed again whenever a head asks: the numbers are the same.
"""

from __future__ import annotations

import functools
import json
import os
import shutil
import uuid
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

from skybench import places
from skybench.core import (
    Batch,
    DataError,
    Features,
    Found,
    ModelCard,
    Report,
    Sample,
    Samples,
    Subset,
    Time,
)
from skybench.model import Model, encode
from skybench.records import fingerprint

BUDGET = 8e9  # bytes of dense features of one split; SKYBENCH_BUDGET_GB overrides
VERSION = 1  # raised when extraction itself changes


def side(card: ModelCard, height: int, width: int) -> tuple[int, int]:
    """The size at which a model sees an image: at least its smallest, then a whole multiple.

    >>> from types import SimpleNamespace
    >>> side(SimpleNamespace(min_pixels=256, multiple=32), 64, 96)
    (256, 384)
    """
    scale = max(1.0, card.min_pixels / min(height, width))
    step = card.multiple
    return tuple(-(-round(x * scale) // step) * step for x in (height, width))  # type: ignore[return-value]


def resize(images: Tensor, height: int, width: int) -> Tensor:
    """Bilinear, antialiased where it shrinks; [..., C, H, W] any dtype -> float32."""
    if images.shape[-2:] == (height, width):
        return images.float()
    flat = images.float().reshape(-1, *images.shape[-3:])
    small = F.interpolate(flat, (height, width), mode="bilinear", antialias=True)
    return small.reshape(*images.shape[:-2], height, width)


def collate(samples: Sequence[Sample], size: int = 0) -> Batch:
    """Stacks samples; images are brought to `size` x `size` first unless it is 0.

    Series shorter than the longest are padded with zeros at their end, `seen` false there.
    Raises DataError when images of different sizes meet and no size was asked for.
    """
    images, seen, days = {}, {}, {}
    for name in samples[0].images:
        stacks = [s.images[name] for s in samples]
        if size:
            stacks = [resize(x, size, size) for x in stacks]
        for sample, x in zip(samples, stacks, strict=True):
            if x.shape[1:] != stacks[0].shape[1:]:
                raise DataError(
                    f"{sample.key} is {tuple(x.shape[-2:])} pixels, others are "
                    f"{tuple(stacks[0].shape[-2:])}; give one size for all with --size"
                )
        longest = max(len(x) for x in stacks)
        pad = [longest - len(x) for x in stacks]
        images[name] = torch.stack(
            [F.pad(x, (0, 0) * 3 + (0, p)) if p else x for x, p in zip(stacks, pad, strict=True)]
        )
        seen[name] = torch.arange(longest) < torch.tensor([[len(x)] for x in stacks])
        unknown = [torch.full((longest,), -1)] * len(stacks)
        given = [s.days.get(name, u) for s, u in zip(samples, unknown, strict=True)]
        days[name] = torch.stack([F.pad(d, (0, longest - len(d)), value=-1) for d in given])
    lonlat = torch.tensor([s.lonlat for s in samples])
    return Batch(tuple(s.key for s in samples), images, seen, days, lonlat)


@dataclass(frozen=True)
class Extractor:
    """A model, its view of a dataset, and the size at which it looks."""

    model: Model
    found: Mapping[str, Found]
    time: Time
    size: int
    device: str

    def __call__(self, batch: Batch) -> list[Features]:
        """Features of a collated batch, on the CPU."""
        picked = batch.to(self.device).select(self.found)
        card = self.model.card
        images = {n: resize(x, *side(card, *x.shape[-2:])) for n, x in picked.images.items()}
        picked = Batch(picked.keys, images, picked.seen, picked.days, picked.lonlat)
        with torch.inference_mode():
            out = encode(self.model, picked, self.time)
        return [Features(f.pooled.cpu(), tuple(p.cpu() for p in f.pyramid)) for f in out]


def batches(
    samples: Samples, size: int, batch: int, workers: int | None = None
) -> Iterator[tuple[Batch, list[Any]]]:
    """Collated batches and their targets, decoded ahead in worker processes where that pays."""
    if workers is None:
        workers = 0 if len(samples) < 512 else min(4, os.cpu_count() or 1)
    join = functools.partial(_join, size)
    yield from DataLoader(cast(Any, samples), batch, num_workers=workers, collate_fn=join)


def _join(size: int, samples: list[Sample]) -> tuple[Batch, list[Any]]:
    return collate(samples, size), [s.target for s in samples]


def extract(
    extractor: Extractor, samples: Samples, report: Report = lambda *_: None
) -> Iterator[tuple[list[Features], list[Any]]]:
    """Features and targets batch by batch, in order; the batch is halved when memory is short."""
    done, batch = 0, 64 if extractor.device.startswith("cuda") else 16
    while done < len(samples):
        try:
            rest = Subset(samples, range(done, len(samples))) if done else samples
            for images, targets in batches(rest, extractor.size, batch):
                yield extractor(images), targets
                done += len(targets)
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
        self._targets = np.load(folder / "targets.npy", mmap_mode="r")
        levels = sorted(folder.glob("level*.npy"))
        self._levels = [np.load(p, mmap_mode="r") for p in levels]

    def __len__(self) -> int:
        return len(self._targets)

    def pooled(self) -> Tensor:
        return torch.from_numpy(np.array(self._pooled))

    def pyramid(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        return tuple(torch.from_numpy(level[list(indices)]).float() for level in self._levels)

    def target(self, index: int) -> Any:
        return np.array(self._targets[index])

    def labels(self) -> Tensor:
        return torch.from_numpy(np.array(self._targets)).long()


class Streamed:
    """A split's dense features, computed again on every request; see core.Source."""

    def __init__(self, extractor: Extractor, samples: Samples) -> None:
        self.extractor, self.samples = extractor, samples

    def __len__(self) -> int:
        return len(self.samples)

    def pooled(self) -> Tensor:
        return torch.cat([f[0].pooled for f, _ in extract(self.extractor, self.samples)])

    def pyramid(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        batch = collate([self.samples.read(i) for i in indices], self.extractor.size)
        (features,) = self.extractor(batch)
        return tuple(_halved(torch.as_tensor(p.numpy())).float() for p in features.pyramid)

    def target(self, index: int) -> Any:
        return np.asarray(self.samples.read(index).target)

    def labels(self) -> Tensor:
        return torch.tensor([int(s.target) for s in self.samples])


class Chosen:
    """Some samples of a source, in the given order; see core.Source."""

    def __init__(self, whole: Stored | Streamed, indices: Sequence[int]) -> None:
        self.whole, self.indices = whole, list(indices)

    def __len__(self) -> int:
        return len(self.indices)

    def some(self, indices: Sequence[int]) -> Chosen:
        """Some of these."""
        return Chosen(self.whole, [self.indices[i] for i in indices])

    def pooled(self) -> Tensor:
        return self.whole.pooled()[self.indices]

    def pyramid(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        return self.whole.pyramid([self.indices[i] for i in indices])

    def target(self, index: int) -> Any:
        return self.whole.target(self.indices[index])

    def labels(self) -> Tensor:
        return self.whole.labels()[self.indices]


def _halved(x: Tensor) -> Tensor:
    """As float16, the largest values cut off: stored and streamed features alike."""
    return x.clamp(-65504, 65504).half()


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
    folder = places.cache() / "features" / fingerprint(full)[:24]
    if (folder / "meta.json").exists():
        return Stored(folder), True
    if level == "pyramid" and dense_bytes(extractor, samples) > budget():
        return Streamed(extractor, samples), False
    _fill(folder, full, extract(extractor, samples, report), len(samples), level)
    return Stored(folder), False


def _fill(
    folder: Path,
    identity: Mapping[str, Any],
    stream: Iterator[tuple[list[Features], list[Any]]],
    count: int,
    level: str,
) -> None:
    """Writes an entry under a temporary name and renames it: it is whole or it is not there."""
    temporary = folder.with_name(f"{folder.name}.tmp-{uuid.uuid4().hex}")
    temporary.mkdir(parents=True)
    arrays: dict[str, np.memmap[Any, Any]] = {}

    def put(name: str, start: int, values: np.ndarray) -> None:
        if name not in arrays:
            path, shape = temporary / f"{name}.npy", (count, *values.shape[1:])
            arrays[name] = np.lib.format.open_memmap(path, "w+", values.dtype, shape)
        arrays[name][start : start + len(values)] = values

    try:
        done = 0
        for features, targets in stream:
            (one,) = features
            put("pooled", done, one.pooled.numpy())
            put("targets", done, np.stack([np.asarray(t) for t in targets]))
            for i, dense in enumerate(one.pyramid if level == "pyramid" else ()):
                put(f"level{i}", done, _halved(dense).numpy())
            done += len(targets)
        for array in arrays.values():
            array.flush()
        (temporary / "meta.json").write_text(json.dumps(identity, indent=1))
        try:
            temporary.rename(folder)
        except OSError:
            if not (folder / "meta.json").exists():  # else another process was faster
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
