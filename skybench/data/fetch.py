"""Download of one file: resumed after an interruption, verified, by one process at a time.

Dataset plugins import `Remote` from here, so this module imports neither torch nor requests.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import re
import shutil
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from skybench.core import DataError, Report
from skybench.core.lock import hold_lock
from skybench.core.version import __version__

if TYPE_CHECKING:
    from requests import Response

AGENT = f"skybench/{__version__} (benchmark suite; gets files that its user asked for)"
CHUNK = 1 << 18  # bytes read at once; an interruption loses at most that
LOCK = ".lock"  # in the folder
PAUSES = (1.0, 3.0, 9.0)  # seconds between attempts; progress starts the sequence again
TIMEOUT = (15.0, 60.0)  # seconds to connect, and between two reads
TRANSIENT = (408, 429, 500, 502, 503, 504)  # HTTP statuses that are worth another attempt
ADDRESS = re.compile(r"https?://")
DIGEST = re.compile(r"|md5:[0-9a-f]{32}|sha256:[0-9a-f]{8}([0-9a-f]{56})?")


@dataclass(frozen=True)
class Remote:
    """A published file of a dataset or of a model, and how to verify it.

    A dataset plugin lists its files as `REMOTES: tuple[Remote, ...]`, only where the address needs
    no login or form, and the licence allows a download. Raises ValueError for a malformed digest,
    or an address that is not http(s).
    """

    url: str
    filename: str  # relative to the dataset's folder; of an archive: to .download/ in it
    # As published: "sha256:…", in full or its first 8 digits, or "md5:…"; "": unknown, not checked.
    digest: str = ""
    size: int = 0  # bytes; 0 where unknown
    unpack: bool = True  # whether it is an archive, to unpack into the dataset's folder

    def __post_init__(self) -> None:
        if not (DIGEST.fullmatch(self.digest) and ADDRESS.match(self.url)):
            raise ValueError(f"expected an http(s) address and md5:… or sha256:…, but got {self}")


@dataclass(frozen=True)
class _Partial:
    """The facts about an incomplete download, stored beside it as `<filename>.part.json`."""

    url: str
    validator: str  # strong ETag or Last-Modified, equal while the file is unchanged; "": none
    total: int  # bytes of the complete file; 0 where the server does not tell


class _Interrupted(Exception):
    """A transfer broke off; another attempt may resume it."""


def fetch_file(remote: Remote, into: Path, report: Report = lambda *_: None) -> Path:
    """Download one file into a folder, verify it, and return its path.

    An existing file is only verified. An incomplete download is `<filename>.part`, which the next
    call resumes unless the remote file has changed. Concurrent calls wait for each other.
    Raises DataError where the server does not answer, the file is not the published one (it is
    then renamed to `<filename>.wrong`), or the disk is full.
    """
    with lock_folder(into, report):
        return fetch_unlocked(remote, into, report)


@contextlib.contextmanager
def lock_folder(folder: Path, report: Report) -> Iterator[None]:
    """Hold the lock of downloads into a folder, waiting for other processes; see `core.lock`.

    Raises DataError where the folder cannot be written.
    """
    lock = hold_lock(
        folder / LOCK, lambda _: report(f"waiting for another download into {folder}", 0, 0)
    )
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(lock)
        except OSError as error:
            raise DataError(
                f"{folder} cannot be written: {error}. Choose another folder."
            ) from error
        yield


def fetch_unlocked(remote: Remote, into: Path, report: Report) -> Path:
    """Download as `fetch_file` does, for a caller that holds `lock_folder`."""
    path = into / remote.filename
    part = path.with_name(f"{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        _verify(path, path, remote, report)
        return path
    failures, furthest = 0, 0
    while True:
        try:
            _receive(remote, part, report)
            break
        except _Interrupted as error:
            received = _size(part)
            failures = 1 if received > furthest else failures + 1
            furthest = max(received, furthest)
            if failures > len(PAUSES):
                raise DataError(
                    f"{remote.url} broke off {failures} times ({error}). {received:,} bytes are "
                    "kept; run the same command again to resume, or put the file at "
                    f"{path} by hand."
                ) from error
            time.sleep(PAUSES[failures - 1])
    _verify(part, path, remote, report)
    part.replace(path)
    _sidecar(part).unlink(missing_ok=True)
    return path


def _verify(file: Path, path: Path, remote: Remote, report: Report) -> None:
    """Raise DataError, with the file set aside, unless it is the published one."""
    size, wrong = _size(file), ""
    if remote.size and size != remote.size:
        wrong = f"it has {size:,} bytes, expected {remote.size:,}"
    elif remote.digest:
        algorithm = remote.digest.partition(":")[0]
        report(f"checking {path.name}", 0, size)
        with file.open("rb") as stream:
            got = f"{algorithm}:{hashlib.file_digest(stream, algorithm).hexdigest()}"
        if not got.startswith(remote.digest):
            wrong = f"it has {got}, expected {remote.digest}"
    if wrong:
        aside = path.with_name(f"{path.name}.wrong")
        file.replace(aside)
        raise DataError(
            f"{path.name} is not the published file: {wrong}. It was set aside as {aside.name}; "
            f"run the same command again to fetch {remote.url} anew."
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _sidecar(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _resumable(remote: Remote, part: Path) -> _Partial | None:
    """Return the facts about an incomplete download; None where it cannot be resumed."""
    try:
        partial = _Partial(**json.loads(_sidecar(part).read_text()))
    except (OSError, ValueError, TypeError):  # missing or damaged
        return None
    certain = partial.url == remote.url and (partial.validator or remote.digest)
    return partial if certain and _size(part) else None


def _receive(remote: Remote, part: Path, report: Report) -> None:
    """Append the missing bytes. Raises _Interrupted, or DataError where a retry is useless."""
    partial = _resumable(remote, part)
    done = _size(part) if partial else 0
    if partial and done == partial.total:
        return
    try:
        with _request(remote, partial, done) as answer:
            if answer.status_code == 200:  # the complete file
                partial, done = _describe(remote, answer), 0
                part.unlink(missing_ok=True)  # before its description changes
                _sidecar(part).write_text(json.dumps(asdict(partial)))
            elif not (partial and _continues(answer, partial, done)):
                part.unlink(missing_ok=True)
                raise _Interrupted("the file on the server has changed")
            if partial.total - done > shutil.disk_usage(part.parent).free:
                raise OSError(errno.ENOSPC, f"{partial.total - done:,} bytes are still to come")
            with part.open("ab") as file:
                for chunk in _chunks(answer):
                    file.write(chunk)
                    done += len(chunk)
                    report(f"fetching {remote.filename}", done, partial.total)
    except OSError as error:  # of the disk: network errors are _Interrupted
        raise DataError(
            f"{part} cannot be written: {error}. {_size(part):,} bytes are kept, the disk has "
            f"{shutil.disk_usage(part.parent).free:,} free; make room and run the same command "
            "again to resume."
        ) from error
    if partial.total and done != partial.total:
        raise _Interrupted(f"{done:,} bytes of {partial.total:,}")


@contextlib.contextmanager
def _request(remote: Remote, partial: _Partial | None, done: int) -> Iterator[Response]:
    """Request the rest of a file; the answer has status 200, 206 or 416."""
    import requests

    headers = {"User-Agent": AGENT, "Accept-Encoding": "identity"}
    if partial:
        headers |= {"Range": f"bytes={done}-"}
        headers |= {"If-Range": partial.validator} if partial.validator else {}
    try:
        answer = requests.get(remote.url, headers=headers, stream=True, timeout=TIMEOUT)
    except (requests.ConnectionError, requests.Timeout) as error:
        raise _Interrupted(str(error)) from error
    except requests.RequestException as error:  # as a redirect to ftp: or a redirect loop
        raise DataError(f"{remote.url} cannot be fetched: {error}. Get it by hand.") from error
    with answer:
        if answer.status_code in TRANSIENT:
            raise _Interrupted(f"HTTP {answer.status_code} {answer.reason}")
        if answer.status_code not in (200, 206, 416):
            raise DataError(
                f"{remote.url} cannot be fetched: HTTP {answer.status_code} {answer.reason}. Get "
                f"{remote.filename} by hand, or tell the authors of skybench that it has moved."
            )
        yield answer


def _validator(answer: Response) -> str:
    etag = answer.headers.get("ETag", "")
    return etag if etag.startswith('"') else answer.headers.get("Last-Modified", "")


def _continues(answer: Response, partial: _Partial, done: int) -> bool:
    """Return whether an answer is the rest of the same file; some servers ignore If-Range."""
    given = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
    same = _validator(answer) in ("", partial.validator)
    return bool(given and same and int(given[1]) == done and given[2] in ("*", str(partial.total)))


def _describe(remote: Remote, answer: Response) -> _Partial:
    """Return the facts about a complete answer. Raises DataError where it is another file."""
    length = answer.headers.get("Content-Length", "")
    total = int(length) if length.isdigit() else remote.size
    page = "text/html" in answer.headers.get("Content-Type", "")
    if page and not remote.filename.endswith((".html", ".htm")):
        raise DataError(
            f"{remote.url} answered with a web page, not {remote.filename}: it asks for a login "
            "or a confirmation. Open the address in a browser and save the file."
        )
    if remote.size and total != remote.size:
        raise DataError(
            f"{remote.url} offers {total:,} bytes, expected {remote.size:,}: the published file "
            "has been replaced. Nothing was fetched; compare the versions, then get it by hand."
        )
    return _Partial(remote.url, _validator(answer), total)


def _chunks(answer: Response) -> Iterator[bytes]:
    from urllib3.exceptions import HTTPError

    try:
        yield from answer.raw.stream(CHUNK, decode_content=False)
    except (HTTPError, OSError) as error:
        raise _Interrupted(str(error)) from error
