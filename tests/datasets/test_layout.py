from __future__ import annotations

import importlib
import os
from collections import Counter
from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from skybench.core import DataError, UsageError, registry
from skybench.plan.planner import Planner
from skybench.plan.request import Request

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


def test_files_are_found_by_their_endings_and_folders_apart(tmp_path: Path) -> None:
    for name in ("b.txt", "a.txt", "c.xml", "D.TXT"):
        (tmp_path / name).touch()
    (tmp_path / "e.txt").mkdir()
    (tmp_path / "gone.txt").symlink_to("nowhere")  # whoever reads it says so
    found = _layout.files_with(tmp_path, ".txt", ".xml")
    assert [path.name for path in found] == ["a.txt", "b.txt", "c.xml", "gone.txt"]
    assert _layout.folders_in(tmp_path) == [tmp_path / "e.txt"]
    assert _layout.files_with(tmp_path / "absent", ".txt") == []


def test_a_user_s_folder_is_listed_once_a_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    picture = Image.new("RGB", (8, 8))
    for part in ("train", "val", "test"):
        for name in ("images", "labels"):
            (tmp_path / part / name).mkdir(parents=True)
        picture.save(tmp_path / part / "images" / f"{part}.png")
        (tmp_path / part / "labels" / f"{part}.txt").write_text("0 0.5 0.5 0.2 0.2\n")
    (tmp_path / "data.yaml").write_text("names: [car]\n")
    listed: Counter[str] = Counter()
    for name in ("scandir", "listdir"):
        real = getattr(os, name)
        count = partial(lambda f, path=".": listed.update([str(path)]) or f(path), real)
        monkeypatch.setattr(os, name, count)
    request = Request(
        models=["rcf"], tasks=["horizontal_detection"], datasets=[f"folder:{tmp_path}"]
    )
    (cell,) = Planner(request).cells()
    assert cell.status == "planned"
    assert {str(tmp_path / part / "labels") for part in ("train", "val", "test")} < {*listed}
    own = {path: count for path, count in listed.items() if path.startswith(str(tmp_path))}
    assert {path for path, count in own.items() if count > 1} == set()
