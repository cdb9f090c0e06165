"""Downloads one file: resumed where it broke off, checked, by one process at a time.

Importing this module imports neither torch nor requests: dataset plugins import `Remote`.
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
from skybench.core.version import __version__

if TYPE_CHECKING:
    from requests import Response

AGENT = f"skybench/{__version__} (benchmark suite; gets files that its user asked for)"
CHUNK = 1 << 18  # bytes; so much may be lost of a broken transfer
PAUSES = (1.0, 3.0, 9.0)  # seconds between attempts; from the start when an attempt got further
TIMEOUT = (15.0, 60.0)  # seconds to connect, and without a byte
PASSING = (408, 429, 500, 502, 503, 504)  # answers that may be better in a moment
ADDRESS = re.compile(r"https?://")
DIGEST = re.compile(r"|md5:[0-9a-f]{32}|sha256:[0-9a-f]{8}([0-9a-f]{56})?")


@dataclass(frozen=True)
class Remote:
    """One published file of a dataset or of a model.

    A dataset plugin has them as `REMOTES: tuple[Remote, ...]`, only where the address answers
    without a log-in or form and the licence lets a user download. Raises ValueError for a
    malformed digest or an address that is not http(s).
    """

    url: str
    filename: str  # below the dataset's folder; that of an archive is .download/ there
    # "sha256:…" (or its first 8 digits) or "md5:…" as published; "" where unknown: not checked
    digest: str = ""
    size: int = 0  # bytes; 0 where unknown
    unpack: bool = True  # into the dataset's folder

    def __post_init__(self) -> None:
        if not (DIGEST.fullmatch(self.digest) and ADDRESS.match(self.url)):
            raise ValueError(f"expected an http(s) address and md5:… or sha256:…, not {self}")


@dataclass(frozen=True)
class _Begun:
    """What is known about a part of a file; kept beside it as `<filename>.part.json`."""

    url: str
    validator: str  # strong ETag or Last-Modified: the file is still the same; "": none given
    total: int  # bytes; 0 where the server did not say


class _Broken(Exception):
    """A transfer that broke off; another attempt may go on."""


def fetch(remote: Remote, into: Path, report: Report = lambda *_: None) -> Path:
    """Downloads one file into a folder and checks it; the path of the file.

    A file that is there is checked, not fetched. What has arrived is in `<filename>.part`; the
    next call goes on from there unless the file has changed. A second call waits for the first.
    Raises DataError: no answer, another file (kept as `<filename>.wrong`), or a full disk.
    """
    with alone(into, report):
        return get(remote, into, report)


@contextlib.contextmanager
def alone(folder: Path, report: Report) -> Iterator[None]:
    """Waits until no other process is in here with the same folder; a killed one is out.

    Raises DataError where the folder cannot be written.
    """
    import fcntl  # not on Windows, where `Remote` can still be imported

    try:
        folder.mkdir(parents=True, exist_ok=True)
        file = (folder / ".lock").open("w")
    except OSError as error:
        raise DataError(f"{folder} cannot be written: {error}. Choose another folder.") from error
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            report(f"waiting for another download into {folder}", 0, 0)
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:
            pass  # some network disks have no locks; size and hash are checked anyway
        yield


def get(remote: Remote, into: Path, report: Report) -> Path:
    """As `fetch`, for a caller that is `alone` already."""
    path = into / remote.filename
    part = path.with_name(f"{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists():
        _check(path, path, remote, report)
        return path
    failures, furthest = 0, 0
    while True:
        try:
            _receive(remote, part, report)
            break
        except _Broken as error:
            here = _size(part)
            failures = 1 if here > furthest else failures + 1
            furthest = max(here, furthest)
            if failures > len(PAUSES):
                raise DataError(
                    f"{remote.url} broke off {failures} times ({error}); the same command goes on "
                    f"after the {here:,} bytes that are kept. Or put the file at {path} by hand."
                ) from error
            time.sleep(PAUSES[failures - 1])
    _check(part, path, remote, report)
    part.replace(path)
    _sidecar(part).unlink(missing_ok=True)
    return path


def _check(found: Path, path: Path, remote: Remote, report: Report) -> None:
    """Raises DataError, and sets the file aside, unless it is the published one."""
    size, wrong = _size(found), ""
    if remote.size and size != remote.size:
        wrong = f"it has {size:,} bytes, expected {remote.size:,}"
    elif remote.digest:
        algorithm = remote.digest.partition(":")[0]
        report(f"checking {path.name}", 0, size)
        with found.open("rb") as file:
            got = f"{algorithm}:{hashlib.file_digest(file, algorithm).hexdigest()}"
        if not got.startswith(remote.digest):
            wrong = f"it has {got}, expected {remote.digest}"
    if wrong:
        aside = path.with_name(f"{path.name}.wrong")
        found.replace(aside)
        raise DataError(
            f"{path.name} is not the published file: {wrong}. It was set aside as {aside.name}; "
            f"the same command fetches {remote.url} anew."
        )


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _sidecar(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _begun(remote: Remote, part: Path) -> _Begun | None:
    """What is known about a part that can be gone on with; None: it must be fetched anew."""
    try:
        begun = _Begun(**json.loads(_sidecar(part).read_text()))
    except (OSError, ValueError, TypeError):  # none, or damaged
        return None
    certain = begun.url == remote.url and (begun.validator or remote.digest)
    return begun if certain and _size(part) else None


def _receive(remote: Remote, part: Path, report: Report) -> None:
    """Appends to the part what it lacks. Raises _Broken, or DataError where it is of no use."""
    begun = _begun(remote, part)
    done = _size(part) if begun else 0
    if begun and done == begun.total:
        return
    try:
        with _ask(remote, begun, done) as answer:
            if answer.status_code == 200:  # from the beginning
                begun, done = _first(remote, answer), 0
                part.unlink(missing_ok=True)  # before its description changes
                _sidecar(part).write_text(json.dumps(asdict(begun)))
            elif not (begun and _goes_on(answer, begun, done)):
                part.unlink(missing_ok=True)
                raise _Broken("the file on the server has changed")
            if begun.total - done > shutil.disk_usage(part.parent).free:
                raise OSError(errno.ENOSPC, f"{begun.total - done:,} bytes are still to come")
            with part.open("ab") as file:
                for chunk in _chunks(answer):
                    file.write(chunk)
                    done += len(chunk)
                    report(f"fetching {remote.filename}", done, begun.total)
    except OSError as error:  # of the disk: those of the network are turned into _Broken
        raise DataError(
            f"{part} cannot be written: {error}. {_size(part):,} bytes are kept, the disk has "
            f"{shutil.disk_usage(part.parent).free:,} free; the same command goes on from there."
        ) from error
    if begun.total and done != begun.total:
        raise _Broken(f"{done:,} bytes of {begun.total:,}")


@contextlib.contextmanager
def _ask(remote: Remote, begun: _Begun | None, done: int) -> Iterator[Response]:
    """Asks for the rest of a file; the answer has status 200, 206 or 416."""
    import requests

    headers = {"User-Agent": AGENT, "Accept-Encoding": "identity"}
    if begun:
        headers |= {"Range": f"bytes={done}-"}
        headers |= {"If-Range": begun.validator} if begun.validator else {}
    try:
        answer = requests.get(remote.url, headers=headers, stream=True, timeout=TIMEOUT)
    except (requests.ConnectionError, requests.Timeout) as error:
        raise _Broken(str(error)) from error
    except requests.RequestException as error:  # a redirect to ftp: or in circles
        raise DataError(f"{remote.url} cannot be fetched: {error}. Get it by hand.") from error
    with answer:
        if answer.status_code in PASSING:
            raise _Broken(f"HTTP {answer.status_code} {answer.reason}")
        if answer.status_code not in (200, 206, 416):
            raise DataError(
                f"{remote.url} cannot be fetched: HTTP {answer.status_code} {answer.reason}. Get "
                f"{remote.filename} by hand, or tell the authors of skybench that it has moved."
            )
        yield answer


def _validator(answer: Response) -> str:
    etag = answer.headers.get("ETag", "")
    return etag if etag.startswith('"') else answer.headers.get("Last-Modified", "")


def _goes_on(answer: Response, begun: _Begun, done: int) -> bool:
    """Whether an answer is the rest of the same file; some servers ignore If-Range."""
    given = re.fullmatch(r"bytes (\d+)-\d+/(\d+|\*)", answer.headers.get("Content-Range", ""))
    same = _validator(answer) in ("", begun.validator)
    return bool(given and same and int(given[1]) == done and given[2] in ("*", str(begun.total)))


def _first(remote: Remote, answer: Response) -> _Begun:
    """What a whole answer says about the file. Raises DataError where it is another one."""
    length = answer.headers.get("Content-Length", "")
    total = int(length) if length.isdigit() else remote.size
    page = "text/html" in answer.headers.get("Content-Type", "")
    if page and not remote.filename.endswith((".html", ".htm")):
        raise DataError(
            f"{remote.url} answered with a web page, not {remote.filename}: it asks for a log-in "
            "or a confirmation. Open it in a browser and save the file."
        )
    if remote.size and total != remote.size:
        raise DataError(
            f"{remote.url} offers {total:,} bytes, expected {remote.size:,}: the published file "
            "has been replaced. Nothing was fetched; compare the versions, then get it by hand."
        )
    return _Begun(remote.url, _validator(answer), total)


def _chunks(answer: Response) -> Iterator[bytes]:
    from urllib3.exceptions import HTTPError

    try:
        yield from answer.raw.stream(CHUNK, decode_content=False)
    except (HTTPError, OSError) as error:
        raise _Broken(str(error)) from error
