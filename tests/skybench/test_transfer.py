from __future__ import annotations

import errno
import hashlib
import importlib
import io
import json
import random
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from skybench import transfer
from skybench.core import DataError
from skybench.transfer import Remote, fetch

DATA = random.Random(0).randbytes(40_000)
CHANGED = random.Random(1).randbytes(40_000)


def _sha256(data: bytes) -> str:
    return f"sha256:{hashlib.sha256(data).hexdigest()}"


@dataclass
class Site:
    """A web server with one file, and how it misbehaves."""

    address: str = ""
    data: bytes = DATA
    headers: dict[str, str] = field(default_factory=lambda: {"ETag": '"1"'})
    ranges: bool = True
    heeds_if_range: bool = True
    wrong_part: bool = False  # a byte too early
    length: bool = True  # says it
    cuts: list[int] = field(default_factory=list)  # bytes after which each answer breaks off
    states: list[int] = field(default_factory=list)  # of the first answers, instead of the file
    stall: bool = False  # after half of the file
    asked: list[dict[str, str]] = field(default_factory=list)  # headers of the requests

    def ranges_asked(self) -> list[str]:
        return [headers.get("Range", "") for headers in self.asked]


class _Handler(BaseHTTPRequestHandler):
    site: Site

    def do_GET(self) -> None:
        site = self.site
        site.asked.append(dict(self.headers))
        state = site.states.pop(0) if site.states else 200
        if self.path.startswith("/to/"):
            self._head(302, {"Location": self.path.removeprefix("/to/")})
        elif state != 200:
            self._head(state, {"Content-Length": "0"})
        else:
            self._file()

    def _file(self) -> None:
        site, start, state, extra = self.site, 0, 200, dict(self.site.headers)
        known = (None, extra.get("ETag"), extra.get("Last-Modified"))
        same = self.headers["If-Range"] in known or not site.heeds_if_range
        if site.ranges and same and (wanted := self.headers["Range"]):
            start = int(re.findall(r"\d+", wanted)[0]) - site.wrong_part
            if start >= len(site.data):
                self._head(416, {"Content-Range": f"bytes */{len(site.data)}"})
                return
            state = 206
            extra["Content-Range"] = f"bytes {start}-{len(site.data) - 1}/{len(site.data)}"
        body, cut = site.data[start:], site.cuts.pop(0) if site.cuts else None
        if site.length:
            extra["Content-Length"] = str(len(body))
        self._head(state, extra)
        half = len(body) // 2 if site.stall else 0
        self.wfile.write(body[:half])
        while site.stall:
            time.sleep(0.01)
        self.wfile.write(body[half:cut])

    def _head(self, state: int, headers: dict[str, str]) -> None:
        self.send_response(state)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        pass  # a client that was killed


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(transfer, "PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.setattr(transfer, "CHUNK", 1000)
    known = Site()
    server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"site": known}))
    known.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield known
    known.stall = False
    server.shutdown()
    thread.join()
    server.server_close()


def _remote(site: Site, **changes: Any) -> Remote:
    digest = changes.pop("digest", _sha256(DATA))
    return Remote(f"{site.address}/data.zip", "data.zip", digest, **changes)


def _names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir() if p.name != ".lock")


