"""What came of a transfer that broke off: used where it is the same file, else not."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from skybench.core import DataError
from skybench.data import fetch as transfer
from skybench.data.fetch import fetch_file

from .._misbehaving import CHANGED, DATA, Site, handler, names_in, remote_of


@pytest.fixture
def site(serve: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    monkeypatch.setattr(transfer, "PAUSES", (0.0, 0.0, 0.0))
    monkeypatch.setattr(transfer, "CHUNK", 1000)
    known = Site()
    known.address = serve(handler(known))
    yield known
    known.stall = False


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
    assert fetch_file(remote_of(site), tmp_path).read_bytes() == DATA
    assert site.ranges_asked() == ["", "bytes=15000-", "bytes=25000-"]
    assert [h.get("If-Range") for h in site.asked[1:]] == [validator] * 2
    assert names_in(tmp_path) == ["data.zip"]


def test_attempts_that_get_further_are_not_counted(site: Site, tmp_path: Path) -> None:
    site.cuts = [4000] * 9
    assert fetch_file(remote_of(site), tmp_path).read_bytes() == DATA
    assert len(site.asked) == 10


def test_attempts_that_get_nowhere_end_and_the_next_run_goes_on(site: Site, tmp_path: Path) -> None:
    site.cuts = [12_000, 0, 0, 0, 0]
    with pytest.raises(DataError, match=r"broke off 4 times .*12,000 bytes are kept.*by hand"):
        fetch_file(remote_of(site), tmp_path)
    assert names_in(tmp_path) == ["data.zip.part", "data.zip.part.json"]
    site.cuts = []
    assert fetch_file(remote_of(site), tmp_path).read_bytes() == DATA
    assert site.ranges_asked()[-1] == "bytes=12000-"


def test_a_server_without_ranges_begins_anew(site: Site, tmp_path: Path) -> None:
    site.ranges, site.cuts = False, [15_000]
    assert fetch_file(remote_of(site), tmp_path).read_bytes() == DATA
    assert site.ranges_asked() == ["", "bytes=15000-"]


def test_without_validator_and_digest_parts_are_not_joined(site: Site, tmp_path: Path) -> None:
    site.headers, site.cuts = {}, [15_000]
    assert fetch_file(remote_of(site, digest=""), tmp_path).read_bytes() == DATA
    assert site.ranges_asked() == ["", ""]


@pytest.mark.parametrize("heeds", [True, False])
def test_a_file_that_changed_between_attempts_is_fetched_anew(
    site: Site, heeds: bool, tmp_path: Path
) -> None:
    site.cuts = [15_000, 0, 0, 0, 0]
    remote = remote_of(site, digest="")
    with pytest.raises(DataError, match="broke off"):
        fetch_file(remote, tmp_path)
    site.data, site.headers, site.heeds_if_range = CHANGED, {"ETag": '"2"'}, heeds
    assert fetch_file(remote, tmp_path).read_bytes() == CHANGED


def test_another_part_than_was_asked_for_is_not_used(site: Site, tmp_path: Path) -> None:
    site.cuts, site.wrong_part = [15_000], True
    assert fetch_file(remote_of(site), tmp_path).read_bytes() == DATA
    assert site.ranges_asked() == ["", "bytes=15000-", ""]


def test_a_part_of_another_address_is_not_used(site: Site, tmp_path: Path) -> None:
    site.cuts = [15_000, 0, 0, 0, 0]
    with pytest.raises(DataError, match="broke off"):
        fetch_file(replace(remote_of(site), url=f"{site.address}/old.zip"), tmp_path)
    assert fetch_file(remote_of(site), tmp_path).read_bytes() == DATA
    assert site.ranges_asked()[-1] == ""


@pytest.mark.parametrize("text", ["", "{}", "[1]", '{"url"'])
def test_a_part_with_damaged_notes_is_not_used(site: Site, text: str, tmp_path: Path) -> None:
    (tmp_path / "data.zip.part").write_bytes(CHANGED[:10])
    (tmp_path / "data.zip.part.json").write_text(text)
    assert fetch_file(remote_of(site), tmp_path).read_bytes() == DATA


def test_a_part_that_is_longer_than_the_file_is_not_used(site: Site, tmp_path: Path) -> None:
    site.cuts = [15_000, 0, 0, 0, 0]
    with pytest.raises(DataError, match="broke off"):
        fetch_file(remote_of(site), tmp_path)
    (tmp_path / "data.zip.part").write_bytes(DATA + b"more")
    assert fetch_file(remote_of(site), tmp_path).read_bytes() == DATA


def test_a_part_that_is_whole_is_not_asked_for(site: Site, tmp_path: Path) -> None:
    remote = remote_of(site)
    (tmp_path / "data.zip.part").write_bytes(DATA)
    notes = {"url": remote.url, "validator": '"1"', "total": len(DATA)}
    (tmp_path / "data.zip.part.json").write_text(json.dumps(notes))
    assert fetch_file(remote, tmp_path).read_bytes() == DATA
    assert site.asked == []


KILLED = """
import sys
from pathlib import Path
from skybench.data import fetch as transfer
transfer.CHUNK = 1000
transfer.fetch_file(transfer.Remote(*sys.argv[1:4]), Path(sys.argv[4]))
"""


def test_the_run_after_a_killed_one_goes_on(site: Site, tmp_path: Path) -> None:
    site.stall = True
    remote = remote_of(site)
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
    assert names_in(tmp_path) == ["data.zip.part", "data.zip.part.json"]
    assert fetch_file(remote, tmp_path).read_bytes() == DATA
    assert site.ranges_asked() == ["", f"bytes={here}-"]
