"""From samples to batches: decoded, brought to one size, stacked, ahead of their use."""

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


def side(card: ModelCard, name: str, height: int, width: int) -> tuple[int, int]:
    """The size at which a model's input sees an image: at least its smallest, a whole multiple.

    >>> from types import SimpleNamespace
    >>> side(SimpleNamespace(min_pixels=256, multiple=32, sides={"s2": (16, 4)}), "hr", 64, 96)
    (256, 384)
    """
    smallest, step = card.sides.get(name, (card.min_pixels, card.multiple))
    scale = max(1.0, smallest / min(height, width))
    return tuple(-(-round(x * scale) // step) * step for x in (height, width))  # type: ignore[return-value]


def resize(images: Tensor, height: int, width: int) -> Tensor:
    """Bilinear, antialiased where it shrinks; [..., C, H, W] any dtype -> float32."""
    if images.shape[-2:] == (height, width):
        return images.float()
    flat = images.float().reshape(-1, *images.shape[-3:])
    small = F.interpolate(flat, (height, width), mode="bilinear", antialias=True)
    return small.reshape(*images.shape[:-2], height, width)


def collate(samples: Sequence[Sample], size: int = 0) -> Batch:
    """Stacks samples; unless `size` is 0, images are brought to squares first.

    The finest sensor's get the side `size`, the others a side in the proportion of theirs to it.
    Series shorter than the longest are padded with zeros at their end, `seen` false there.
    Raises DataError when images of different sizes meet and no size was asked for.
    """
    images, seen, days = {}, {}, {}
    finest = max(max(x.shape[-2:]) for x in samples[0].images.values())
    for name, example in samples[0].images.items():
        stacks = [s.images[name] for s in samples]
        if size:
            own = max(1, round(size * max(example.shape[-2:]) / finest))
            stacks = [resize(x, own, own) for x in stacks]
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
    """Collated batches and their targets, decoded ahead in worker processes where that pays."""
    if workers is None:
        workers = 0 if len(samples) < 512 else min(4, _cores())
    load = functools.partial(_load, samples, size)
    indices = cast(Any, range(len(samples)))
    for loaded in DataLoader(indices, batch, num_workers=workers, collate_fn=load):
        if isinstance(loaded, DataError):
            raise loaded
        yield loaded


def _cores() -> int:
    """The cores that this process may use, which can be fewer than there are."""
    there = getattr(os, "sched_getaffinity", None)  # not on macOS and Windows
    return len(there(0)) if there else os.cpu_count() or 1


def _load(
    samples: Samples, size: int, indices: Sequence[int]
) -> tuple[Batch, list[Any]] | DataError:
    """A batch, or why it cannot be read: what a worker raises comes with a page of traceback."""
    try:
        return _join(size, [samples[i] for i in indices])
    except DataError as error:
        return DataError(str(error)).with_traceback(error.__traceback__)


def _join(size: int, samples: list[Sample]) -> tuple[Batch, list[Any]]:
    return collate(samples, size), [s.target for s in samples]
