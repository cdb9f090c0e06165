from __future__ import annotations

import errno
import io
import os
import random
import shutil
import signal
import stat
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skybench import archives
from skybench.archives import unpack
from skybench.core import DataError

FILES = {"A/1.png": b"one", "A/B/2.png": b"two" * 500, "A/empty.txt": b"", "list.txt": b"A/1.png\n"}
TARS = {"tar": "w", "tar.gz": "w:gz", "tar.bz2": "w:bz2", "tar.xz": "w:xz"}
FORMATS = ["zip", *TARS]
Contents = Mapping[str, bytes]


def _zip(path: Path, files: Contents, packing: int = zipfile.ZIP_DEFLATED) -> Path:
    with zipfile.ZipFile(path, "w", packing) as archive:
        for name, data in files.items():
            archive.writestr(zipfile.ZipInfo(name), data, packing)
    return path


def _tar(path: Path, files: Contents, mode: str = "w") -> Path:
    members = []
    for name, data in files.items():
        members.append((tarfile.TarInfo(name), data))
        members[-1][0].size = len(data)
    return _tar_of(path, members, mode)


def _tar_of(path: Path, members: list[tuple[tarfile.TarInfo, bytes]], mode: str = "w") -> Path:
    opened: Any = tarfile.open
    with opened(path, mode) as archive:
        for info, data in members:
            archive.addfile(info, io.BytesIO(data))
    return path


def _pack(path: Path, files: Contents, form: str) -> Path:
    return _zip(path, files) if form == "zip" else _tar(path, files, TARS[form])


def _tree(folder: Path) -> dict[str, bytes]:
    """All files below a folder, hidden ones and links too."""
    found = {}
    for place, folders, files in os.walk(folder):
        for name in files + [f for f in folders if (Path(place) / f).is_symlink()]:
            path = Path(place) / name
            found[str(path.relative_to(folder))] = path.read_bytes() if path.is_file() else b"?"
    return found


def _refuse(archive: Path, match: str) -> None:
    """Unpacking fails, and nothing is left of it, inside or outside of the folder."""
    into = archive.parent / "deep" / "into"
    into.mkdir(parents=True)
    (into / "mine").write_bytes(b"mine")
    before = _tree(archive.parent)
    with pytest.raises(DataError, match=match):
        unpack(archive, into)
    assert _tree(archive.parent) == before
    assert list(into.iterdir()) == [into / "mine"]


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_is_unpacked_whatever_its_name(form: str, tmp_path: Path) -> None:
    told: list[tuple[str, int, int]] = []
    archive = _pack(tmp_path / "data.bin", FILES, form)
    into = tmp_path / "into"
    found = unpack(archive, into, lambda *what: told.append(what))
    assert found == [into / "A", into / "list.txt"]
    assert _tree(into) == FILES
    size = archive.stat().st_size
    assert all(what == "unpacking data.bin" and 0 <= n <= size == t for what, n, t in told)
    assert told


def test_folders_that_are_there_take_up_what_is_new(tmp_path: Path) -> None:
    into = tmp_path / "into"
    unpack(_zip(tmp_path / "1.zip", {"A/1": b"a", "A/x/2": b"b"}), into)
    (into / "A" / "own").write_bytes(b"own")
    assert unpack(_zip(tmp_path / "2.zip", {"A/x/3": b"c", "A/1": b"new"}), into) == [into / "A"]
    assert _tree(into) == {"A/1": b"new", "A/x/2": b"b", "A/x/3": b"c", "A/own": b"own"}


def test_a_file_does_not_replace_a_folder(tmp_path: Path) -> None:
    (tmp_path / "into" / "A" / "x").mkdir(parents=True)
    archive = _zip(tmp_path / "1.zip", {"A": b"a"})
    with pytest.raises(DataError, match=r"1\.zip cannot be unpacked, at .*into"):
        unpack(archive, tmp_path / "into")
    assert [p.name for p in (tmp_path / "into").iterdir()] == ["A"]


def test_archives_in_archives_stay_as_they_are(tmp_path: Path) -> None:
    inner = _zip(tmp_path / "inner.zip", FILES).read_bytes()
    # A tar that ends with a zip also looks like a zip.
    unpack(_tar(tmp_path / "outer.tar", {"inner.zip": inner}), tmp_path / "into")
    assert _tree(tmp_path / "into") == {"inner.zip": inner}