@pytest.mark.parametrize("digest", ["", _sha256(DATA), f"md5:{hashlib.md5(DATA).hexdigest()}"])
def test_a_file_is_fetched_once(site: Site, digest: str, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    remote = _remote(site, digest=digest, size=len(DATA))
    path = fetch(remote, tmp_path / "new", lambda *what: told.append(what))
    assert path == tmp_path / "new" / "data.zip"
    assert path.read_bytes() == DATA
    assert _names(path.parent) == ["data.zip"]
    counts = [(done, total) for what, done, total in told if what == "fetching data.zip"]
    assert counts[-1] == (40_000, 40_000)
    assert sorted(counts) == counts
    assert fetch(remote, tmp_path / "new") == path
    (asked,) = site.asked
    assert asked["User-Agent"].startswith("skybench/")
    assert asked["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("headers", "validator"),
    [
        ({"ETag": '"1"'}, '"1"'),
        ({"Last-Modified": "Tue, 01 Nov 2022 00:00:00 GMT"}, "Tue, 01 Nov 2022 00:00:00 GMT"),
        ({"ETag": 'W/"weak"', "Last-Modified": "yesterday"}, "yesterday"),
        ({}, None),  # the digest tells whether the parts fit
    ],
)
def test_a_transfer_that_breaks_off_goes_on_where_it_was(
    site: Site, headers: dict[str, str], validator: str | None, tmp_path: Path
) -> None:
    site.headers, site.cuts = headers, [15_000, 10_000]
    assert fetch(_remote(site), tmp_path).read_bytes() == DATA
    assert site.ranges_asked() == ["", "bytes=15000-", "bytes=25000-"]
    assert [h.get("If-Range") for h in site.asked[1:]] == [validator] * 2
    assert _names(tmp_path) == ["data.zip"]


def test_attempts_that_get_further_are_not_counted(site: Site, tmp_path: Path) -> None:
    site.cuts = [4000] * 9
    assert fetch(_remote(site), tmp_path).read_bytes() == DATA
    assert len(site.asked) == 10


def test_attempts_that_get_nowhere_end_and_the_next_run_goes_on(site: Site, tmp_path: Path) -> None:
    site.cuts = [12_000, 0, 0, 0, 0]
    with pytest.raises(DataError, match=r"broke off 4 times .*after the 12,000 bytes.*by hand"):
        fetch(_remote(site), tmp_path)
    assert _names(tmp_path) == ["data.zip.part", "data.zip.part.json"]
    site.cuts = []
    assert fetch(_remote(site), tmp_path).read_bytes() == DATA
    assert site.ranges_asked()[-1] == "bytes=12000-"


def test_a_server_without_ranges_begins_anew(site: Site, tmp_path: Path) -> None:
    site.ranges, site.cuts = False, [15_000]
    assert fetch(_remote(site), tmp_path).read_bytes() == DATA
    assert site.ranges_asked() == ["", "bytes=15000-"]


def test_without_validator_and_digest_parts_are_not_joined(site: Site, tmp_path: Path) -> None:
    site.headers, site.cuts = {}, [15_000]
    assert fetch(_remote(site, digest=""), tmp_path).read_bytes() == DATA
    assert site.ranges_asked() == ["", ""]


@pytest.mark.parametrize("heeds", [True, False])
def test_a_file_that_changed_between_attempts_is_fetched_anew(
    site: Site, heeds: bool, tmp_path: Path
) -> None:
    site.cuts = [15_000, 0, 0, 0, 0]
    remote = _remote(site, digest="")
    with pytest.raises(DataError, match="broke off"):
        fetch(remote, tmp_path)
    site.data, site.headers, site.heeds_if_range = CHANGED, {"ETag": '"2"'}, heeds
    assert fetch(remote, tmp_path).read_bytes() == CHANGED


def test_another_part_than_was_asked_for_is_not_used(site: Site, tmp_path: Path) -> None:
    site.cuts, site.wrong_part = [15_000], True
    assert fetch(_remote(site), tmp_path).read_bytes() == DATA
    assert site.ranges_asked() == ["", "bytes=15000-", ""]


def test_a_part_of_another_address_is_not_used(site: Site, tmp_path: Path) -> None:
    site.cuts = [15_000, 0, 0, 0, 0]
    with pytest.raises(DataError, match="broke off"):
        fetch(replace(_remote(site), url=f"{site.address}/old.zip"), tmp_path)
    assert fetch(_remote(site), tmp_path).read_bytes() == DATA
    assert site.ranges_asked()[-1] == ""


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"url"'])
def test_a_part_with_damaged_notes_is_not_used(site: Site, text: str, tmp_path: Path) -> None:
    (tmp_path / "data.zip.part").write_bytes(CHANGED[:10])
    (tmp_path / "data.zip.part.json").write_text(text)
    assert fetch(_remote(site), tmp_path).read_bytes() == DATA


def test_a_part_that_is_longer_than_the_file_is_not_used(site: Site, tmp_path: Path) -> None:
    site.cuts = [15_000, 0, 0, 0, 0]
    with pytest.raises(DataError, match="broke off"):
        fetch(_remote(site), tmp_path)
    (tmp_path / "data.zip.part").write_bytes(DATA + b"more")
    assert fetch(_remote(site), tmp_path).read_bytes() == DATA


def test_a_part_that_is_whole_is_not_asked_for(site: Site, tmp_path: Path) -> None:
    remote = _remote(site)
    (tmp_path / "data.zip.part").write_bytes(DATA)
    notes = {"url": remote.url, "validator": '"1"', "total": len(DATA)}
    (tmp_path / "data.zip.part.json").write_text(json.dumps(notes))
    assert fetch(remote, tmp_path).read_bytes() == DATA
    assert site.asked == []


def test_a_server_that_does_not_say_how_much(site: Site, tmp_path: Path) -> None:
    site.length, site.cuts = False, [15_000]
    with pytest.raises(DataError, match=f"not the published file.*expected {_sha256(DATA)}"):
        fetch(_remote(site), tmp_path)  # the end cannot be told from a break: the hash tells
    assert fetch(_remote(site), tmp_path).read_bytes() == DATA
    remote = replace(_remote(site), filename="again.zip", size=len(DATA))
    site.cuts = [15_000]
    assert fetch(remote, tmp_path).read_bytes() == DATA
    # All had come, but the run was killed before it knew.
    (tmp_path / "data.zip").rename(tmp_path / "data.zip.part")
    notes = {"url": remote.url, "validator": '"1"', "total": 0}
    (tmp_path / "data.zip.part.json").write_text(json.dumps(notes))
    assert fetch(_remote(site), tmp_path).read_bytes() == DATA


def test_another_file_is_set_aside(site: Site, tmp_path: Path) -> None:
    site.data = CHANGED
    wrong = rf"it has {_sha256(CHANGED)}, expected {_sha256(DATA)}.*set aside as data\.zip\.wrong"
    with pytest.raises(DataError, match=wrong):
        fetch(_remote(site), tmp_path)
    assert [n for n in _names(tmp_path) if "json" not in n] == ["data.zip.wrong"]
    (tmp_path / "data.zip").write_bytes(CHANGED)  # put there by hand
    with pytest.raises(DataError, match=wrong):
        fetch(_remote(site), tmp_path)
    site.data = DATA
    assert fetch(_remote(site), tmp_path).read_bytes() == DATA


def test_another_size_is_noticed(site: Site, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"offers 40,000 bytes, expected 7: .*Nothing was fetched"):
        fetch(_remote(site, size=7), tmp_path)
    (tmp_path / "data.zip").write_bytes(b"1234567")
    with pytest.raises(DataError, match=r"it has 7 bytes, expected 40,000"):
        fetch(_remote(site, size=40_000), tmp_path)


@pytest.mark.parametrize("state", [401, 403, 404, 410])
def test_a_final_answer_is_not_asked_for_again(site: Site, state: int, tmp_path: Path) -> None:
    site.states = [state]
    with pytest.raises(DataError, match=rf"data\.zip cannot be fetched: HTTP {state} \w+.*by hand"):
        fetch(_remote(site), tmp_path)
    assert len(site.asked) == 1
    assert _names(tmp_path) == []


def test_a_passing_answer_is_asked_for_again(site: Site, tmp_path: Path) -> None:
    site.states = [503, 429, 500]
    assert fetch(_remote(site), tmp_path).read_bytes() == DATA


def test_offline_the_message_says_what_to_do(site: Site, tmp_path: Path) -> None:
    remote = Remote("http://127.0.0.1:9/data.zip", "data.zip")
    with pytest.raises(DataError, match=r"broke off 4 times .*put the file at .*data\.zip by hand"):
        fetch(remote, tmp_path)


def test_redirects_are_followed(site: Site, tmp_path: Path) -> None:
    remote = replace(_remote(site), url=f"{site.address}/to/{site.address}/data.zip")
    assert fetch(remote, tmp_path).read_bytes() == DATA


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "/to/"])
def test_redirects_to_elsewhere_are_not(site: Site, target: str, tmp_path: Path) -> None:
    target = f"{target}{target}" * 20 if target == "/to/" else target
    with pytest.raises(DataError, match=r"cannot be fetched: "):
        fetch(replace(_remote(site), url=f"{site.address}/to/{target}"), tmp_path)
    assert _names(tmp_path) == []


