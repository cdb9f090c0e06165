"""Marks of what a process uses in the cache, so that `skybench cache gc` leaves it there.

Each process has a file of its own, a lease, which names the entries that it has opened, a line
each. A lease is written before its entry is looked at, and removed with the process; of a killed
process `remove_leftovers` removes it on the same machine, and on others it ends by its age.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import time
from pathlib import Path

from skybench.core import folders
from skybench.core.atomic import remove_leftovers, temporary_beside

FOLDER = "leases"
VALID = 7 * 86400.0  # seconds after its last entry for which another machine's lease counts
_LEASES: dict[tuple[int, Path], tuple[Path, set[Path]]] = {}  # by process and cache


def mark_in_use(entry: Path) -> None:
    """Say that this process uses an entry of the cache, which need not exist yet.

    The entry's modification time becomes that of its last use. A cache that cannot be written has
    no marks, nor has what lies outside of it.
    """
    cache, entry = folders.cache().absolute(), entry.absolute()
    if not entry.is_relative_to(cache):
        return
    place = (os.getpid(), cache)
    with contextlib.suppress(OSError):
        if place not in _LEASES:  # the name tells which process it is of
            path = temporary_beside(cache / FOLDER / "lease").with_suffix(".held")
            path.parent.mkdir(parents=True, exist_ok=True)
            _LEASES[place] = path, set()
        path, entries = _LEASES[place]
        if entry not in entries:
            with path.open("a", encoding="utf-8") as file:
                file.write(f"{entry.relative_to(cache)}\n")
            entries.add(entry)
    with contextlib.suppress(OSError):
        os.utime(entry)


def release_marks() -> None:
    """Withdraw all marks of this process."""
    for (process, cache), (path, _) in [*_LEASES.items()]:
        if process == os.getpid():
            with contextlib.suppress(OSError):
                path.unlink()
            del _LEASES[process, cache]


def entries_in_use() -> set[Path]:
    """Return the entries of the cache that running processes have marked."""
    cache = folders.cache().absolute()
    remove_leftovers(cache / FOLDER)
    used: set[Path] = set()
    for path in (cache / FOLDER).glob(".lease.*.held"):
        with contextlib.suppress(OSError):
            if time.time() - path.stat().st_mtime < VALID:
                lines = path.read_text(encoding="utf-8").splitlines()
                used.update(cache / line for line in lines if line)
    return used


atexit.register(release_marks)
