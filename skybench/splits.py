"""Which samples belong to a split: official lists where they can be had, else a rule of ours."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tempfile
import urllib.request
import zlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from skybench import places, registry
from skybench.core import DataError, UsageError
from skybench.samples import fingerprint_keys

LIMIT = 8_000_000  # bytes of one list; the longest known has 2 million
GZIP = b"\x1f\x8b"
BROKEN = (OSError, EOFError, UnicodeDecodeError, zlib.error)  # what an unreadable list raises


@dataclass(frozen=True)
class SplitList:
    """A published list of file names."""

    filename: str  # plain text, or with ".gz" added; lines `file class id`
    count: int
    sha256: str  # of the bare file names, see `fingerprint_keys`
    url: str = ""  # "" where there is no public copy


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
    """Bare file names of a list, plain or gzipped; folders, class and id are left out."""
    if data[:2] == GZIP:
        data = gzip.GzipFile(fileobj=io.BytesIO(data)).read(LIMIT)
    lines = data.decode("utf-8").splitlines()
    return [line.split()[0].rsplit("/", 1)[-1] for line in lines if line.strip()]


def names_in(path: Path, expected: SplitList) -> list[str]:
    """The file names of a list on disk. Raises DataError unless it is the published one."""
    try:
        names = parse(path.read_bytes())
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
    """The names of each list, from <root>/splits/ or <cache>/splits/<dataset>/; None: not there.

    Raises DataError where only some of the lists are found: an official training set beside a
    test set of ours would overlap.
    """
    found, absent = {}, []
    for split, expected in lists.items():
        path = _on_disk(expected.filename, (root / "splits", folder(dataset)))
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


def _on_disk(filename: str, folders: Iterable[Path]) -> Path | None:
    for place in folders:
        for path in (place / filename, place / f"{filename}.gz"):
            if path.is_file():
                return path
    return None


def fetch(dataset: str, from_path: Path | None = None) -> list[Path]:
    """Brings the official lists of a dataset into the cache and returns their paths.

    from_path: a list or a folder with lists (any names: they are known by their content); None
    downloads those that are not there yet.
    Raises UsageError where a dataset has no lists, DataError where a list is not the published
    one or cannot be had.
    """
    lists = tuple(getattr(registry.load("datasets", dataset), "LISTS", {}).values())
    if not lists:
        raise UsageError(f"{dataset} has no split lists to fetch")
    if from_path is None:
        return [_held(e, folder(dataset)) or download(e, folder(dataset)) for e in lists]
    if not from_path.exists():
        raise DataError(f"there is no {from_path} to take the split lists of {dataset} from")
    given = (
        sorted(p for p in from_path.iterdir() if p.is_file()) if from_path.is_dir() else [from_path]
    )
    kept = [path for source in given for path in _keep(source, lists, folder(dataset))]
    if not kept:
        raise DataError(
            f"{from_path} holds none of the published lists of {dataset}; expected "
            f"{', '.join(expected.filename for expected in lists)}, plain or .gz"
        )
    return kept


def _held(expected: SplitList, into: Path) -> Path | None:
    """A list that was fetched before, checked again."""
    path = _on_disk(expected.filename, (into,))
    if path is not None:
        names_in(path, expected)
    return path


def _keep(source: Path, lists: Sequence[SplitList], into: Path) -> list[Path]:
    data = source.read_bytes() if source.stat().st_size <= LIMIT else b""
    try:
        fingerprint = fingerprint_keys(parse(data))
    except BROKEN:
        return []
    matching = [expected for expected in lists if expected.sha256 == fingerprint]
    return [_write(into, expected, data) for expected in matching]


def download(expected: SplitList, into: Path, timeout: float = 30.0) -> Path:
    """Downloads one list into a folder, checks it and only then gives it its name."""
    by_hand = (
        f"Get {expected.filename} by hand and put it (plain or .gz) into {into}, or pass --from DIR"
    )
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
    path = into / (expected.filename + (".gz" if data[:2] == GZIP else ""))
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
