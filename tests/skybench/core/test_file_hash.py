"""Digests remembered by what a file system says of a file, and nothing it may say wrongly."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skybench.core import file_hash, folders
from skybench.core.file_hash import file_digest, file_digests, was_remembered
from skybench.core.sealed import read_sealed

pytestmark = pytest.mark.usefixtures("own_cache")


def sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


@pytest.fixture
def settled(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files count as old at once."""
    monkeypatch.setattr(file_hash, "SETTLED_NS", -1)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "data" / "a.bin"
    path.parent.mkdir()
    path.write_bytes(b"one")
    return path


def store() -> Path:
    (path,) = (folders.cache() / "hashes").glob("*.json")
    return path


@pytest.mark.usefixtures("settled")
def test_a_second_look_does_not_read_the_file(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert file_digest(file) == sha256(b"one")
    assert not was_remembered(file)
    monkeypatch.setattr(file_hash, "read_digest", pytest.fail)
    assert file_digest(file) == sha256(b"one")
    assert was_remembered(file)


@pytest.mark.usefixtures("settled")
def test_a_copy_with_the_time_stamp_of_the_former_file_is_noticed(file: Path) -> None:
    assert file_digest(file) == sha256(b"one")
    fact = file.stat()
    other = file.with_name("other")
    other.write_bytes(b"two")
    os.utime(other, ns=(fact.st_atime_ns, fact.st_mtime_ns))
    shutil.copy2(other, file)  # as `cp -p`: the inode stays
    assert (file.stat().st_size, file.stat().st_mtime_ns) == (3, fact.st_mtime_ns)
    assert file_digest(file) == sha256(b"two")
    assert not was_remembered(file)
    other.write_bytes(b"six")
    os.utime(other, ns=(fact.st_atime_ns, fact.st_mtime_ns))
    other.replace(file)  # as `mv`: another inode
    assert file_digest(file) == sha256(b"six")


def test_a_file_that_just_changed_is_read_again(file: Path) -> None:
    assert file_digest(file) == sha256(b"one")
    assert file_digest(file) == sha256(b"one")
    assert not was_remembered(file)  # it may change within one tick of the clock


@pytest.mark.usefixtures("settled")
def test_a_file_system_without_times_of_change_is_never_trusted(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    old = 315_532_800 * 10**9  # 1980-01-01, of files in zip archives
    monkeypatch.setattr(file_hash, "file_state", lambda p: (p.stat().st_size, old, old, 1, 1))
    assert file_digest(file) == sha256(b"one")
    file.write_bytes(b"two")
    assert file_digest(file) == sha256(b"two")


@pytest.mark.usefixtures("settled")
def test_digests_are_of_their_own_folder_and_algorithm(file: Path, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / "a.bin"
    copy.parent.mkdir()
    copy.write_bytes(b"two")
    assert [file_digest(file), file_digest(copy)] == [sha256(b"one"), sha256(b"two")]
    assert file_digest(file, "md5") == hashlib.md5(b"one").hexdigest()
    both = file_digests([copy, file, copy], tmp_path)
    assert both == [sha256(b"two"), sha256(b"one"), sha256(b"two")]


@pytest.mark.usefixtures("settled")
def test_what_is_forgotten_is_read_anew(file: Path) -> None:
    other = file.with_name("b.bin")
    other.write_bytes(b"two")
    for path in (file, other, file, other):
        file_digest(path)
    file_hash.forget_digests(file)
    file_digest(file)
    file_digest(other)
    assert (was_remembered(file), was_remembered(other)) == (False, True)
    file_hash.forget_digests(file.parent)
    file_digest(other)
    assert not was_remembered(other)


def test_a_missing_file_is_an_error_of_the_system(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        file_digest(tmp_path / "absent")


@pytest.mark.usefixtures("settled")
def test_a_cache_that_cannot_be_written_to_only_takes_longer(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SKYBENCH_CACHE", str(file))  # a file, not a folder
    assert file_digest(file) == file_digest(file) == sha256(b"one")


def test_what_takes_long_is_told(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def slow(*_: object) -> str:
        time.sleep(0.2)
        return "ab"

    monkeypatch.setattr(file_hash, "PATIENCE", 0.001)
    monkeypatch.setattr(file_hash, "read_digest", slow)
    assert file_digest(file) == "ab"
    assert f"1 file of {file.parent} (0.0 GB)" in capsys.readouterr().err


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda x: (
        st.lists(x, max_size=4)
        | st.dictionaries(st.sampled_from(["sha256", "a.bin", "b"]), x, max_size=3)
    ),
    max_leaves=12,
)


@pytest.mark.usefixtures("settled")
@settings(
    deadline=None, derandomize=True, max_examples=60,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)  # fmt: skip
@given(content=JSON.map(json.dumps) | st.text(max_size=20) | st.just("[" * 9999))
def test_a_damaged_memory_is_made_again(file: Path, content: str) -> None:
    file_digest(file)
    store().write_text(content, encoding="utf-8")
    assert file_digest(file) == sha256(b"one")
    assert file_digest(file) == sha256(b"one")
    found: Any = read_sealed(store())
    assert found["sha256"]["a.bin"][-1] == sha256(b"one")
