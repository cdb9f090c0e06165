"""Digests of files by content, remembered so that a second look costs one `stat` a file.

The memory is a JSON file in the cache for each folder. A digest is taken from it only where
path, size, both time stamps, inode and device are those of the file that was hashed: `cp -p` over
a file keeps size and modification time, but not the time of the change (ctime).
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from skybench.core import folders
from skybench.core.sealed import read_sealed, write_sealed

# A file that changed this short a time before it was hashed may change again within one tick of
# the file system's clock, with equal stamps: it is hashed again the next time (as git does).
SETTLED_NS = 1_000_000_000
# Archives mounted as folders have the same stamp everywhere, often 1980-01-01: no ctime at all.
TRUSTED_NS = 946_684_800 * 1_000_000_000  # 2000-01-01
PATIENCE = 2.0  # seconds, after which a note says what takes so long

State = tuple[int, int, int, int, int]
Memory = dict[str, dict[str, list[object]]]  # algorithm -> name -> [*State, digest]
_REMEMBERED: set[str] = set()  # paths whose last digest in this process came from the memory


def file_state(path: Path) -> State:
    """Return size, modification and change time in ns, inode and device. Raises OSError."""
    return state_of_stat(path.stat())


def state_of_stat(stat: os.stat_result) -> State:
    """Return the state of a file whose `stat` is known."""
    return stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino, stat.st_dev


def is_trusted(state: State) -> bool:
    """Whether the time stamps of a file tell one content from another: see TRUSTED_NS."""
    return state[2] >= TRUSTED_NS


def is_settled(path: Path, before: State) -> bool:
    """Whether a file did not change while it was read, and cannot unseen from now on.

    before: its state before it was read. Raises OSError.
    """
    return file_state(path) == before and time.time_ns() - before[2] > SETTLED_NS


def file_digest(path: Path, algorithm: str = "sha256") -> str:
    """Return the digest of a file, remembered where it did not change. Raises OSError."""
    return file_digests([path], path.parent, algorithm)[0]


def read_digest(path: Path, algorithm: str = "sha256") -> str:
    """Return the digest of a file, read anew whatever is remembered. Raises OSError."""
    _REMEMBERED.discard(str(path))
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()


def forget_digests(path: Path) -> None:
    """Forget what is remembered of a file, or of all files directly in a folder."""
    store = _store(path if path.is_dir() else path.parent)
    memory = _read_memory(store)
    kept = {} if path.is_dir() else memory
    for known in kept.values():
        known.pop(path.name, None)
    with contextlib.suppress(OSError):
        write_sealed(store, kept)


def was_remembered(path: Path) -> bool:
    """Return whether the last digest of a file, in this process, was taken from the memory."""
    return str(path) in _REMEMBERED


def file_digests(paths: Sequence[Path], root: Path, algorithm: str = "sha256") -> list[str]:
    """Return the digests of files below `root`, in order; changed files are read in threads.

    A note on stderr says what is read where that takes more than 2 seconds. Raises OSError.
    """
    store = _store(root)
    memory = _read_memory(store)
    known = memory.setdefault(algorithm, {})
    names = _names_below(root, paths)
    states = [file_state(path) for path in paths]
    found: dict[int, str] = {}
    for place, (name, state) in enumerate(zip(names, states, strict=True)):
        digest = _remembered(known.get(name), state)
        if digest:
            found[place] = digest
            _REMEMBERED.add(str(paths[place]))
    changed = [place for place in range(len(paths)) if place not in found]
    if not changed:
        return [found[place] for place in range(len(paths))]
    note = _note(root, len(changed), sum(states[place][0] for place in changed))
    try:
        with note, ThreadPoolExecutor(min(4, os.cpu_count() or 1)) as threads:
            read = threads.map(lambda place: read_digest(paths[place], algorithm), changed)
            for place, digest in zip(changed, read, strict=True):
                found[place] = digest
                if is_settled(paths[place], states[place]):
                    known[names[place]] = [*states[place], digest]
    finally:  # what was read before an interruption is not read again
        with contextlib.suppress(OSError):
            write_sealed(store, memory)
    return [found[place] for place in range(len(paths))]


def _names_below(root: Path, paths: Sequence[Path]) -> list[str]:
    """The paths relative to a folder; each folder among them is looked at once."""
    parts = [os.path.split(path) for path in paths]
    heads = {head for head, _ in parts}
    below = {head: os.path.relpath(head or os.curdir, root) for head in heads}
    start = {h: "" if name == os.curdir else name + os.sep for h, name in below.items()}
    return [start[head] + name for head, name in parts]


def _store(root: Path) -> Path:
    name = hashlib.sha256(str(root.absolute()).encode("utf-8", "surrogatepass")).hexdigest()
    return folders.cache() / "hashes" / f"{name[:24]}.json"


def _read_memory(store: Path) -> Memory:
    """The memory of a folder; empty where there is none, or a damaged one."""
    stored = read_sealed(store)
    if not isinstance(stored, dict):
        return {}
    return {name: dict(known) for name, known in stored.items() if isinstance(known, dict)}


def _remembered(entry: object, state: State) -> str:
    """The digest of an entry for a file of this state; "" where it is for another."""
    if not isinstance(entry, list) or entry[:-1] != list(state) or not is_trusted(state):
        return ""
    return entry[-1] if isinstance(entry[-1], str) and entry[-1] else ""


@contextlib.contextmanager
def _note(root: Path, count: int, size: int) -> Iterator[None]:
    what = f"{count:,} file{'' if count == 1 else 's'} of {root} ({size / 1e9:.1f} GB)"
    text = f"Reading {what} once, to know their contents …"
    timer = threading.Timer(PATIENCE, print, [text], {"file": sys.stderr, "flush": True})
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
