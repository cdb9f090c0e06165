"""The entries of the cache: what they are of, how large they are, when they were last used.

An entry is what is made and removed as a whole: the features of a model on a data set, the decoded
images of a split, a simulated data set, or a small file. All of them are made again when they are
missing, but for those of KEPT, which are never removed here, nor is what is no entry, as weights.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from skybench.core import UsageError, folders
from skybench.core.atomic import remove_leftovers, temporary_beside, write_whole
from skybench.core.in_use import FOLDER, entries_in_use, release_marks

LIMIT = "SKYBENCH_CACHE_GB"
ABOUT = ".about.json"  # in an entry: its data set, where no other file tells it
FOLDERS = ("features", "decoded", "targets", "demo", "splits", "stores", "ray")  # entries: folders
MEMORIES = ("hashes", "costs", "records", "tests", "networks", "precision", "audit")  # of files
KEPT = ("splits", "stores", "ray")  # downloads, and results: of addresses, and under way


class CacheEntry(NamedTuple):
    """An entry of the cache."""

    kind: str  # of FOLDERS or MEMORIES
    path: Path
    model: str  # "" where it is of none
    dataset: str  # "" where it is of none, or unknown
    bytes: int
    used: float  # seconds since 1970
    in_use: bool  # by a running process

    @property
    def age(self) -> float:
        """Return the seconds since it was last used, 0 where a clock says it will be."""
        return max(0.0, time.time() - self.used)


def read_entries(models: Sequence[str] = (), datasets: Sequence[str] = ()) -> list[CacheEntry]:
    """Return the entries of the cache, of some models and data sets alone; () for all."""
    used, found = entries_in_use(), []
    for kind, path in _paths():
        with contextlib.suppress(FileNotFoundError):  # removed since it was listed
            model, dataset = _about(kind, path)
            if (not models or model in models) and (not datasets or dataset in datasets):
                last = path.stat().st_mtime
                found.append(
                    CacheEntry(kind, path, model, dataset, _bytes(path), last, path in used)
                )
    return found


def removable(
    entries: Iterable[CacheEntry], older: float = 0.0, most: float = float("inf")
) -> list[CacheEntry]:
    """Return the entries to remove: the older ones, then the least recently used above a size.

    older: seconds since their last use; most: bytes that all together may take. What is in use,
    or of KEPT, stays.
    """
    free = [e for e in entries if not e.in_use and e.kind not in KEPT]
    gone = [e for e in free if e.age >= older] if older or most == float("inf") else []
    size = sum(e.bytes for e in entries) - sum(e.bytes for e in gone)
    for entry in sorted((e for e in free if e not in gone), key=lambda e: e.used):
        if size <= most:
            break
        gone.append(entry)
        size -= entry.bytes
    return gone


def remove_entry(path: Path) -> bool:
    """Remove an entry, unless a running process uses it; return whether it has gone.

    Raises OSError where it cannot be removed.
    """
    if path in entries_in_use():
        return False
    aside = temporary_beside(path)
    with contextlib.suppress(FileNotFoundError):
        path.rename(aside)
    if path in entries_in_use() and not path.exists():  # marked just now
        aside.rename(path)
        return False
    if aside.is_dir():
        shutil.rmtree(aside, ignore_errors=True)
    else:
        aside.unlink(missing_ok=True)
    return True


def note_dataset(path: Path, dataset: object) -> None:
    """Write into an entry what data set it is of, where no other file tells it."""
    if not (path / ABOUT).exists():
        with contextlib.suppress(OSError), write_whole(path / ABOUT) as temporary:
            temporary.write_text(json.dumps({"dataset": dataset}), encoding="utf-8")


def cache_limit() -> float:
    """Return how many bytes the cache may take, from SKYBENCH_CACHE_GB; infinity by default.

    Raises UsageError for anything but a number.
    """
    given = os.environ.get(LIMIT, "").strip()
    try:
        limit = float(given or "inf") * 1e9
    except ValueError:
        limit = -1.0
    if not limit >= 0:
        raise UsageError(f"{LIMIT} is {given!r}; expected a number of GB")
    return limit


@contextlib.contextmanager
def limited_cache() -> Iterator[None]:
    """A context after which the cache is no larger than its limit, but for what others use.

    The marks of this process are withdrawn. Raises UsageError at the beginning, see `cache_limit`.
    """
    limit = cache_limit()
    try:
        yield
    finally:
        release_marks()
        remove_leftovers(folders.cache() / FOLDER)
        if limit < float("inf"):
            _keep_to(limit)


def _keep_to(limit: float) -> None:
    remove_leftovers(folders.cache())
    gone = []
    for entry in removable(read_entries(), most=limit):
        with contextlib.suppress(OSError):
            gone += [entry] if remove_entry(entry.path) else []
    if gone:
        size = sum(entry.bytes for entry in gone) / 1e9
        print(
            f"{size:.1f} GB of {folders.cache()} were removed, the least recently used of it, for "
            f"{LIMIT}={limit / 1e9:g}.", file=sys.stderr, flush=True,
        )  # fmt: skip


def _paths() -> Iterator[tuple[str, Path]]:
    cache = folders.cache().absolute()
    for kind in (*FOLDERS, *MEMORIES):
        pattern = "demo/[!.]*/[!.]*" if kind == "demo" else f"{kind}/[!.]*"
        yield from ((kind, path) for path in sorted(cache.glob(pattern)))


def _about(kind: str, path: Path) -> tuple[str, str]:
    """The model and the data set that an entry is of."""
    if kind in ("demo", "splits"):
        return "", path.name
    if kind == "features":
        identity = next(filter(None, map(_identity, sorted(path.glob("part-*/meta.json")))), {})
        return _first(identity.get("model")), _first(identity.get("dataset"))
    if kind == "targets":
        return "", _first(_identity(path / "meta.json").get("dataset"))
    return "", _first(_json(path / ABOUT).get("dataset"))


def _identity(meta: Path) -> dict[str, object]:
    identity = _json(meta).get("identity")
    return identity if isinstance(identity, dict) else {}


def _json(path: Path) -> dict[str, object]:
    with contextlib.suppress(OSError, ValueError, RecursionError):
        stored = json.loads(path.read_text(encoding="utf-8"))
        return stored if isinstance(stored, dict) else {}
    return {}


def _first(value: object) -> str:
    """The name with which a list begins, however deep."""
    while isinstance(value, list) and value:
        value = value[0]
    return value if isinstance(value, str) else ""


def _bytes(path: Path) -> int:
    if not path.is_dir():
        return path.stat().st_size
    size = 0
    for place, _, files in os.walk(path):
        for name in files:
            with contextlib.suppress(OSError):
                size += Path(place, name).lstat().st_size
    return size
