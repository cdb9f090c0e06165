"""The cache on disk: entries of arrays, each written whole or not at all, and proven when opened.

An entry is a folder of `.npy` files with `meta.json`, which holds what the entry is of, the
names, shapes and types of its arrays, and their checksums. Only an entry that agrees with all of
this is used; anything else in its place is removed, and the entry is made again.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from torch import Tensor

from skybench.core import DataError
from skybench.core.atomic import folder_whole, write_whole
from skybench.core.file_hash import file_digests, read_digest
from skybench.core.fingerprint import canonical_json, fingerprint

META = "meta.json"
ABSENT = "absent"
CONTENTS = ("identity", "arrays")  # of meta.json, beside the sha256 of the two
Arrays = Mapping[str, Mapping[str, Any]]  # by file name: bytes, sha256, shape, dtype


def as_labels(targets: Tensor) -> Tensor:
    """Return class ids, or classes, of many samples as int64; floating-point values stay."""
    return targets if targets.is_floating_point() else targets.long()


class Proof(NamedTuple):
    """What is known of an entry: why it cannot be used, "" for nothing, and its arrays' facts."""

    fault: str
    arrays: Arrays


def entry_fault(folder: Path, identity: Mapping[str, Any], names: Iterable[str]) -> str:
    """Return why an entry cannot be used; "" where it is proven whole, ABSENT where there is none.

    identity: what the entry must be of; names: files that it must have at least. The checksums
    are computed once, and again where a file has other time stamps.
    """
    return prove_entries([folder], folder, identity, names)[0].fault


def prove_entries(
    entries: Sequence[Path], root: Path, identity: Mapping[str, Any], names: Iterable[str]
) -> list[Proof]:
    """Prove several entries of one identity, see `entry_fault`; they are `root` or below it.

    Their checksums are remembered together: of many entries each file costs a `stat`.
    """
    wanted, expected = set(names), canonical_json(identity)
    known = [_read_facts(folder, expected, wanted) for folder in entries]
    paths = [f / name for f, proof in zip(entries, known, strict=True) if not proof.fault
             for name in proof.arrays]  # fmt: skip
    found = dict(zip(paths, _digests(paths, root), strict=True))
    return [
        proof if proof.fault else Proof(_checksum_fault(folder, proof.arrays, found), proof.arrays)
        for folder, proof in zip(entries, known, strict=True)
    ]


def entry_damage(folder: Path) -> str:
    """Return how an entry is damaged, whatever it is of; "" for nothing. All files are read."""
    known = _read_facts(folder, None, set())
    found: dict[Path, str | OSError] = {}
    for path in () if known.fault else map(folder.joinpath, known.arrays):
        try:
            found[path] = read_digest(path)
        except OSError as error:
            found[path] = error
    return known.fault or _checksum_fault(folder, known.arrays, found)


def _read_facts(folder: Path, expected: str | None, names: set[str]) -> Proof:
    """All that is known of an entry without its checksums; expected: None for any identity."""
    if not folder.is_dir():
        return Proof("a file is in its place" if os.path.lexists(folder) else ABSENT, {})
    try:
        stored = json.loads((folder / META).read_text(encoding="utf-8"))
        arrays = {name: dict(facts) for name, facts in stored["arrays"].items()}
        sound = stored["sha256"] == fingerprint({name: stored[name] for name in CONTENTS})
        same = expected in (None, canonical_json(stored["identity"]))
    except FileNotFoundError:
        return Proof(f"{META} is missing", {})
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return Proof(f"{META} is damaged, or of an earlier version without checksums", {})
    if not sound or not same:
        return Proof(f"{META} is {'of another entry' if sound else 'damaged'}", {})
    if lacking := sorted(names - set(arrays)):
        return Proof(f"{META} does not list {lacking[0]}", {})
    return Proof(_size_fault(folder, arrays), arrays)


def _size_fault(folder: Path, arrays: Arrays) -> str:
    for name, facts in arrays.items():
        path = folder / name
        if not path.is_file() or path.parent != folder:
            return f"{path.name} is missing"
        if path.stat().st_size != facts.get("bytes"):
            return f"{path.name} has {path.stat().st_size:,} bytes, not those written"
    return ""


def _digests(paths: Sequence[Path], root: Path) -> list[str | OSError]:
    """The digests of files below `root`, or why one cannot be read."""
    try:
        return [*file_digests(paths, root)]
    except OSError as error:
        if len(paths) == 1:
            return [error]
        return [digest for path in paths for digest in _digests([path], root)]


def _checksum_fault(folder: Path, arrays: Arrays, found: Mapping[Path, str | OSError]) -> str:
    for name, facts in arrays.items():
        digest = found[folder / name]
        if isinstance(digest, OSError):
            return f"{name} cannot be read ({digest.strerror})"
        if facts.get("sha256") != digest:
            return f"{name} has another checksum than when it was written"
    return ""


def discard_entry(folder: Path) -> None:
    """Remove an entry, or what is in its place. Raises DataError where it cannot be."""
    aside = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.tmp")
    try:
        folder.rename(aside)
    except FileNotFoundError:  # another process was faster
        return
    except OSError as error:
        raise DataError(
            f"{folder} is damaged and cannot be removed ({error.strerror}); remove it, or set "
            "SKYBENCH_CACHE to another folder"
        ) from error
    if aside.is_dir() and not aside.is_symlink():
        shutil.rmtree(aside, ignore_errors=True)
    else:
        aside.unlink(missing_ok=True)


@contextlib.contextmanager
def new_entry(folder: Path, identity: Mapping[str, Any]) -> Iterator[Path]:
    """Yield a temporary folder for the arrays of an entry; at the end it becomes the entry.

    Raises DataError if the folder cannot be made.
    """
    with contextlib.ExitStack() as stack:
        try:
            temporary = stack.enter_context(folder_whole(folder))
        except OSError as error:
            raise DataError(
                f"Features cannot be written to {folder.parent} ({error.strerror}); set "
                "SKYBENCH_CACHE to a folder that can"
            ) from error
        yield temporary
        meta = {"identity": identity, "arrays": dict(map(_facts, sorted(temporary.iterdir())))}
        with write_whole(temporary / META) as path:
            path.write_text(json.dumps({**meta, "sha256": fingerprint(meta)}), encoding="utf-8")


def _facts(path: Path) -> tuple[str, dict[str, Any]]:
    facts: dict[str, Any] = {"bytes": path.stat().st_size, "sha256": read_digest(path)}
    if path.suffix == ".npy":
        array = np.load(path, mmap_mode="r")
        facts |= {"shape": list(array.shape), "dtype": str(array.dtype)}
    return path.name, facts


def _reserve(path: Path) -> None:
    """Allocate a sparse file: a full disk is an OSError now, later a bus error."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


class ArrayWriter:
    """Writes arrays of `count` rows to .npy files of a folder, some rows at a time."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder, self.count, self.done = folder, count, 0
        self.arrays: dict[str, np.memmap[Any, Any]] = {}

    def add(self, rows: Mapping[str, np.ndarray]) -> None:
        """Append rows, by the arrays' names."""
        for name, values in rows.items():
            if name not in self.arrays:
                path, shape = self.folder / f"{name}.npy", (self.count, *values.shape[1:])
                self.arrays[name] = np.lib.format.open_memmap(path, "w+", values.dtype, shape)
                _reserve(path)
            self.arrays[name][self.done : self.done + len(values)] = values
        self.done += max(map(len, rows.values()))

    def close(self) -> None:
        """Write all to disk."""
        for array in self.arrays.values():
            array.flush()
        self.arrays = {}
