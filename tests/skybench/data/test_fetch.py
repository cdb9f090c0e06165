from __future__ import annotations

import errno
import hashlib
import io
import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skybench.core import DataError
from skybench.data import fetch as transfer
from skybench.data.fetch import Remote, fetch_file

from .._misbehaving import CHANGED, DATA, Site, handler, names_in, remote_of, sha256


@pytest.fixture
def site(serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(transfer, "PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.setattr(transfer, "CHUNK", 1000)
    known = Site()
    known.address = serve(handler(known))
    yield known
    known.stall = False


@pytest.mark.parametrize("digest", ["", sha256(DATA), f"md5:{hashlib.md5(DATA).hexdigest()}"])
def test_a_file_is_fetched_once(site: Site, digest: str, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    remote = remote_of(site, digest=digest, size=len(DATA))
    path = fetch_file(remote, tmp_path / "new", lambda *what: told.append(what))
    assert path == tmp_path / "new" / "data.zip"
    assert path.read_bytes() == DATA
    assert names_in(path.parent) == ["data.zip"]
    counts = [(done, total) for what, done, total in told if what == "fetching data.zip"]
    assert counts[-1] == (40_000, 40_000)
    assert sorted(counts) == counts
    assert fetch_file(remote, tmp_path / "new") == path
    (asked,) = site.asked
    assert asked["User-Agent"].startswith("skybench/")
    assert asked["Accept-Encoding"] == "identity"


def test_a_server_that_does_not_say_how_much(site: Site, tmp_path: Path) -> None:
    site.length, site.cuts = False, [15_000]
    with pytest.raises(DataError, match=f"not the published file.*expected {sha256(DATA)}"):
        fetch_file(remote_of(site), tmp_path)  # the end cannot be told from a break: the hash tells
    assert fetch_file(remote_of(site), tmp_path).read_bytes() == DATA
    remote = replace(remote_of(site), filename="again.zip", size=len(DATA))
    site.cuts = [15_000]
    assert fetch_file(remote, tmp_path).read_bytes() == DATA
    # All had come, but the run was killed before it knew.
    (tmp_path / "data.zip").rename(tmp_path / "data.zip.part")
    notes = {"url": remote.url, "validator": '"1"', "total": 0}
    (tmp_path / "data.zip.part.json").write_text(json.dumps(notes))
    assert fetch_file(remote_of(site), tmp_path).read_bytes() == DATA


def test_another_file_is_set_aside(site: Site, tmp_path: Path) -> None:
    site.data = CHANGED
    wrong = rf"it has {sha256(CHANGED)}, expected {sha256(DATA)}.*set aside as data\.zip\.wrong"
    with pytest.raises(DataError, match=wrong):
        fetch_file(remote_of(site), tmp_path)
    assert [n for n in names_in(tmp_path) if "json" not in n] == ["data.zip.wrong"]
    (tmp_path / "data.zip").write_bytes(CHANGED)  # put there by hand
    with pytest.raises(DataError, match=wrong):
        fetch_file(remote_of(site), tmp_path)
    site.data = DATA
    assert fetch_file(remote_of(site), tmp_path).read_bytes() == DATA


def test_another_size_is_noticed(site: Site, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"offers 40,000 bytes, expected 7: .*Nothing was fetched"):
        fetch_file(remote_of(site, size=7), tmp_path)
    (tmp_path / "data.zip").write_bytes(b"1234567")
    with pytest.raises(DataError, match=r"it has 7 bytes, expected 40,000"):
        fetch_file(remote_of(site, size=40_000), tmp_path)


@pytest.mark.parametrize("state", [401, 403, 404, 410])
def test_a_final_answer_is_not_asked_for_again(site: Site, state: int, tmp_path: Path) -> None:
    site.states = [state]
    with pytest.raises(DataError, match=rf"data\.zip cannot be fetched: HTTP {state} \w+.*by hand"):
        fetch_file(remote_of(site), tmp_path)
    assert len(site.asked) == 1
    assert names_in(tmp_path) == []


def test_a_passing_answer_is_asked_for_again(site: Site, tmp_path: Path) -> None:
    site.states = [503, 429, 500]
    assert fetch_file(remote_of(site), tmp_path).read_bytes() == DATA


def test_offline_the_message_says_what_to_do(site: Site, tmp_path: Path) -> None:
    remote = Remote("http://127.0.0.1:9/data.zip", "data.zip")
    with pytest.raises(DataError, match=r"broke off 4 times .*put the file at .*data\.zip by hand"):
        fetch_file(remote, tmp_path)


def test_redirects_are_followed(site: Site, tmp_path: Path) -> None:
    remote = replace(remote_of(site), url=f"{site.address}/to/{site.address}/data.zip")
    assert fetch_file(remote, tmp_path).read_bytes() == DATA


@pytest.mark.parametrize("target", ["file:///etc/passwd", "ftp://127.0.0.1/x", "/to/"])
def test_redirects_to_elsewhere_are_not(site: Site, target: str, tmp_path: Path) -> None:
    target = f"{target}{target}" * 20 if target == "/to/" else target
    with pytest.raises(DataError, match=r"cannot be fetched: "):
        fetch_file(replace(remote_of(site), url=f"{site.address}/to/{target}"), tmp_path)
    assert names_in(tmp_path) == []


def test_a_page_that_asks_for_a_login_is_no_dataset(site: Site, tmp_path: Path) -> None:
    site.headers["Content-Type"] = "text/html; charset=utf-8"
    with pytest.raises(DataError, match=r"answered with a web page, not data\.zip"):
        fetch_file(remote_of(site, digest=""), tmp_path)
    assert fetch_file(Remote(f"{site.address}/a", "a.html"), tmp_path).read_bytes() == DATA


def test_too_little_room_is_noticed_before(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 30_000})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(DataError, match=r"40,000 bytes are still to come.* the disk has 30,000 fr"):
        fetch_file(remote_of(site), tmp_path)
    monkeypatch.setattr(usage, "free", 40_000)
    site.cuts = [15_000, 0, 0, 0, 0]
    with pytest.raises(DataError, match="broke off"):
        fetch_file(remote_of(site), tmp_path)
    monkeypatch.setattr(usage, "free", 25_000)  # what is there already needs no more room
    assert fetch_file(remote_of(site), tmp_path).read_bytes() == DATA


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
            fetch_file(remote_of(site), tmp_path)
    assert fetch_file(remote_of(site), tmp_path).read_bytes() == DATA
    assert site.ranges_asked() == ["", "bytes=20000-"]


def test_a_folder_that_cannot_be_written_is_named(site: Site, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DataError, match=r"file/data cannot be written: .*another folder"):
        fetch_file(remote_of(site), tmp_path / "file" / "data")


def test_of_two_runs_at_once_the_second_waits(site: Site, tmp_path: Path) -> None:
    site.stall = True
    told: list[str] = []
    found: list[Path] = []

    def run() -> None:
        found.append(fetch_file(remote_of(site), tmp_path, lambda what, *_: told.append(what)))

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


def test_a_lock_is_gone_after_the_download(site: Site, tmp_path: Path) -> None:
    fetch_file(remote_of(site), tmp_path / "a")
    assert [p.name for p in (tmp_path / "a").iterdir()] == ["data.zip"]


def test_a_folder_that_cannot_be_made_is_refused(site: Site, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        fetch_file(remote_of(site), tmp_path / "a" / "b")


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
