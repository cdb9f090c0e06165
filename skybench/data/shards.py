"""Shards: plain files with the arrays of many samples, each written whole or not at all.

A shard is NAME.bin, the samples' arrays one after the other, and NAME.json, its index, which has
the checksum of both and is written last. Reading a sample is one read of one part of a file: no
decoder, no pickle. Whole numbers are stored in the smallest type that holds them, and handed out in
their own.
"""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import sys
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skybench.core import DataError
from skybench.core.atomic import write_whole
from skybench.core.file_hash import file_digests, read_digest
from skybench.core.fingerprint import fingerprint

Arrays = Mapping[str, NDArray[Any]]  # of one sample, by name
ALIGNED = 8  # bytes; arrays start at multiples
NARROWER = ("uint8", "uint16", "int16", "uint32", "int32")


class StoredArray(NamedTuple):
    """How an array of a sample is stored."""

    name: str
    dtype: str  # as it is handed out
    stored: str  # in the file
    shape: tuple[int, ...]

    @property
    def nbytes(self) -> int:
        """Return the size in the file, with the padding."""
        count = int(np.prod(self.shape, dtype=np.int64)) * np.dtype(self.stored).itemsize
        return -(-count // ALIGNED) * ALIGNED


class Place(NamedTuple):
    """Where the arrays of one sample lie."""

    path: Path
    offset: int
    arrays: tuple[StoredArray, ...]


def stored_bytes(arrays: Arrays) -> int:
    """Return the bytes that a sample's arrays take in a shard."""
    return sum(_plan(name, array).nbytes for name, array in arrays.items())


class ShardWriter:
    """Writes the arrays of samples, one sample after the other; see `new_shard`."""

    def __init__(self, file: IO[bytes]) -> None:
        self.file, self.digest = file, hashlib.sha256()
        self.layouts: dict[tuple[StoredArray, ...], int] = {}
        self.keys: list[str] = []
        self.numbers: list[int] = []  # of the samples' layouts

    def add(self, key: str, arrays: Arrays) -> None:
        """Append a sample."""
        layout = tuple(_plan(name, array) for name, array in arrays.items())
        self.keys.append(key)
        self.numbers.append(self.layouts.setdefault(layout, len(self.layouts)))
        for plan in layout:
            data = _padded(plan, arrays[plan.name])
            self.digest.update(data)
            self.file.write(data)

    def index(self) -> dict[str, Any]:
        """Return what tells the samples and their places, as plain JSON."""
        index = {
            "keys": self.keys, "layouts": list(self.layouts), "of": self.numbers,
            "bytes": self.file.tell(), "sha256": self.digest.hexdigest(),
        }  # fmt: skip
        return {**index, "seal": fingerprint(index)}


@contextlib.contextmanager
def new_shard(folder: Path, name: str) -> Iterator[ShardWriter]:
    """Yield a writer; at the end the shard is there, after an error nothing. Raises OSError."""
    with write_whole(folder / f"{name}.json") as index:
        with write_whole(folder / f"{name}.bin") as path, path.open("wb") as file:
            writer = ShardWriter(file)
            yield writer
            text = json.dumps(writer.index())
        index.write_text(text, encoding="utf-8")


def is_written(folder: Path, name: str) -> bool:
    """Return whether a shard is there, by its index alone."""
    return (folder / f"{name}.json").is_file()


def open_shards(folder: Path, trusted: Collection[str] = ()) -> dict[str, Place]:
    """Return where each sample of a folder's shards lies, by key; damaged shards are removed.

    trusted: names of shards that this process has just written; those of others are read once, to
    prove their checksums. A sentence on stderr names what is damaged.
    """
    indices: dict[Path, dict[str, Any]] = {}
    for path in sorted(folder.glob("[!.]*.json")):
        if (index := _index(path)) is None:
            _discard(path)
        else:
            indices[path.with_suffix(".bin")] = index
    unproven = [path for path in indices if path.stem not in trusted]
    digests = dict(zip(unproven, file_digests(unproven, folder), strict=True)) if unproven else {}
    found: dict[str, Place] = {}
    for path, index in indices.items():
        if digests.get(path, index["sha256"]) != index["sha256"]:
            _discard(path.with_suffix(".json"))
            continue
        layouts = [tuple(StoredArray(n, d, s, tuple(x)) for n, d, s, x in own)
                   for own in index["layouts"]]  # fmt: skip
        sizes = [sum(array.nbytes for array in layout) for layout in layouts]
        starts = itertools.accumulate((sizes[n] for n in index["of"]), initial=0)
        for key, number, start in zip(index["keys"], index["of"], starts, strict=False):
            found.setdefault(key, Place(path, start, layouts[number]))
    return found


def damaged_shards(folder: Path) -> list[Path]:
    """Return the indices of the damaged shards below a folder; all files are read."""
    return [
        path
        for path in sorted(folder.rglob("[!.]*.json"))
        if (index := _index(path)) is None
        or read_digest(path.with_suffix(".bin")) != index["sha256"]
    ]


def discard_shard(index: Path) -> None:
    """Remove a shard, by its index."""
    index.unlink(missing_ok=True)
    index.with_suffix(".bin").unlink(missing_ok=True)


def read_arrays(place: Place) -> dict[str, NDArray[Any]]:
    """Return the arrays of one sample, writable. Raises DataError where the shard is gone."""
    data = np.empty(sum(array.nbytes for array in place.arrays), np.uint8)
    try:
        with place.path.open("rb", buffering=0) as file:
            file.seek(place.offset)
            if file.readinto(data.data) != len(data):
                raise OSError("it is shorter than it was")
    except OSError as error:
        raise DataError(
            f"{place.path} cannot be read ({error}); it was removed or changed while it was in "
            "use. Run the same command again"
        ) from error
    arrays, start = {}, 0
    for stored in place.arrays:
        size = int(np.prod(stored.shape, dtype=np.int64)) * np.dtype(stored.stored).itemsize
        array = data[start : start + size].view(stored.stored).reshape(stored.shape)
        arrays[stored.name] = array.astype(stored.dtype, copy=False)
        start += stored.nbytes
    return arrays


def _plan(name: str, array: NDArray[Any]) -> StoredArray:
    stored = array.dtype
    if stored.kind in "iu" and stored.itemsize > 1 and array.size:
        low, high = array.min(), array.max()
        fitting = (np.dtype(n) for n in NARROWER if np.dtype(n).itemsize < stored.itemsize)
        stored = next(
            (d for d in fitting if np.iinfo(d).min <= low and high <= np.iinfo(d).max), stored
        )
    return StoredArray(name, array.dtype.str, stored.str, array.shape)


def _padded(plan: StoredArray, array: NDArray[Any]) -> bytes:
    data = array.astype(plan.stored, copy=False).tobytes()
    return data + bytes(plan.nbytes - len(data))


def _index(path: Path) -> dict[str, Any] | None:
    """The index of a shard whose file has its size; None where either is damaged."""
    try:
        index: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        sound = index.pop("seal") == fingerprint(index)
        return (
            index if sound and path.with_suffix(".bin").stat().st_size == index["bytes"] else None
        )
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def _discard(index: Path) -> None:
    print(f"Decoded images in {index.with_suffix('.bin')} are damaged and are made again.",
          file=sys.stderr, flush=True)  # fmt: skip
    discard_shard(index)