def test_names_with_backslashes_are_paths(tmp_path: Path) -> None:
    unpack(_zip(tmp_path / "windows.zip", {"A\\train\\1.png": b"1"}), tmp_path / "into")
    assert _tree(tmp_path / "into") == {"A/train/1.png": b"1"}


def test_rights_and_owners_are_not_taken_over(tmp_path: Path) -> None:
    info = tarfile.TarInfo("run")
    info.mode = 0o4777
    unpack(_tar_of(tmp_path / "1.tar", [(info, b"")]), tmp_path / "into")
    assert (tmp_path / "into" / "run").stat().st_mode & 0o7111 == 0


@pytest.mark.parametrize("form", ["zip", "tar", "tar.gz"])
@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("../x", "leads out of the folder"),
        ("A/../../../x", "leads out"),
        ("..\\..\\x", "leads out"),
        ("/tmp/x", "has an absolute path"),
        ("//x", "has an absolute path"),
        ("C:\\x", "has an absolute path"),
        ("\\x", "has an absolute path"),
    ],
)
def test_names_that_lead_out_are_refused(form: str, name: str, why: str, tmp_path: Path) -> None:
    archive = _pack(tmp_path / "evil", {"good": b"1", name: b"2"}, form)
    _refuse(archive, rf"evil is not safe to unpack: its member '.*x' {why}.*Nothing was")


@pytest.mark.parametrize(
    ("kind", "target", "why"),
    [
        (tarfile.SYMTYPE, "../..", "link"),
        (tarfile.SYMTYPE, "/etc", "link"),
        (tarfile.SYMTYPE, "good", "link"),
        (tarfile.LNKTYPE, "../../mine", "link"),
        (tarfile.LNKTYPE, "good", "link"),
        (tarfile.CHRTYPE, "", "device"),
        (tarfile.BLKTYPE, "", "device"),
        (tarfile.FIFOTYPE, "", "device"),
    ],
)
def test_links_and_devices_in_tars_are_refused(
    kind: bytes, target: str, why: str, tmp_path: Path
) -> None:
    special = tarfile.TarInfo("special")
    special.type, special.linkname = kind, target
    through = tarfile.TarInfo("special/through")
    members = [(tarfile.TarInfo("good"), b""), (special, b""), (through, b"")]
    _refuse(_tar_of(tmp_path / "evil.tar", members), rf"member 'special' is a {why}")


@pytest.mark.parametrize(("kind", "why"), [(stat.S_IFLNK, "link"), (stat.S_IFCHR, "device")])
def test_links_and_devices_in_zips_are_refused(kind: int, why: str, tmp_path: Path) -> None:
    info = zipfile.ZipInfo("special")
    info.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr(info, "../..")
    _refuse(tmp_path / "evil.zip", rf"member 'special' is a {why}")


NAMES = st.lists(
    st.sampled_from(["..", ".", "", "/", "\\", "A", "b.png", "C:", "~", "é", " ", "x" * 300])
    | st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=5),
    min_size=1,
    max_size=5,
).map("/".join)


@given(st.lists(NAMES, min_size=1, max_size=3), st.sampled_from(["zip", "tar"]))
def test_no_name_writes_outside_of_the_folder(names: list[str], form: str) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        archive = _pack(root / "archive", dict.fromkeys(names, b"1"), form)
        into = root / "1" / "2" / "3" / "into"
        try:
            found = unpack(archive, into)
        except DataError:
            found = []
        assert {*_tree(root)} == {"archive", *(f"1/2/3/into/{n}" for n in _tree(into))}
        assert {*into.iterdir()} == {*found}


MEMBERS = st.tuples(
    NAMES,
    st.sampled_from([tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE]),
    NAMES,
)


@given(MEMBERS)
def test_what_the_data_filter_of_tarfile_refuses_is_refused(member: tuple[str, bytes, str]) -> None:
    info = tarfile.TarInfo(member[0])
    _, info.type, info.linkname = member
    with tempfile.TemporaryDirectory() as temporary:
        archive = _tar_of(Path(temporary) / "archive", [(info, b"")])
        with tarfile.open(archive) as tar:
            read = tar.next()
        assert read is not None
        try:
            tarfile.data_filter(read, temporary)
        except (tarfile.FilterError, OSError):
            with pytest.raises(DataError):
                unpack(archive, Path(temporary) / "into")


