"""Results at an address of fsspec, as s3:// or gs://: a local mirror, synchronised by file.

The mirror is a folder of the cache that is used like any results folder. A record is sent as soon
as it is written, after what belongs to it; before reading, files that are new or others at the
address are fetched. Neither needs a lock at the address: files are whole, and of one cell the last
one counts, as in a shared folder. Checkpoints, locks and what begins with a dot stay here.
"""

from __future__ import annotations

import contextlib
import datetime
import hashlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import unquote, urlsplit

from skybench.core.atomic import temporary_beside, write_whole
from skybench.core.errors import DataError, UsageError
from skybench.core.lock import hold_lock

STORE, STATE, LOCK = ".address", ".synchronised", ".synchronising.lock"  # in a mirror
LOCAL = (".lock", ".tmp", ".held", "last.pt", "best.pt")  # endings of what is not sent
# Protocols whose files appear whole or not at all; elsewhere they are renamed once they are there.
WHOLE = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "adl", "oci", "memory"}
STAMPS = ("ETag", "etag", "md5Hash", "mtime", "LastModified", "last_modified", "updated", "created")
_FETCHED: set[Path] = set()  # mirrors that this process has looked after


class Known(NamedTuple):
    """A file as it was when both sides had the same."""

    size: int
    time: int  # of the local file, in ns
    stamp: str  # of the one at the address


def mirror_folder(address: str, cache: Path) -> Path:
    """Return the local folder of an address, without a look there; of file:// it is the place.

    Raises UsageError where a package is missing for it.
    """
    scheme, _, _, _, _ = parts = urlsplit(address)
    if scheme.lower() in ("file", "local"):
        return Path(unquote(parts.netloc + parts.path))
    _opened(address)
    name = hashlib.sha256(address.rstrip("/").encode()).hexdigest()[:24]
    folder = cache / "stores" / name
    if not (folder / STORE).exists():
        with write_whole(folder / STORE) as temporary:
            temporary.write_text(address.rstrip("/"), encoding="utf-8")
    return folder


def synchronise(folder: Path, again: bool = True) -> None:
    """Fetch what is new at a mirror's address, and send what is new here; nothing for a folder.

    again: also if this process did it before. A file that has changed on both sides is taken from
    the address. Raises DataError where the address cannot be read or written.
    """
    if not (folder / STORE).is_file() or (folder in _FETCHED and not again):
        return
    address = (folder / STORE).read_text(encoding="utf-8")
    fs, root = _opened(address)
    try:
        with hold_lock(folder / LOCK, _say_waiting):
            _synchronise(folder, fs, root)
    except Exception as error:  # each protocol has errors of its own
        raise DataError(f"{address} cannot be synchronised ({_text(error)})") from error
    _FETCHED.add(folder)


def send_record(folder: Path, record: Path) -> None:
    """Send a record and what lies beside it, from a mirror; remove there what it replaced.

    Where that fails stderr says so, and the next `synchronise` does it. Nothing for a folder.
    """
    if not (folder / STORE).is_file():
        return
    address = (folder / STORE).read_text(encoding="utf-8")
    try:
        fs, root = _opened(address)
        beside = {record.with_suffix(e) for e in (".json", ".npz", ".draws", ".failed")}
        names = {path.as_posix() for path in beside}
        names |= {n for n in _local_names(folder) if n.startswith(f"{record.with_suffix('')}/")}
        with hold_lock(folder / LOCK, _say_waiting):
            known = _read_state(folder)
            for name in _records_last(names):
                if (folder / name).is_file():
                    if not _is_unchanged(folder / name, known.get(name)):
                        _send(folder, fs, root, name)
                elif name in known and fs.exists(f"{root}/{name}"):
                    fs.rm_file(f"{root}/{name}")
    except Exception as error:  # the record is not lost, and other cells can run
        print(
            f"{record} was not sent to {address} ({_text(error)}). It is in {folder}; the same "
            "command sends it.", file=sys.stderr, flush=True,
        )  # fmt: skip


@contextlib.contextmanager
def synchronised(folder: Path) -> Iterator[None]:
    """A context at whose end all that is new in a mirror has been sent. Raises DataError."""
    yield
    synchronise(folder)


def _opened(address: str) -> tuple[Any, str]:
    """The file system of an address, and the path there."""
    from fsspec.core import url_to_fs

    try:
        fs, root = url_to_fs(address)
    except (ImportError, ValueError) as error:  # the second for an unknown protocol
        raise UsageError(f"{address} cannot be opened: {_text(error)}") from error
    return fs, str(root).rstrip("/")