def test_a_page_that_asks_for_a_login_is_no_dataset(site: Site, tmp_path: Path) -> None:
    site.headers["Content-Type"] = "text/html; charset=utf-8"
    with pytest.raises(DataError, match=r"answered with a web page, not data\.zip"):
        fetch(_remote(site, digest=""), tmp_path)
    assert fetch(Remote(f"{site.address}/a", "a.html"), tmp_path).read_bytes() == DATA


def test_too_little_room_is_noticed_before(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 30_000})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DataError, match=r"40,000 bytes are still to come.* the disk has 30,000 fr"):
        fetch(_remote(site), tmp_path)
    monkeypatch.setattr(usage, "free", 40_000)
    site.cuts = [15_000, 0, 0, 0, 0]
    with pytest.raises(DataError, match="broke off"):
        fetch(_remote(site), tmp_path)
    monkeypatch.setattr(usage, "free", 25_000)  # what is there already needs no more room
    assert fetch(_remote(site), tmp_path).read_bytes() == DATA


def test_a_disk_that_becomes_full_keeps_the_part(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    honest: Callable[..., Any] = Path.open

    class Full(io.FileIO):
        def write(self, data: Any) -> int:
            if self.tell() >= 20_000:
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().write(data)

    def open_(path: Path, mode: str = "r", **others: Any) -> Any:
        return Full(path, mode) if path.suffix == ".part" else honest(path, mode, **others)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "open", open_)
        with pytest.raises(DataError, match=r"No space left on device.*20,000 bytes are kept"):
            fetch(_remote(site), tmp_path)
    assert fetch(_remote(site), tmp_path).read_bytes() == DATA
    assert site.ranges_asked() == ["", "bytes=20000-"]


