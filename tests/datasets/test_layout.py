from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from skybench.core import DataError, UsageError, registry

_layout = importlib.import_module("skybench.datasets._readers.layout")
CARD = registry.load("datasets", "aid").CARD


def test_a_missing_root_tells_how_to_get_the_data(tmp_path: Path) -> None:
    with pytest.raises(DataError) as error:
        _layout.locate_tree(CARD, tmp_path / "aid", ("AID",), Path.is_dir)
    for part in (str(tmp_path / "aid"), CARD.obtain, CARD.licence, "--data", "SKYBENCH_DATA"):
        assert part in str(error.value)


def test_another_tree_is_answered_with_what_is_there_and_what_is_expected(tmp_path: Path) -> None:
    for name in "abcdefghij":
        (tmp_path / name).mkdir()
    with pytest.raises(DataError) as error:
        _layout.locate_tree(CARD, tmp_path, ("AID",), lambda p: False)
    assert "it holds a/, b/, c/, d/, e/, f/, g/, h/ and 2 more" in str(error.value)
    assert CARD.layout in str(error.value)


def test_the_tree_may_be_the_root_or_below_it(tmp_path: Path) -> None:
    (tmp_path / "AID" / "Airport").mkdir(parents=True)
    for root in (tmp_path, tmp_path / "AID"):
        found = _layout.locate_tree(CARD, root, ("AID",), lambda p: (p / "Airport").is_dir())
        assert found == tmp_path / "AID"


def test_a_file_as_root_is_a_wrong_layout(tmp_path: Path) -> None:
    (tmp_path / "aid").write_text("")
    with pytest.raises(DataError, match="it holds no folder"):
        _layout.locate_tree(CARD, tmp_path / "aid", (), lambda p: True)


def test_an_unknown_split_is_answered_with_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"no split 'tset'.*train20, .*train \(= train20\)"):
        _layout.resolve_split(CARD, "tset", {"train": "train20"})


def test_hidden_files_folders_and_other_formats_are_no_images(tmp_path: Path) -> None:
    for name in ("b.JPG", "a.png", ".c.png", "d.txt", "e.tif"):
        (tmp_path / name).write_text("")
    (tmp_path / "f.png").mkdir()
    assert [p.name for p in _layout.images_in(tmp_path)] == ["a.png", "b.JPG", "e.tif"]


def test_a_loop_of_links_is_walked_once(tmp_path: Path) -> None:
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "up").symlink_to(tmp_path / "a")
    (tmp_path / "self").symlink_to("self")
    found = [p.relative_to(tmp_path).as_posix() for p in _layout.folders_below(tmp_path)]
    assert found == [".", "a", "a/b"]
