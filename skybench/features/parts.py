"""Features on disk by image: an entry is a folder of parts, each the features of some images.

A part is an entry of `features.cache`: written whole or not at all, and proven when it is opened.
A damaged part costs its own images, a killed process at most those of the part in progress.
Several processes may add parts at the same time; of an image in two parts the older one counts.
"""

from __future__ import annotations

import contextlib
import json
import sys
import time
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skybench.core import DataError, folders
from skybench.core.fingerprint import fingerprint
from skybench.core.in_use import mark_in_use
from skybench.features import cache

ROWS = "rows.json"  # the keys of a part's images, in order, and what rounding changed
IMAGES, BYTES = 512, 256e6  # of a part, which is full with either; the bytes are held in memory
Arrays = Mapping[str, NDArray[Any]]


class FeaturePart(NamedTuple):
    """A proven part of an entry."""

    folder: Path
    keys: tuple[str, ...]
    names: frozenset[str]  # of its arrays, as "pooled", "level0"
    errors: tuple[float, ...] = ()  # relative, of each level, where rounding is coarse


class Entry:
    """The features of one model on one data set, in the parts that are proven."""

    def __init__(self, identity: Mapping[str, Any]) -> None:
        """identity: of everything that affects the features of an image, apart from its key."""
        self.identity = identity
        self.folder = folders.cache() / "features" / fingerprint(identity)[:24]
        mark_in_use(self.folder)
        self.faults: list[str] = []  # why parts were discarded, as far as they were
        self.parts = self._proven()

    def _proven(self) -> list[FeaturePart]:
        if not self.folder.is_dir():
            if fault := cache.entry_fault(self.folder, {}, []):
                self._discard(self.folder, fault)
            return []
        # A name that starts with a dot is of a part in progress, or of one that was given up.
        paths = sorted(p for p in self.folder.iterdir() if p.name.startswith("part-"))
        needed = ["pooled.npy", ROWS]
        proofs = cache.prove_entries(paths, self.folder, self.identity, needed)
        parts = []
        for path, proof in zip(paths, proofs, strict=True):
            if proof.fault:
                self._discard(path, proof.fault)
            else:
                parts.append(_opened(path, proof.arrays))
        return parts

    def _discard(self, path: Path, fault: str) -> None:
        if fault == cache.ABSENT:
            return
        print(f"Features in {path} are made again: {fault}.", file=sys.stderr, flush=True)
        cache.discard_entry(path)
        self.faults.append(fault)

    def write(
        self, keys: Sequence[str], stream: Iterable[Arrays], errors: Sequence[float] = ()
    ) -> None:
        """Write the features of images, given by batch and in order, to new parts.

        When the stream breaks off, what it gave until then is kept. Raises DataError where nothing
        can be written, OSError where a disk is full.
        """
        waiting: list[Arrays] = []
        left = list(keys)

        def flush() -> None:
            count = sum(len(x["pooled"]) for x in waiting)
            batches, waiting[:] = [*waiting], []
            mine, left[:] = left[:count], left[count:]
            self.parts.append(self._write_part(mine, batches, errors))

        try:
            for arrays in stream:
                if waiting and _shapes(waiting[0]) != _shapes(arrays):
                    flush()
                waiting.append(arrays)
                if _is_full(waiting):
                    flush()
        except BaseException:
            with contextlib.suppress(Exception):
                flush()
            raise
        if waiting:
            flush()

    def _write_part(
        self, keys: Sequence[str], batches: Sequence[Arrays], errors: Sequence[float]
    ) -> FeaturePart:
        # Names sort by the time at which parts were made.
        path = self.folder / f"part-{time.time_ns()}-{uuid.uuid4().hex[:8]}"
        with cache.new_entry(path, self.identity) as temporary:
            writer = cache.ArrayWriter(temporary, len(keys))
            for arrays in batches:
                writer.add(arrays)
            writer.close()
            rows = {"keys": [*keys], "errors": [*errors]}
            (temporary / ROWS).write_text(json.dumps(rows), encoding="utf-8")
        return FeaturePart(path, tuple(keys), frozenset(batches[0]), tuple(errors))


def _opened(path: Path, names: Iterable[str]) -> FeaturePart:
    rows = json.loads((path / ROWS).read_text(encoding="utf-8"))
    arrays = frozenset(name.removesuffix(".npy") for name in names if name != ROWS)
    return FeaturePart(path, tuple(rows["keys"]), arrays, tuple(rows["errors"]))


def _shapes(arrays: Arrays) -> list[tuple[int, ...]]:
    return [x.shape[1:] for x in arrays.values()]


def _is_full(batches: Sequence[Arrays]) -> bool:
    size = sum(x.nbytes for arrays in batches for x in arrays.values())
    return size >= BYTES or sum(len(x["pooled"]) for x in batches) >= IMAGES


class CachedRows:
    """The rows of samples in the parts of an entry, read as memory maps."""

    def __init__(self, entry: Entry, keys: Sequence[str], names: Iterable[str] = ()) -> None:
        """names: of arrays that each sample must have, beside "pooled"."""
        self.entry, self.keys, self.names = entry, keys, frozenset(names)
        self.numbers, self.row = np.full(len(keys), -1), np.zeros(len(keys), int)  # of its part
        self.used: list[FeaturePart] = []
        self.maps: dict[tuple[int, str], NDArray[Any]] = {}
        self.find()

    def __len__(self) -> int:
        return len(self.keys)

    def find(self) -> None:
        """Look for samples that were missing in the parts that came since the last look."""
        place = {key: index for index, key in enumerate(self.keys)}
        start, self.used = len(self.used), [*self.entry.parts]
        for number, part in enumerate(self.used[start:], start):
            if not self.names <= part.names:
                continue
            for row, key in enumerate(part.keys):
                index = place.get(key, -1)
                if index >= 0 and self.numbers[index] < 0:
                    self.numbers[index], self.row[index] = number, row

    def part_of(self, index: int) -> FeaturePart:
        """Return the part that has a sample, which is not missing."""
        return self.used[int(self.numbers[index])]

    def missing(self) -> list[int]:
        """Return the indices of the samples without features."""
        missing: list[int] = np.flatnonzero(self.numbers < 0).tolist()
        return missing

    def read(self, name: str, indices: Sequence[int]) -> NDArray[Any]:
        """Return an array of some samples, in their order: a copy, one row each.

        Raises DataError where their shapes differ.
        """
        chosen = np.asarray(indices, int)
        numbers = self.numbers[chosen]
        order = np.argsort(numbers, kind="stable")
        first = self._map(int(numbers[0]) if len(chosen) else 0, name)
        out = np.empty((len(chosen), *first.shape[1:]), first.dtype)
        for places in np.split(order, np.flatnonzero(np.diff(numbers[order])) + 1):
            if not len(places):  # of no samples
                continue
            stored = self._map(int(numbers[places[0]]), name)
            if stored.shape[1:] != first.shape[1:]:
                raise DataError(
                    f"the features of {self.keys[chosen[places[0]]]} have the shape "
                    f"{stored.shape[1:]}, others {first.shape[1:]}; give one size for all images "
                    "with --size"
                )
            out[places] = stored[self.row[chosen[places]]]
        return out

    def _map(self, part: int, name: str) -> NDArray[Any]:
        if (part, name) not in self.maps:
            path = self.used[part].folder / f"{name}.npy"
            self.maps[part, name] = np.load(path, mmap_mode="r")
        return self.maps[part, name]
