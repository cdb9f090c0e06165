"""Batching: samples are decoded, resized and stacked, in worker processes where that pays."""

from __future__ import annotations

import functools
import os
from collections.abc import Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

from skybench.core import Batch, DataError, ModelCard, Sample
from skybench.core.dataset import Samples


def input_size(card: ModelCard, name: str, height: int, width: int) -> tuple[int, int]:
    """Return the height and width to which an image is resized for an input of a model.

    That is at least the input's smallest side, and a multiple of its step.

    >>> from types import SimpleNamespace
    >>> card = SimpleNamespace(min_pixels=256, multiple=32, input_sizes={"s2": (16, 4)})
    >>> input_size(card, "hr", 64, 96)
    (256, 384)
    """
    smallest, step = card.input_sizes.get(name, (card.min_pixels, card.multiple))
    scale = max(1.0, smallest / min(height, width))
    return tuple(-(-round(x * scale) // step) * step for x in (height, width))  # type: ignore[return-value]


def resize(images: Tensor, height: int, width: int) -> Tensor:
    """Resize bilinearly, with antialiasing; [..., C, H, W] of any dtype -> float32."""
    if images.shape[-2:] == (height, width):
        return images.float()
    flat = images.float().reshape(-1, *images.shape[-3:])
    small = F.interpolate(flat, (height, width), mode="bilinear", antialias=True)
    return small.reshape(*images.shape[:-2], height, width)


def require_finite(sample: Sample) -> None:
    """Raise DataError for NaN or infinite pixels, from which no score would follow."""
    for name, images in sample.images.items():
        if images.is_floating_point() and not (finite := images.isfinite()).all():
            raise DataError(
                f"{sample.key} has {int((~finite).sum())} values of {name} that are NaN or "
                "infinite; its file is damaged, or its nodata pixels are not filled. Get the file "
                "again, or put a number in their place"
            )


def collate(samples: Sequence[Sample], size: int = 0) -> Batch:
    """Stack samples to a batch; unless `size` is 0, images are first resized to squares.

    Images of the finest sensor get the side `size`, those of coarser sensors a proportional one.
    Shorter series are padded with zeros at the end, where `seen` is false.
    Raises DataError where images differ in size and `size` is 0, and for NaN or infinite pixels.
    """
    for sample in samples:
        require_finite(sample)
    images, seen, days = {}, {}, {}
    finest = max(max(x.shape[-2:]) for x in samples[0].images.values())
    for name, example in samples[0].images.items():
        stacks = [s.images[name] for s in samples]
        if size:
            side = max(1, round(size * max(example.shape[-2:]) / finest))
            stacks = [resize(x, side, side) for x in stacks]
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


def batches(
    samples: Samples, size: int, batch: int, workers: int | None = None
) -> Iterator[tuple[Batch, list[Any]]]:
    """Yield batches and their targets; workers: processes for decoding, None: as the size asks."""
    if workers is None:
        workers = 0 if len(samples) < 512 else min(4, _cores())
    load_batch = functools.partial(_load_batch, samples, size)
    indices = cast(Any, range(len(samples)))
    for loaded in DataLoader(indices, batch, num_workers=workers, collate_fn=load_batch):
        if isinstance(loaded, DataError):
            raise loaded
        yield loaded


def _cores() -> int:
    """Return the number of cores that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)  # absent on macOS and Windows
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _load_batch(
    samples: Samples, size: int, indices: Sequence[int]
) -> tuple[Batch, list[Any]] | DataError:
    """Return a batch, or the error: raised in a worker, it would carry the worker's traceback."""
    try:
        read = [samples[i] for i in indices]
        return collate(read, size), [sample.target for sample in read]
    except DataError as error:
        return DataError(str(error)).with_traceback(error.__traceback__)
