"""Archives that must not be unpacked: what they name, link to, or would fill."""

from __future__ import annotations

import errno
import io
import shutil
import stat
import tarfile
import tempfile
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from skybench.core import DataError
from skybench.data import archives
from skybench.data.archives import unpack

from ._archives import FORMATS, packed, refused, tar_of_members, tree, zip_of


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
    archive = packed(tmp_path / "evil", {"good": b"1", name: b"2"}, form)
    refused(archive, rf"evil is not safe to unpack: its member '.*x' {why}.*Nothing was")


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
    refused(tar_of_members(tmp_path / "evil.tar", members), rf"member 'special' is a {why}")


@pytest.mark.parametrize(("kind", "why"), [(stat.S_IFLNK, "link"), (stat.S_IFCHR, "device")])
def test_links_and_devices_in_zips_are_refused(kind: int, why: str, tmp_path: Path) -> None:
    info = zipfile.ZipInfo("special")
    info.external_attr = (kind | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
        archive.writestr(info, "../..")
    refused(tmp_path / "evil.zip", rf"member 'special' is a {why}")


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
        archive = packed(root / "archive", dict.fromkeys(names, b"1"), form)
        into = root / "1" / "2" / "3" / "into"
        try:
            found = unpack(archive, into)
        except DataError:
            found = []
        assert {*tree(root)} == {"archive", *(f"1/2/3/into/{n}" for n in tree(into))}
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
        archive = tar_of_members(Path(temporary) / "archive", [(info, b"")])
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
    monkeypatch.setattr(archives, "MAX_RATIO", 50)
    refused(packed(tmp_path / "bomb", BOMB, form), r"unpacks to [\d,]+ bytes .* 50 times its own")


def test_few_bytes_are_no_bomb_whatever_the_ratio(tmp_path: Path) -> None:
    archive = zip_of(tmp_path / "small.zip", BOMB)
    assert archive.stat().st_size * archives.MAX_RATIO < sum(map(len, BOMB.values()))
    assert len(unpack(archive, tmp_path / "into")) == 5


def test_a_zip_says_before_it_is_unpacked_that_it_is_too_large(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archives, "MAX_UNPACKED", 900_000)
    monkeypatch.setattr(archives, "_inside", None)  # would be called for the first member
    refused(zip_of(tmp_path / "large.zip", BOMB), r"1,000,000 bytes.* any dataset here has")


@pytest.mark.parametrize("form", FORMATS)
def test_the_disk_must_have_room(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 900_000})
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    refused(packed(tmp_path / "large", BOMB, form), r"more than the free space on the disk \(900,0")


@pytest.mark.parametrize("form", ["zip", "tar.gz"])
def test_a_disk_that_becomes_full_is_named_and_cleared(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    archive = packed(tmp_path / "large", BOMB, form)
    honest: Callable[..., Any] = Path.open

    class Full(io.FileIO):
        def write(self, data: Any) -> int:
            raise OSError(errno.ENOSPC, "No space left on device")

    def open_(path: Path, mode: str = "r") -> Any:
        return Full(path, "w") if path.name == "3.png" else honest(path, mode)

    monkeypatch.setattr(Path, "open", open_)
    refused(archive, r"the disk became full while .*large was unpacked \(at '3\.png'\).*make room")
