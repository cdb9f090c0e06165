"""Safe unpacking of zip and tar archives: nothing is written outside the target folder."""

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

MAX_UNPACKED = 4 * 10**12  # bytes of an unpacked archive; no dataset here has a quarter of it
MAX_RATIO = 500  # unpacked bytes per byte of the archive; deflate reaches 1,032 on zeros
HARMLESS = 10**9  # bytes that may be unpacked at any ratio
STAGING = ".unpacking-"  # prefix of the temporary folders, which a killed process leaves behind
CHUNK = 1 << 20
ARCHIVE_ERRORS = (  # errors of the standard library for damaged archives
    *(OSError, EOFError, RuntimeError, ValueError, OverflowError),
    *(tarfile.TarError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)
FULL = (errno.ENOSPC, errno.EDQUOT)

MemberKind = Literal["file", "folder", "link", "device"]


class ArchiveMember(NamedTuple):
    """One entry of an archive."""

    name: str
    size: int  # bytes unpacked
    kind: MemberKind
    open: Callable[[], IO[bytes]]


def unpack(archive: Path, into: Path, report: Report = lambda *_: None) -> list[Path]:
    """Unpack a zip, tar, tar.gz, tar.bz2 or tar.xz; return its top-level paths below `into`.

    Everything is written to a temporary folder in `into`, and moved once it is complete; existing
    folders are merged, existing files replaced. Nested archives are not unpacked. `report` gets
    the bytes read of the archive.
    Raises DataError, with nothing unpacked, for a path that leads out of the folder, a link or
    device (no known dataset has any, and most attacks by tar use one), more bytes than
    `MAX_RATIO`, `MAX_UNPACKED` or the disk allow, and a damaged archive.
    """
    try:
        into.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=into, prefix=STAGING) as temporary:
            staging = Path(temporary)
            _extract(archive, staging, report)
            names = sorted(path.name for path in staging.iterdir())
            _move_content(staging, into)
    except OSError as error:
        raise _failed(archive, str(into), error) from error
    return [into / name for name in names]


def _extract(archive: Path, staging: Path, report: Report) -> None:
    size, spent, at = archive.stat().st_size, 0, "its beginning"
    limits = {
        "the free space on the disk": shutil.disk_usage(staging).free,
        f"{MAX_RATIO} times its own size, as only a bomb does": max(HARMLESS, MAX_RATIO * size),
        "any dataset here has": MAX_UNPACKED,
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
        except ARCHIVE_ERRORS as error:
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


def _inside(archive: Path, member: ArchiveMember) -> PurePosixPath:
    """Return the relative path of a member. Raises DataError unless it stays in the folder."""
    path = PurePosixPath(member.name.replace("\\", "/"))  # some zips from Windows have backslashes
    why = ""
    if path.is_absolute() or PureWindowsPath(member.name).drive:
        why = "has an absolute path"
    elif ".." in path.parts or "\0" in member.name:
        why = "leads out of the folder"
    elif member.kind in ("link", "device"):
        why = f"is a {member.kind}, not a file or folder"
    if why:
        raise DataError(
            f"{archive} is not safe to unpack: its member {member.name!r} {why}. Nothing was "
            "unpacked. If you trust it, unpack it by hand."
        )
    return path


def _members(file: IO[bytes], allow: Callable[[int], None]) -> Iterator[ArchiveMember]:
    """Yield the members in order; `allow` first checks the unpacked size that a zip declares."""
    is_tar = tarfile.is_tarfile(file)  # first, as a tar that ends with a zip passes for a zip
    file.seek(0)
    if is_tar:
        return _tar_members(file)
    if zipfile.is_zipfile(file):
        return _zip_members(file, allow)
    raise tarfile.ReadError("neither a zip nor a tar archive")


def _tar_members(file: IO[bytes]) -> Iterator[ArchiveMember]:
    with tarfile.open(fileobj=file, mode="r:*") as tar:
        while (info := tar.next()) is not None:
            vars(tar)["members"].clear()  # tarfile keeps a kilobyte per member, of millions
            kind = _kind(info.isreg(), info.isdir(), info.issym() or info.islnk())
            open_ = cast(Callable[[], IO[bytes]], partial(tar.extractfile, info))
            yield ArchiveMember(info.name, info.size, kind, open_)


def _zip_members(file: IO[bytes], allow: Callable[[int], None]) -> Iterator[ArchiveMember]:
    with zipfile.ZipFile(file) as archive:
        allow(sum(info.file_size for info in archive.infolist()))
        for info in archive.infolist():
            mode = stat.S_IFMT(
                info.external_attr >> 16
            )  # 0 for archives from other systems than Unix
            plain = mode in (0, stat.S_IFREG, stat.S_IFDIR)
            folder = info.filename.endswith("/")
            kind = _kind(plain and not folder, plain, stat.S_ISLNK(mode))
            yield ArchiveMember(info.filename, info.file_size, kind, partial(archive.open, info))


def _kind(file: bool, folder: bool, link: bool) -> MemberKind:
    return "file" if file else "folder" if folder else "link" if link else "device"


def _move_content(source: Path, target: Path) -> None:
    """Move the content of a folder into another one on the same disk."""
    for entry in sorted(source.iterdir()):
        place = target / entry.name
        if entry.is_dir() and place.is_dir():
            _move_content(entry, place)
        else:
            entry.replace(place)