def _synchronise(folder: Path, fs: Any, root: str) -> None:
    fs.invalidate_cache()
    there = {n: stamp for n, stamp in _remote_stamps(fs, root) if _is_sent(n)}
    # An address that was emptied, or is another than it was, takes nothing away: all is sent again.
    known, here = _read_state(folder) if there else {}, set(_local_names(folder))
    lines = []
    for name in _records_last({*there, *here}):
        before = known.get(name)
        with contextlib.suppress(FileNotFoundError):  # removed on one side since it was listed
            unchanged = name in here and _is_unchanged(folder / name, before)
            if name not in there and unchanged:  # removed there
                (folder / name).unlink()
                continue
            ours = before is not None and name in here and before.stamp == there.get(name)
            if ours and unchanged and before is not None:
                now = before
            elif ours or name not in there:
                now = _send(folder, fs, root, name)
            else:
                now = _fetch(folder, fs, root, name, there[name])
            lines.append(_line(name, now))
    with write_whole(folder / STATE) as temporary:
        temporary.write_text("".join(lines), encoding="utf-8")


def _remote_stamps(fs: Any, root: str) -> Iterator[tuple[str, str]]:
    """The names of all files below a path, and what changes when one of them is written."""
    try:
        found: Mapping[str, Mapping[str, Any]] = fs.find(root, detail=True)
    except FileNotFoundError:
        return
    for path, info in found.items():
        yield path.removeprefix(root).lstrip("/"), _stamp(info)


def _stamp(info: Mapping[str, Any]) -> str:
    """The size, and what tells the content or else the time, alike for one file and in a list."""
    found = next((info[name] for name in STAMPS if info.get(name) is not None), "")
    if isinstance(found, datetime.datetime):
        found = found.timestamp()
    text = f"{found:.3f}" if isinstance(found, float | int) else str(found).strip('"')
    return f"{info.get('size')} {text}"


def _send(folder: Path, fs: Any, root: str, name: str) -> Known:
    path, place = folder / name, f"{root}/{name}"
    stat = path.stat()
    fs.makedirs(place.rpartition("/")[0], exist_ok=True)
    protocols = {fs.protocol} if isinstance(fs.protocol, str) else {*fs.protocol}
    if protocols & WHOLE:
        fs.put_file(str(path), place)
    else:
        aside = f"{place.rpartition('/')[0]}/{temporary_beside(path).name}"
        fs.put_file(str(path), aside)
        fs.mv(aside, place)
    fs.invalidate_cache()
    sent = Known(stat.st_size, stat.st_mtime_ns, _stamp(fs.info(place)))
    with (folder / STATE).open("a", encoding="utf-8") as file:
        file.write(_line(name, sent))
    return sent


def _fetch(folder: Path, fs: Any, root: str, name: str, stamp: str) -> Known:
    with write_whole(folder / name) as temporary:
        fs.get_file(f"{root}/{name}", str(temporary))
    stat = (folder / name).stat()
    return Known(stat.st_size, stat.st_mtime_ns, stamp)


def _is_unchanged(path: Path, known: Known | None) -> bool:
    stat = path.stat()
    return known is not None and (stat.st_size, stat.st_mtime_ns) == known[:2]


def _read_state(folder: Path) -> dict[str, Known]:
    """What is known of files; nothing of lines that are damaged."""
    known = {}
    with contextlib.suppress(OSError, UnicodeDecodeError):
        for line in (folder / STATE).read_text(encoding="utf-8").splitlines():
            with contextlib.suppress(ValueError, TypeError):
                name, size, time, stamp = json.loads(line)
                known[name] = Known(size, time, stamp)
    return known


def _line(name: str, known: Known) -> str:
    return json.dumps([name, *known]) + "\n"


def _local_names(folder: Path) -> Iterator[str]:
    for path in folder.rglob("*"):
        name = path.relative_to(folder).as_posix()
        if _is_sent(name) and path.is_file():
            yield name


def _is_sent(name: str) -> bool:
    """Whether a file is of results: <task>/<dataset>/..., neither hidden nor of a training."""
    parts = name.split("/")
    hidden = any(part.startswith(".") or not part for part in parts)  # ".." too
    return len(parts) > 2 and not hidden and not name.endswith(LOCAL)


def _records_last(names: Iterable[str]) -> list[str]:
    """Names in an order in which no record is there before what belongs to it."""
    return sorted(names, key=lambda name: (name.endswith(".json"), name))


def _say_waiting(holder: str) -> None:
    print(f"Waiting for {holder}, which synchronises these results …", file=sys.stderr, flush=True)


def _text(error: Exception) -> str:
    return " ".join(f"{type(error).__name__}: {error}".split())
