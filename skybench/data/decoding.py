"""Decodes samples into shards, in worker processes, each with whole images."""

from __future__ import annotations

import contextlib
import functools
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from skybench.core import DataError, Report
from skybench.core.dataset import Samples, groups_of
from skybench.core.fingerprint import fingerprint
from skybench.data import cores, shards
from skybench.data.sample_arrays import arrays_of, images_of
from skybench.data.shards import Place

FEW_BYTES = 64e6  # below it worker processes cost more than they save
LEFT_OVER = 3600  # seconds after which a partly written file belongs to a process that was killed


class Store(NamedTuple):
    """A split, and the folders of its shards."""

    samples: Samples
    images: Path
    targets: Path | None  # None: the class ids are known without decoding


class Job(NamedTuple):
    """The samples of one shard that is to be written."""

    store: Store
    indices: tuple[int, ...]
    with_images: bool  # else only the targets are to be written

    @property
    def keys(self) -> list[str]:
        """Return the keys of the samples."""
        return [self.store.samples.keys[i] for i in self.indices]

    @property
    def name(self) -> str:
        """Return the name of the shard, the same in every process that has the same job."""
        return fingerprint({"keys": self.keys})[:24]


class Opened(NamedTuple):
    """Where the samples of a split lie, by key."""

    images: dict[str, Place]
    targets: dict[str, Place]


def open_store(store: Store, written: frozenset[str] = frozenset()) -> Opened:
    """Return what is in a split's shards; written: names of shards that were just written.

    Raises DataError for a folder that cannot be read.
    """
    try:
        images = shards.open_shards(store.images, written)
        targets = shards.open_shards(store.targets, written) if store.targets else {}
    except OSError as error:
        raise _cannot_keep(store, error) from error
    return Opened(images, targets)


def missing_of(store: Store, found: Opened) -> list[list[int]]:
    """Return the samples that are not whole in shards: lists of tiles of one image, in order."""
    images: dict[str, list[int]] = {}
    keys = store.samples.keys
    for index, group in enumerate(groups_of(store.samples)):
        if keys[index] not in found.images or (store.targets and keys[index] not in found.targets):
            images.setdefault(group, []).append(index)
    return list(images.values())


def jobs_of(store: Store, found: Opened, most: int) -> list[Job]:
    """Return the shards to write, of about `most` samples, but of whole images."""
    keys, missing = store.samples.keys, missing_of(store, found)
    jobs = []
    for with_images in (True, False):
        images = (
            [i for i in tiles if (keys[i] not in found.images) == with_images] for tiles in missing
        )
        jobs += [Job(store, tuple(p), with_images) for p in _parts(filter(None, images), most)]
    return jobs


def _parts(images: Iterable[Sequence[int]], most: int) -> Iterator[list[int]]:
    part: list[int] = []
    for tiles in images:
        if part and len(part) + len(tiles) > most:
            yield part
            part = []
        part.extend(tiles)
    if part:
        yield part


def decode(jobs: Sequence[Job], each: int, report: Report) -> None:
    """Write the shards of all jobs, in worker processes where there is much to do.

    each: bytes of a sample. Raises the DataError of the first image that cannot be read.
    """
    from torch.utils.data import DataLoader

    for folder in {job.store.images for job in jobs}:
        _remove_left_over(folder)
    total = sum(len(job.indices) for job in jobs)
    workers = 0 if total * each < FEW_BYTES else min(cores.available(), len(jobs))
    done = 0
    report("decode", 0, total)
    numbers, ahead = cast(Any, range(len(jobs))), 1 if workers else None
    write = functools.partial(_write, jobs)
    loader = DataLoader(
        numbers, None, num_workers=workers, collate_fn=write, prefetch_factor=ahead, in_order=False
    )
    for written in loader:
        if isinstance(written, DataError):
            raise written
        done += written
        report("decode", done, total)


def _write(jobs: Sequence[Job], number: int) -> int | DataError:
    """Write a shard; return the number of its samples, or the error, without its traceback."""
    job = jobs[number]
    try:
        if not all(shards.is_written(folder, job.name) for folder in _folders(job)):
            _write_job(job)  # else another process was faster
    except DataError as error:  # raised in a worker, it would carry the worker's traceback
        return DataError(str(error)).with_traceback(error.__traceback__)
    except OSError as error:
        return _cannot_keep(job.store, error)
    return len(job.indices)


def _folders(job: Job) -> list[Path]:
    return [f for f in (job.store.images if job.with_images else None, job.store.targets) if f]


def _write_job(job: Job) -> None:
    samples = job.store.samples
    with contextlib.ExitStack() as stack:
        writers = {f: stack.enter_context(shards.new_shard(f, job.name)) for f in _folders(job)}
        images, targets = writers.get(job.store.images), writers.get(job.store.targets or Path())
        for index, key in zip(job.indices, job.keys, strict=True):
            with _as_data_error(key):
                sample = samples.read(index) if images else None
                target = sample.target if sample else samples.target(index)
            if images and sample:
                images.add(key, images_of(sample))
            if targets:
                targets.add(key, arrays_of(target))


@contextlib.contextmanager
def _as_data_error(key: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:  # of a reader; others are of the shards
        raise DataError(f"{key} cannot be read ({error}); get its file again") from error


def _cannot_keep(store: Store, error: OSError) -> DataError:
    return DataError(
        f"Decoded images cannot be kept in {store.images} ({error.strerror}); set SKYBENCH_CACHE "
        "to a folder that can hold them, or SKYBENCH_DECODED_GB=0 to decode them each time"
    )


def _remove_left_over(folder: Path) -> None:
    """Remove what killed processes left half written."""
    for path in folder.rglob(".*.tmp"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime > LEFT_OVER:
                path.unlink()
