"""Unpacks zip and tar archives without letting them write anywhere but in their folder."""

from __future__ import annotations

import errno
import lzma
import shutil
import stat
import tarfile
import tempfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path, PurePosixPath, PureWindowsPath
from typing import IO, Literal, NamedTuple, cast

from skybench.core import DataError, Report

LIMIT = 4 * 10**12  # bytes that an archive may unpack to; no dataset here has a quarter of it
RATIO = 500  # and in relation to its own size; deflate ends at 1,032, on nothing but zeros
HARMLESS = 10**9  # bytes that may be unpacked whatever the ratio
STAGING = ".unpacking-"  # what a killed run may leave behind has a name that begins so
CHUNK = 1 << 20
BROKEN = (  # what the standard library raises for an archive that it cannot read
    *(OSError, EOFError, RuntimeError, ValueError, OverflowError),
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)
FULL = (errno.ENOSPC, errno.EDQUOT)

Kind = Literal["file", "folder", "link", "device"]


class Member(NamedTuple):
    """One entry of an archive."""

    name: str
    size: int  # bytes unpacked
    kind: Kind
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, into: Path, report: Report = lambda *_: None) -> list[Path]:
    """Unpacks a zip, tar, tar.gz, tar.bz2 or tar.xz; what it brought directly below `into`.

    All is written to a temporary folder in `into` and moved only when it is whole; folders that
    are there already take up what is new, files are replaced. Archives in the archive stay as
    they are. `report` counts the bytes read of the archive.
    Raises DataError, and nothing is unpacked: a name that leads out of the folder, a link or
    device (no known dataset has one, and most attacks by tar go through one), too much for
    `RATIO`, `LIMIT` or the disk, a damaged archive.
    """
    try:
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=into, prefix=STAGING) as temporary:
            staging = Path(temporary)
            _extract(archive, staging, report)
            names = sorted(path.name for path in staging.iterdir())
            _settle(staging, into)
    except OSError as error:
        raise _failed(archive, str(into), error) from error
    return [into / name for name in names]


def _extract(archive: Path, staging: Path, report: Report) -> None:
    size, spent, at = archive.stat().st_size, 0, "its beginning"
    limits = {
        "the free space of the disk": shutil.disk_usage(staging).free,
        f"{RATIO} times its own size, as only a bomb does": max(HARMLESS, RATIO * size),
        "what any dataset here has": LIMIT,
    }
    with archive.open("rb") as file:
        try:
            for member in _members(file, partial(_allow, archive, limits)):
                at = repr(member.name)
                place = staging / _inside(archive, member)
                spent += member.size
                _allow(archive, limits, spent)
                if member.kind == "folder":
                    place.mkdir(parents=True, exist_ok=True)
                    continue
                place.parent.mkdir(parents=True, exist_ok=True)
                with member.open() as source, place.open("wb") as target:
                    while chunk := source.read(CHUNK):
                        target.write(chunk)
                        report(f"unpacking {archive.name}", file.tell(), size)
        except BROKEN as error:
            raise _failed(archive, at, error) from error


def _failed(archive: Path, at: str, error: Exception) -> DataError:
    if getattr(error, "errno", None) in FULL:
        return DataError(
            f"the disk became full while {archive} was unpacked (at {at}). What was written has "
            "been removed; make room and run the same command again."
        )
    return DataError(
        f"{archive} cannot be unpacked, at {at}: {error!r}. If it is damaged, remove it and get it "
        "again."
    )


def _allow(archive: Path, limits: Mapping[str, int], size: int) -> None:
    for what, limit in limits.items():
        if size > limit:
            raise DataError(
                f"{archive} unpacks to {size:,} bytes or more; that is more than {what} "
                f"({limit:,} bytes). Nothing was unpacked."
            )


def _inside(archive: Path, member: Member) -> PurePosixPath:
    """Where in the folder a member belongs. Raises DataError where that is not in it."""
    path = PurePosixPath(member.name.replace("\\", "/"))  # as Windows writes them into zips
    why = ""
    if path.is_absolute() or PureWindowsPath(member.name).drive:
        why = "has an absolute path"
    elif ".." in path.parts or "\0" in member.name:
        why = "leads out of the folder"
    elif member.kind in ("link", "device"):
        why = f"is a {member.kind}, neither file nor folder"
    if why:
        raise DataError(
            f"{archive} is not safe to unpack: its member {member.name!r} {why}. Nothing was "
            "unpacked. If you trust it, unpack it by hand."
        )
    return path


def _members(file: IO[bytes], allow: Callable[[int], None]) -> Iterator[Member]:
    """The members in the archive's order; `allow` hears early what a zip says it unpacks to."""
    tarred = tarfile.is_tarfile(file)  # first: a tar that holds a zip looks like a zip at its end
    file.seek(0)
    if tarred:
        return _tar_members(file)
    if zipfile.is_zipfile(file):
        return _zip_members(file, allow)
    raise tarfile.ReadError("neither a zip nor a tar archive")


def _tar_members(file: IO[bytes]) -> Iterator[Member]:
    with tarfile.open(fileobj=file, mode="r:*") as tar:
        while (info := tar.next()) is not None:
            vars(tar)["members"].clear()  # else it holds a kilobyte each, of millions of files
            kind = _kind(info.isreg(), info.isdir(), info.issym() or info.islnk())
            open_ = cast(Callable[[], IO[bytes]], partial(tar.extractfile, info))
            yield Member(info.name, info.size, kind, open_)


def _zip_members(file: IO[bytes], allow: Callable[[int], None]) -> Iterator[Member]:
    with zipfile.ZipFile(file) as archive:
        allow(sum(info.file_size for info in archive.infolist()))
        for info in archive.infolist():
            mode = stat.S_IFMT(info.external_attr >> 16)  # 0 where it was not made on Unix
            plain = mode in (0, stat.S_IFREG, stat.S_IFDIR)
            folder = info.filename.endswith("/")
            kind = _kind(plain and not folder, plain, stat.S_ISLNK(mode))
            yield Member(info.filename, info.file_size, kind, partial(archive.open, info))


def _kind(file: bool, folder: bool, link: bool) -> Kind:
    return "file" if file else "folder" if folder else "link" if link else "device"


def _settle(source: Path, target: Path) -> None:
    """Moves the content of a folder into another one on the same disk."""
    for entry in sorted(source.iterdir()):
        place = target / entry.name
        if entry.is_dir() and place.is_dir():
            _settle(entry, place)
        else:
            entry.replace(place)
