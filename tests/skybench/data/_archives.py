"""Archives made for tests, and what unpacking a wrong one must leave."""

from __future__ import annotations

import io
import os
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from skybench.core import DataError
from skybench.data.archives import unpack

FILES = {"A/1.png": b"one", "A/B/2.png": b"two" * 500, "A/empty.txt": b"", "list.txt": b"A/1.png\n"}
TARS = {"tar": "w", "tar.gz": "w:gz", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}
FORMATS = ["zip", *TARS]
Contents = Mapping[str, bytes]


def zip_of(path: Path, files: Contents, packing: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, packing)
    return path


def tar_of(path: Path, files: Contents, mode: str = "w") -> Path:
    members = []
    for name, data in files.items():
        members.append((tarfile.TarInfo(name), data))
        members[-1][0].size = len(data)
    return tar_of_members(path, members, mode)


def tar_of_members(
    path: Path, members: list[tuple[tarfile.TarInfo, bytes]], mode: str = "w"
) -> Path:
    opened: Any = tarfile.open
    with opened(path, mode) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return path


def packed(path: Path, files: Contents, form: str) -> Path:
    return zip_of(path, files) if form == "zip" else tar_of(path, files, TARS[form])


def tree(folder: Path) -> dict[str, bytes]:
    """All files below a folder, hidden ones and links too."""
    found = {}
    for place, folders, files in os.walk(folder):
        for name in files + [f for f in folders if (Path(place) / f).is_symlink()]:
            path = Path(place) / name
            found[str(path.relative_to(folder))] = path.read_bytes() if path.is_file() else b"?"
    return found


def refused(archive: Path, match: str) -> None:
    """Unpacking fails, and nothing is left of it, inside or outside of the folder."""
    into = archive.parent / "deep" / "into"
    into.mkdir(parents=True)
    (into / "mine").write_bytes(b"mine")
    before = tree(archive.parent)
    with pytest.raises(DataError, match=match):
        unpack(archive, into)
    assert tree(archive.parent) == before
    assert list(into.iterdir()) == [into / "mine"]
