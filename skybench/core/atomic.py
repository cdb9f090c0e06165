"""Atomic writing: a file or folder gets its name only once it is complete."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path


def _temporary(path: Path) -> Path:
    """Return a hidden path in the same folder that no other process uses."""
    return path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")


@contextlib.contextmanager
def write_whole(path: Path, sync: bool = False) -> Iterator[Path]:
    """Yield a temporary path to write to; rename it to `path` at the end, delete it on an error.

    An existing file is replaced. The parent folder is created. sync: flush the contents to disk
    before renaming, so that a power failure leaves no incomplete file. Raises OSError.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = _temporary(path)
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
    temporary = _temporary(folder)
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
