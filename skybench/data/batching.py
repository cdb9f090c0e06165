"""Batching: samples are decoded, resized and stacked, by processes or threads, ahead of use."""

from __future__ import annotations

import functools
import math
import os
import sys
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.data import DataLoader

from skybench.core import Batch, DataError, ModelCard, Sample
from skybench.core.dataset import Samples
from skybench.data import cores
from skybench.data.decoded import is_decoded

FEW = 512  # samples; below it to start processes takes longer than they save
THREADS = 4  # that load batches, each one
SHARED = "/dev/shm"  # by which processes hand tensors over on Linux
_TOLD: set[float] = set()  # sizes of it that were found too small


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
    sides = _sides(samples[0].images, size)
    for name in samples[0].images:
        stacks = [s.images[name] for s in samples]
        if size:
            stacks = [resize(x, sides[name], sides[name]) for x in stacks]
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


def _sides(images: Mapping[str, Tensor], size: int) -> dict[str, int]:
    """The side of each sensor's images where the finest get `size`; of images as they are read."""
    finest = max(max(x.shape[-2:]) for x in images.values())
    return {n: max(1, round(size * max(x.shape[-2:]) / finest)) for n, x in images.items()}


def _has_size(sample: Sample, size: int) -> bool:
    """Whether the images of a sample are as large as `collate` makes them."""
    sides = _sides(sample.images, size)
    return all(x.shape[-2:] == (sides[n], sides[n]) for n, x in sample.images.items())


def collate_as_stored(samples: Sequence[Sample], size: int) -> Batch:
    """Stack samples in the stored type and size, for `resized` on the device.

    Where images differ in shape this is `collate`, which resizes them here.
    """
    shapes = {tuple((n, x.shape[1:]) for n, x in sample.images.items()) for sample in samples}
    return collate(samples, 0 if len(shapes) == 1 else size)


def resized(batch: Batch, size: int) -> Batch:
    """Return a batch that `collate` would have resized to `size`, float32; 0: as it is.

    A batch that has this size already keeps it.
    """
    if not size:
        return batch
    sides = _sides(batch.images, size)
    images = {n: resize(x, sides[n], sides[n]) for n, x in batch.images.items()}
    return replace(batch, images=images)


def batches(
    samples: Samples, size: int, batch: int, workers: int | None = None, device: str = "cpu"
) -> Iterator[tuple[Batch, list[Any]]]:
    """Yield batches and their targets, in order, loaded ahead of their use.

    workers: processes that load, 0: threads alone, None: as the samples ask. device: where the
    batches will be used. For GPUs images come as they are stored, in pinned memory, and are to be
    `resized` there; for CPUs as they are stored where they have the size already. Raises the
    DataError of a sample that cannot be read.
    """
    gpu = device.startswith("cuda")
    load = functools.partial(_load_batch, samples, size, gpu)
    parts = [range(i, min(i + batch, len(samples))) for i in range(0, len(samples), batch)]
    loading = _loading(samples, load, batch) if workers is None else Loading(workers, 2)
    loaded = (
        _by_processes(load, parts, loading, gpu) if loading.workers else _by_threads(load, parts)
    )
    for item in loaded:
        if isinstance(item, DataError):
            raise item
        if gpu and not loading.workers:  # the loader of processes does so itself
            item = item.pin_memory()
        yield item.batch, item.targets


class Loaded(NamedTuple):
    """A batch and its targets; `DataLoader` calls `pin_memory`."""

    batch: Batch
    targets: list[Any]

    def pin_memory(self) -> Loaded:
        """Return the batch in memory from which GPUs copy while they compute."""

        def pin(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
            return {name: x.pin_memory() for name, x in tensors.items()}

        b = self.batch
        pinned = Batch(b.keys, pin(b.images), pin(b.seen), pin(b.days), b.lonlat.pin_memory())
        return Loaded(pinned, self.targets)


class Loading(NamedTuple):
    """How batches are loaded."""

    workers: int  # processes; 0: threads
    ahead: int  # batches that each process has ready


def loading_within(batch_bytes: float, count: int, free: float) -> Loading:
    """Return how to load with up to `count` processes, which hand batches over in shared memory.

    free: its bytes, of which half may be taken; where that is too little, threads load.

    >>> loading_within(1e6, 16, 64e6), loading_within(1e6, 16, 20e6), loading_within(1e9, 4, 1e9)
    (Loading(workers=16, ahead=2), Loading(workers=10, ahead=1), Loading(workers=0, ahead=1))
    """
    most = int(min(free / 2 / max(1.0, batch_bytes), 1e6))
    ahead = 2 if most >= 2 * count else 1
    return Loading(min(count, most // ahead), ahead)


def _loading(
    samples: Samples, load: Callable[[Sequence[int]], Loaded | DataError], batch: int
) -> Loading:
    """Threads for what is fast to read, or few; else a process a core, as shared memory allows."""
    count = cores.available()
    if len(samples) < FEW or count == 1 or is_decoded(samples):
        return Loading(0, 1)
    first = load([0])
    if isinstance(first, DataError):
        raise first
    size = batch * sum(x.nbytes for x in first.batch.images.values())
    size += batch * getattr(first.targets[0], "nbytes", 0)
    free = _shared_memory()
    loading = loading_within(size, count, free)
    if loading.workers < count and free not in _TOLD:
        _TOLD.add(free)
        how = f"{loading.workers} processes" if loading.workers else "threads"
        print(
            f"{SHARED} has {free / 1e6:,.0f} MB: images are loaded by {how} instead of {count} "
            "processes; give a container more of it (docker run --shm-size).",
            file=sys.stderr,
            flush=True,
        )
    return loading


def _shared_memory() -> float:
    """The free bytes of the memory by which processes hand tensors over; inf: without limit."""
    try:
        found = os.statvfs(SHARED)
    except (AttributeError, OSError):  # Windows; macOS
        return math.inf
    return float(found.f_bavail * found.f_frsize)


def _by_processes(
    load: Callable[[Sequence[int]], Loaded | DataError],
    parts: Sequence[Sequence[int]],
    loading: Loading,
    pinned: bool,
) -> Iterator[Loaded | DataError]:
    loader = DataLoader(
        cast(Any, parts), None, num_workers=loading.workers, collate_fn=load,
        prefetch_factor=loading.ahead, pin_memory=pinned,
    )  # fmt: skip
    yield from loader


def _by_threads(
    load: Callable[[Sequence[int]], Loaded | DataError], parts: Sequence[Sequence[int]]
) -> Iterator[Loaded | DataError]:
    """Load a batch in each thread, as many ahead; the first is loaded at once."""
    count = min(THREADS, cores.available())
    pool, coming = ThreadPoolExecutor(count), deque[Future[Loaded | DataError]]()
    try:
        for part in parts:
            coming.append(pool.submit(load, part))
            if len(coming) > count:
                yield coming.popleft().result()
        while coming:
            yield coming.popleft().result()
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _load_batch(
    samples: Samples, size: int, as_stored: bool, indices: Sequence[int]
) -> Loaded | DataError:
    """Return a batch, or the error: raised in a worker, it would carry the worker's traceback."""
    try:
        read = [samples[i] for i in indices]
        stored = as_stored or all(_has_size(sample, size) for sample in read)
        batch = collate_as_stored(read, size) if stored else collate(read, size)
        return Loaded(batch, [sample.target for sample in read])
    except DataError as error:
        return DataError(str(error)).with_traceback(error.__traceback__)
