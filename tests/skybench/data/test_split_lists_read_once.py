"""A split list that did not change is read once in a process; an edited one is read again."""

from __future__ import annotations

from pathlib import Path

import pytest

from skybench.core import DataError
from skybench.core.fingerprint import fingerprint_keys
from skybench.data import split_lists
from skybench.data.split_lists import SplitList, read_list

LIST = SplitList("train.txt", 2, fingerprint_keys(["a.jpg", "b.jpg"]))


def test_an_unchanged_list_is_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (path := tmp_path / "train.txt").write_text("a.jpg\nb.jpg\n")
    read, real = [], split_lists.parse_list

    def spy(data: bytes) -> list[str]:
        read.append(data)
        return real(data)

    monkeypatch.setattr(split_lists, "parse_list", spy)
    read_list(path, LIST)
    read_list(path, LIST)
    assert len(read) == 2  # it is younger than a second: it may change unseen
    monkeypatch.setattr("skybench.core.file_hash.SETTLED_NS", 0)
    read_list(path, LIST).append("of the caller")
    assert read_list(path, LIST) == ["a.jpg", "b.jpg"]
    assert len(read) == 3
    path.write_text("a.jpg\nc.jpg\n")  # of equal size
    with pytest.raises(DataError, match="is not the published list"):
        read_list(path, LIST)
    path.unlink()
    with pytest.raises(DataError, match="cannot be read"):
        read_list(path, LIST)
