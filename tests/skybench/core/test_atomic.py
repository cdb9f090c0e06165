"""Atomic writing: all or nothing, and nothing is left behind."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from skybench.core import atomic
from skybench.core.atomic import folder_whole, remove_leftovers, temporary_beside, write_whole


def test_a_file_gets_its_name_when_it_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.json"
    with write_whole(path) as temporary:
        temporary.write_text("one")
        assert not path.exists()
        assert temporary.parent == path.parent
        assert temporary.name.startswith(".a.json.")
        assert temporary.suffix == ".tmp"
    assert path.read_text() == "one"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_fails_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_text("old")

    def interrupted() -> None:
        with write_whole(path) as temporary:
            temporary.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_that_was_not_written_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), write_whole(tmp_path / "a"):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_file_is_flushed_to_disk_before_it_is_renamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    steps: list[str] = []
    fsync, replace = os.fsync, Path.replace

    def flushed(descriptor: int) -> None:
        steps.append("fsync")
        fsync(descriptor)

    def renamed(self: Path, target: Path) -> Path:
        steps.append("replace")
        return replace(self, target)

    monkeypatch.setattr(os, "fsync", flushed)
    monkeypatch.setattr(Path, "replace", renamed)
    for sync in (False, True):
        with write_whole(tmp_path / "a", sync) as temporary:
            temporary.write_bytes(b"x")
    assert steps == ["replace", "fsync", "replace"]


def test_a_folder_gets_its_name_when_it_is_complete(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "demo"
    with folder_whole(folder) as temporary:
        (temporary / "a").write_text("one")
        assert not folder.exists()
    assert [p.name for p in folder.iterdir()] == ["a"]
    assert list(folder.parent.iterdir()) == [folder]


def test_a_folder_that_fails_is_removed(tmp_path: Path) -> None:
    def failing() -> None:
        with folder_whole(tmp_path / "demo") as temporary:
            (temporary / "a").write_text("half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        failing()
    assert list(tmp_path.iterdir()) == []


def test_the_folder_of_a_faster_process_stays(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    with folder_whole(folder) as temporary:
        (temporary / "a").write_text("slow")
        folder.mkdir()
        (folder / "a").write_text("fast")
    assert (folder / "a").read_text() == "fast"
    assert list(tmp_path.iterdir()) == [folder]


def test_an_empty_folder_is_replaced_and_a_file_is_not(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with folder_whole(tmp_path / "empty") as temporary:
        (temporary / "a").touch()
    assert (tmp_path / "empty" / "a").exists()
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OSError, match="file"), folder_whole(tmp_path / "file"):
        pass
    assert (tmp_path / "file").read_text() == "mine"


def test_a_place_that_cannot_be_written_is_an_os_error(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(OSError, match="file"), write_whole(tmp_path / "file" / "a"):
        pass
    with pytest.raises(OSError, match="file"), folder_whole(tmp_path / "file" / "a"):
        pass


def test_what_a_killed_process_left_is_removed_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Files and folders, and files beside a temporary one, of a process of this machine."""
    process = subprocess.Popen(["true"])
    process.wait()
    path = tmp_path / "a" / "r.json"
    path.parent.mkdir()
    with monkeypatch.context() as patch:
        patch.setattr(os, "getpid", lambda: process.pid)
        half, folder = temporary_beside(path), temporary_beside(tmp_path / "part")
        beside = temporary_beside(path).with_suffix(".draws")
        patch.setattr(atomic, "_machine", lambda: "0" * 8)
        elsewhere = temporary_beside(path)
    own = temporary_beside(path)
    stay = [path, own, elsewhere, path.with_name(".hidden"), path.with_name(".x.0a1b.tmp")]
    for file in (half, beside, *stay):
        file.touch()
    folder.mkdir()
    (folder / "array.npy").touch()
    assert remove_leftovers(tmp_path) == 3
    assert sorted(path.parent.iterdir()) == sorted(stay)
    assert [*tmp_path.iterdir()] == [path.parent]
    assert remove_leftovers(tmp_path / "nowhere") == 0