def test_a_folder_that_cannot_be_written_is_named(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match=r"file/data cannot be written: .*another folder"):
        fetch(_remote(site), tmp_path / "file" / "data")


KILLED = """
import sys
from pathlib import Path
from skybench import transfer
transfer.CHUNK = 1000
transfer.fetch(transfer.Remote(*sys.argv[1:4]), Path(sys.argv[4]))
"""


def test_the_run_after_a_killed_one_goes_on(site: Site, tmp_path: Path) -> None:
    site.stall = True
    remote = _remote(site)
    command = [sys.executable, "-P", "-c", KILLED, remote.url, "data.zip", remote.digest]
    child = subprocess.Popen([*command, str(tmp_path)])
    part, end = tmp_path / "data.zip.part", time.monotonic() + 60
    while not (part.exists() and part.stat().st_size) and time.monotonic() < end:
        time.sleep(0.01)
    child.kill()
    child.wait()
    site.stall = False
    here = part.stat().st_size
    assert 0 < here <= 20_000
    assert _names(tmp_path) == ["data.zip.part", "data.zip.part.json"]
    assert fetch(remote, tmp_path).read_bytes() == DATA
    assert site.ranges_asked() == ["", f"bytes={here}-"]


def test_of_two_runs_at_once_the_second_waits(site: Site, tmp_path: Path) -> None:
    site.stall = True
    told: list[str] = []
    found: list[Path] = []

    def run() -> None:
        found.append(fetch(_remote(site), tmp_path, lambda what, *_: told.append(what)))

    threads = [threading.Thread(target=run) for _ in range(2)]
    for thread in threads:
        thread.start()
    end = time.monotonic() + 30
    waiting = f"waiting for another download into {tmp_path}"
    while not (site.asked and waiting in told) and time.monotonic() < end:
        time.sleep(0.01)
    site.stall = False
    for thread in threads:
        thread.join()
    assert found == [tmp_path / "data.zip"] * 2
    assert found[0].read_bytes() == DATA
    assert len(site.asked) == told.count(waiting) == 1


def test_without_locks_a_file_is_fetched_all_the_same(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(importlib.import_module("fcntl"), "flock", refuse)
    assert fetch(_remote(site), tmp_path).read_bytes() == DATA


@pytest.mark.parametrize(
    ("url", "digest"),
    [
        ("ftp://x/y", ""),
        ("file:///y", ""),
        ("https://x/y", "md5:" + 22 * "0"),  # torchgeo has one like this
        ("https://x/y", "sha256:" + 64 * "G"),
        ("https://x/y", "sha256:" + 9 * "0"),
        ("https://x/y", 32 * "0"),
    ],
)
def test_a_malformed_remote_is_refused(url: str, digest: str) -> None:
    with pytest.raises(ValueError, match=r"expected an http\(s\) address and md5:… or sha256:…"):
        Remote(url, "y", digest)
