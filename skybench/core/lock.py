"""Locks between processes of one machine or of several that share a file system.

A lock is a file that is created exclusively, which one process alone can do, on NFS too; neither
flock nor a server is needed. It says which process on which machine holds it, and its modification
time is a heartbeat. A killed process leaves its lock behind: on its own machine the next process
sees that it is gone and takes the lock over at once, on others after `SILENT` seconds without a
heartbeat, and so everywhere if the system has no /proc.
"""

from __future__ import annotations

import contextlib
import datetime
import functools
import hashlib
import json
import os
import platform
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from skybench.core.atomic import temporary_beside

BEAT = 60.0  # seconds between two heartbeats
SILENT = 600.0  # seconds without a heartbeat after which the holder counts as dead
PAUSE = 1.0  # seconds between two looks of a process that waits
TURNS = 5  # times that a lock may be released or cleared by others while it is asked for


@contextlib.contextmanager
def hold_lock(path: Path, wait: Callable[[str], None] | None = None) -> Iterator[str]:
    """Hold a lock file within this context; give "" or who holds it, as "process 7 on node3 ...".

    wait: called once with who holds it; then this process waits until it gets the lock itself.
    The file's folder is created. Raises OSError where the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    mine = _describe_self()
    busy = _take(path, mine)
    if busy and wait is not None:
        wait(busy)
        while busy := _take(path, mine):
            time.sleep(PAUSE)
    if busy:
        yield busy
        return
    released = threading.Event()
    beat = threading.Thread(target=_beat, args=(path, mine, released), daemon=True)
    beat.start()
    try:
        yield ""
    finally:
        released.set()
        beat.join()
        with contextlib.suppress(OSError):
            if _read(path) == mine:  # not that of a process which took it over
                path.unlink(missing_ok=True)


def remove_dead_locks(folder: Path) -> int:
    """Remove the locks `*.lock` below a folder whose holders are dead; return how many."""
    count = 0
    for path in folder.rglob("*.lock"):
        with contextlib.suppress(OSError):  # released since, or on a disk that is read-only
            theirs = _read(path)
            if _is_dead(path, theirs):
                _clear(path, theirs)
                count += not path.exists()
    return count


def _take(path: Path, mine: str) -> str:
    """Take a lock; return "" or who holds it. Raises OSError."""
    for _ in range(TURNS):
        if _create(path, mine):
            return ""
        with contextlib.suppress(FileNotFoundError):  # released since
            theirs = _read(path)
            if not _is_dead(path, theirs):
                return _who(theirs)
            _clear(path, theirs)
    return "other processes, in turns"


def _create(path: Path, text: str) -> bool:
    """Create a file with a text; return False if it is there. Raises OSError, and leaves none."""
    try:
        with path.open("x") as file:
            file.write(text)
    except FileExistsError:
        return False
    except OSError:  # a full disk
        path.unlink(missing_ok=True)
        raise
    return True


def _read(path: Path) -> str:
    return path.read_text(errors="replace")


def _clear(path: Path, theirs: str) -> None:
    """Remove the lock of a dead process, unless another process does so or has done it.

    Who clears the lock creates a second file first, so that a slow process cannot remove a lock
    that has been taken anew since it looked.
    """
    name = hashlib.sha256(theirs.encode()).hexdigest()[:16]
    ticket = path.with_name(f".{path.name}.{name}.tmp")
    if not _create(ticket, ""):
        if _silence(ticket) > SILENT:  # of a process that was killed just here
            ticket.unlink(missing_ok=True)
        return
    try:
        if _read(path) == theirs:
            path.unlink(missing_ok=True)
    finally:
        ticket.unlink(missing_ok=True)


def _is_dead(path: Path, theirs: str) -> bool:
    told, runs = _parse(theirs), None
    if told and told["place"] and told["place"] == _place():
        runs = _runs(told["process"], told["started"])
    # A lock that says nothing is just being written, or its maker was killed at that.
    return _silence(path) > SILENT if runs is None else not runs


def _silence(path: Path) -> float:
    """Return for how many seconds a file was not touched, by the clock of its file system."""
    probe = temporary_beside(path)
    try:
        probe.touch()
        return probe.stat().st_mtime - path.stat().st_mtime
    finally:
        probe.unlink(missing_ok=True)


def _beat(path: Path, mine: str, released: threading.Event) -> None:
    while not released.wait(BEAT):
        with contextlib.suppress(OSError):  # a disk that comes back
            if _read(path) == mine:
                os.utime(path)


def _describe_self() -> str:
    return json.dumps(
        {
            "process": os.getpid(),
            "host": platform.node(),
            "since": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
            "started": _started(os.getpid()),
            "place": _place(),
            "token": uuid.uuid4().hex,
        }
    )


def _parse(text: str) -> dict[str, Any] | None:
    """What a lock says; None for one that is just being written."""
    with contextlib.suppress(ValueError):
        told = json.loads(text)
        if isinstance(told, dict) and {"process", "host", "since", "started", "place"} <= {*told}:
            return told
    return None


def _who(text: str) -> str:
    told = _parse(text)
    return "process {process} on {host}, since {since}".format(**told) if told else "just begun"


@functools.cache
def _place() -> str:
    """What tells apart where a process number counts: the machine, its start, its container.

    "" where the system does not tell.
    """
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{platform.node()} {boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return ""


def _started(process: int) -> str:
    """When a process of this machine began, in ticks since the machine did; "" if it has ended."""
    try:
        text = Path(f"/proc/{process}/stat").read_text()
    except OSError:
        return ""
    fields = text.rpartition(")")[2].split()  # the name before it may hold any character
    return "" if fields[0] in "ZX" else fields[19]


def _runs(process: int, started: str) -> bool | None:
    """Whether a process of this machine runs, and not a later one of its number; None: unknown."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # another user's, about which /proc may be silent
        return None
    return _started(process) == started
