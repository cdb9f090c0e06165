from __future__ import annotations

import random
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skybench.core import DataError
from skybench.data import archives
from skybench.data.archives import unpack

from ._archives import FILES, FORMATS, packed, refused, tar_of, tar_of_members, tree, zip_of


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_unpacked_whatever_its_name(form: str, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    archive = packed(tmp_path / "data.bin", FILES, form)
    into = tmp_path / "into"
    found = unpack(archive, into, lambda *what: told.append(what))
    assert found == [into / "A", into / "list.txt"]
    assert tree(into) == FILES
    size = archive.stat().st_size
    assert all(what == "unpacking data.bin" and 0 <= n <= size == t for what, n, t in told)
    assert told


def test_folders_that_are_there_take_up_what_is_new(tmp_path: Path) -> None:
    into = tmp_path / "into"
    unpack(zip_of(tmp_path / "1.zip", {"A/1": b"a", "A/x/2": b"b"}), into)
    (into / "A" / "own").write_bytes(b"own")
    assert unpack(zip_of(tmp_path / "2.zip", {"A/x/3": b"c", "A/1": b"new"}), into) == [into / "A"]
    assert tree(into) == {"A/1": b"new", "A/x/2": b"b", "A/x/3": b"c", "A/own": b"own"}


def test_a_file_does_not_replace_a_folder(tmp_path: Path) -> None:
    (tmp_path / "into" / "A" / "x").mkdir(parents=True)
    archive = zip_of(tmp_path / "1.zip", {"A": b"a"})
    with pytest.raises(DataError, match=r"1\.zip cannot be unpacked, at .*into"):
        unpack(archive, tmp_path / "into")
    assert [p.name for p in (tmp_path / "into").iterdir()] == ["A"]


def test_archives_in_archives_stay_as_they_are(tmp_path: Path) -> None:
    inner = zip_of(tmp_path / "inner.zip", FILES).read_bytes()
    # A tar that ends with a zip also looks like a zip.
    unpack(tar_of(tmp_path / "outer.tar", {"inner.zip": inner}), tmp_path / "into")
    assert tree(tmp_path / "into") == {"inner.zip": inner}


def test_names_with_backslashes_are_paths(tmp_path: Path) -> None:
    unpack(zip_of(tmp_path / "windows.zip", {"A\\train\\1.png": b"1"}), tmp_path / "into")
    assert tree(tmp_path / "into") == {"A/train/1.png": b"1"}


def test_rights_and_owners_are_not_taken_over(tmp_path: Path) -> None:
    info = tarfile.TarInfo("run")
    info.mode = 0o4777
    unpack(tar_of_members(tmp_path / "1.tar", [(info, b"")]), tmp_path / "into")
    assert (tmp_path / "into" / "run").stat().st_mode & 0o7111 == 0


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("share", [0.02, 0.5, 0.75])
def test_an_archive_that_is_cut_short_leaves_nothing(
    form: str, share: float, tmp_path: Path
) -> None:
    noise = random.Random(0).randbytes(20_000)
    archive = packed(tmp_path / "cut", {"a": noise, "b": noise}, form)
    archive.write_bytes(archive.read_bytes()[: int(archive.stat().st_size * share)])
    refused(archive, r"cut cannot be unpacked, at .* get it again")


@given(st.sampled_from(FORMATS), st.integers(0, 10**6), st.integers(1, 255))
def test_a_damaged_archive_is_unpacked_or_refused(form: str, place: int, change: int) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        archive = packed(Path(temporary) / "damaged", FILES, form)
        data = bytearray(archive.read_bytes())
        data[place % len(data)] ^= change
        archive.write_bytes(data)
        try:
            unpack(archive, Path(temporary) / "into")
        except DataError:
            assert not list((Path(temporary) / "into").iterdir())


@pytest.mark.parametrize("data", [b"", b"<html>log in</html>", b"\x1f\x8bno gzip"])
def test_what_is_no_archive_is_named(data: bytes, tmp_path: Path) -> None:
    (tmp_path / "page.zip").write_bytes(data)
    refused(tmp_path / "page.zip", r"page\.zip cannot be unpacked, at its beginning")


def test_an_absent_archive_is_named(tmp_path: Path) -> None:
    refused(tmp_path / "absent.zip", r"absent\.zip cannot be unpacked.*No such file")


def test_an_encrypted_zip_is_named(tmp_path: Path) -> None:
    archive = zip_of(tmp_path / "secret.zip", {"a": b"1"})
    data = bytearray(archive.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(data)
    refused(archive, r"secret\.zip cannot be unpacked, at 'a'.*encrypted")


KILLED = """
import os, signal, sys
from pathlib import Path
from skybench.data.archives import unpack
def report(what, done, total):
    if done > total / 2:
        os.kill(os.getpid(), signal.SIGKILL)
unpack(Path(sys.argv[1]), Path(sys.argv[2]), report)
"""


def test_a_killed_run_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    noise = {f"A/{i}": random.Random(i).randbytes(50_000) for i in range(10)}
    archive, into = zip_of(tmp_path / "1.zip", noise), tmp_path / "into"
    begin = time.monotonic()
    ended = subprocess.run([sys.executable, "-P", "-c", KILLED, archive, into], timeout=60)
    assert ended.returncode == -signal.SIGKILL, f"after {time.monotonic() - begin:.0f} s"
    (left,) = into.iterdir()
    assert left.name.startswith(archives.STAGING)
    assert 0 < len(tree(left)) < 10
    assert unpack(archive, into) == [into / "A"]