BOMB = {f"{i}.png": bytes(200_000) for i in range(5)}


@pytest.mark.parametrize("form", ["zip", "tar.gz", "tar.bz2"])
def test_a_bomb_is_refused(form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archives, "HARMLESS", 300_000)
    monkeypatch.setattr(archives, "RATIO", 50)
    _refuse(_pack(tmp_path / "bomb", BOMB, form), r"unpacks to [\d,]+ bytes .* 50 times its own")


def test_few_bytes_are_no_bomb_whatever_the_ratio(tmp_path: Path) -> None:
    archive = _zip(tmp_path / "small.zip", BOMB)
    assert archive.stat().st_size * archives.RATIO < sum(map(len, BOMB.values()))
    assert len(unpack(archive, tmp_path / "into")) == 5


def test_a_zip_says_before_it_is_unpacked_that_it_is_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "LIMIT", 900_000)
    monkeypatch.setattr(archives, "_inside", None)  # would be called for the first member
    _refuse(_zip(tmp_path / "large.zip", BOMB), r"1,000,000 bytes.* what any dataset here has")


@pytest.mark.parametrize("form", FORMATS)
def test_the_disk_must_have_room(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 900_000})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    _refuse(_pack(tmp_path / "large", BOMB, form), r"more than the free space of the disk \(900,0")


@pytest.mark.parametrize("form", ["zip", "tar.gz"])
def test_a_disk_that_becomes_full_is_named_and_cleared(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = _pack(tmp_path / "large", BOMB, form)
    honest: Callable[..., Any] = Path.open

    class Full(io.FileIO):
        def write(self, data: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    def open_(path: Path, mode: str = "r") -> Any:
        return Full(path, "w") if path.name == "3.png" else honest(path, mode)

    monkeypatch.setattr(Path, "open", open_)
    _refuse(archive, r"the disk became full while .*large was unpacked \(at '3\.png'\).*make room")


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("share", [0.02, 0.5, 0.75])
def test_an_archive_that_is_cut_short_leaves_nothing(
    form: str, share: float, tmp_path: Path
) -> None:
    noise = random.Random(0).randbytes(20_000)
    archive = _pack(tmp_path / "cut", {"a": noise, "b": noise}, form)
    archive.write_bytes(archive.read_bytes()[: int(archive.stat().st_size * share)])
    _refuse(archive, r"cut cannot be unpacked, at .* get it again")


@given(st.sampled_from(FORMATS), st.integers(0, 10**6), st.integers(1, 255))
def test_a_damaged_archive_is_unpacked_or_refused(form: str, place: int, change: int) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        archive = _pack(Path(temporary) / "damaged", FILES, form)
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
    _refuse(tmp_path / "page.zip", r"page\.zip cannot be unpacked, at its beginning")


def test_an_absent_archive_is_named(tmp_path: Path) -> None:
    _refuse(tmp_path / "absent.zip", r"absent\.zip cannot be unpacked.*No such file")


def test_an_encrypted_zip_is_named(tmp_path: Path) -> None:
    archive = _zip(tmp_path / "secret.zip", {"a": b"1"})
    data = bytearray(archive.read_bytes())
    data[data.index(b"PK\x01\x02") + 8] |= 1
    archive.write_bytes(data)
    _refuse(archive, r"secret\.zip cannot be unpacked, at 'a'.*encrypted")


KILLED = """
import os, signal, sys
from pathlib import Path
from skybench.archives import unpack
def report(what, done, total):
    if done > total / 2:
        os.kill(os.getpid(), signal.SIGKILL)
unpack(Path(sys.argv[1]), Path(sys.argv[2]), report)
"""


def test_a_killed_run_leaves_nothing_that_looks_whole(tmp_path: Path) -> None:
    noise = {f"A/{i}": random.Random(i).randbytes(50_000) for i in range(10)}
    archive, into = _zip(tmp_path / "1.zip", noise), tmp_path / "into"
    begin = time.monotonic()
    ended = subprocess.run([sys.executable, "-P", "-c", KILLED, archive, into], timeout=60)
    assert ended.returncode == -signal.SIGKILL, f"after {time.monotonic() - begin:.0f} s"
    (left,) = into.iterdir()
    assert left.name.startswith(archives.STAGING)
    assert 0 < len(_tree(left)) < 10
    assert unpack(archive, into) == [into / "A"]
