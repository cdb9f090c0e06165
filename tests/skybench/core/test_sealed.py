"""A sealed file gives what was written, or nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from skybench.core.sealed import read_sealed, seal, unseal, write_sealed


def test_what_was_written_is_read(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b.json"
    write_sealed(path, {"a": [1, "é", None]})
    assert read_sealed(path) == {"a": [1, "é", None]}
    assert [p.name for p in path.parent.iterdir()] == ["b.json"]


def test_each_flipped_byte_is_found(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    write_sealed(path, {"gflops": 12})
    whole = path.read_bytes()
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :])
        assert read_sealed(path) is None


@pytest.mark.parametrize("data", [b"", b"{}", b"\n", b"\xff\xfe", seal("[" * 9999), seal("{")])
def test_what_no_seal_made_is_nothing(data: bytes, tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(data)
    assert read_sealed(path) is None


def test_a_missing_file_and_a_folder_are_nothing(tmp_path: Path) -> None:
    assert read_sealed(tmp_path / "none") is read_sealed(tmp_path) is None
    assert unseal(seal("")) == ""
