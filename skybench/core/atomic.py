"""Atomic writing: a file or folder gets its name only once it is complete."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import platform
import re
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path

# The machine and process that write a temporary file; other endings are of files beside it.
WRITER = re.compile(r"\.([0-9a-f]{8})-(\d+)-[0-9a-f]{8}\.\w+$")


def temporary_beside(path: Path) -> Path:
    """Return a hidden path in the same folder that no other process uses.

    Its name says which process will write it, for `remove_leftovers`.
    """
    writer = f"{_machine()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    return path.with_name(f".{path.name}.{writer}.tmp")


def remove_leftovers(folder: Path) -> int:
    """Remove what killed processes of this machine left half written; return how many files.

    Whatever another machine writes there stays, and all that a running process might be writing.
    """
    count = 0
    for place, inside, files in os.walk(folder):
        for name in filter(_is_left_over, [*inside, *files]):
            path, count = Path(place, name), count + 1
            if name in inside:
                inside.remove(name)
                shutil.rmtree(path, ignore_errors=True)
            else:
                with contextlib.suppress(OSError):
                    path.unlink()
    return count


def _is_left_over(name: str) -> bool:
    writer = WRITER.search(name)
    if writer is None or writer[1] != _machine() or os.name == "nt":  # where kill would kill
        return False
    try:
        os.kill(int(writer[2]), 0)
    except ProcessLookupError:
        return True
    except OSError:  # another user's process
        return False
    return False


@functools.cache
def _machine() -> str:
    """What tells apart where a process number counts: the machine, and a container on it."""
    try:
        place = f"{platform.node()} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:  # no Linux
        place = platform.node()
    return hashlib.sha256(place.encode()).hexdigest()[:8]


@contextlib.contextmanager
def write_whole(path: Path, sync: bool = False) -> Iterator[Path]:
    """Yield a temporary path to write to; rename it to `path` at the end, delete it on an error.

    An existing file is replaced. The parent folder is created. sync: flush the contents to disk
    before renaming, so that a power failure leaves no incomplete file. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = temporary_beside(path)
    try:
        yield temporary
        if sync:
            with temporary.open("rb+") as file:
                os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextlib.contextmanager
def folder_whole(folder: Path) -> Iterator[Path]:
    """Yield a temporary folder to fill; rename it to `folder` at the end, delete it on an error.

    Where another process has created `folder` in the meantime, that one stays. Raises OSError.
    """
    temporary = temporary_beside(folder)
    temporary.mkdir(parents=True)
    try:
        yield temporary
        try:
            temporary.rename(folder)
        except OSError:  # POSIX replaces an empty folder, but not a filled one
            if not folder.is_dir() or not any(folder.iterdir()):
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
