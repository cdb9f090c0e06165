"""PASTIS where files or what they say are wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skybench.core import DataError, UsageError
from skybench.data.split_lists import MissingFilesError

from ._pastis import CORNER, SIDE, metadata, opened, spot, write


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    tree = tmp_path / "PASTIS-R"
    write(tree, {10_012: 1, 9_999: 1, 10_001: 4, 10_002: 5})
    return tree


def test_missing_files_are_all_named(tree: Path) -> None:
    (tree / "DATA_S1D" / "S1D_9999.npy").unlink()
    (tree / "ANNOTATIONS" / "TARGET_10012.npy").unlink()
    with pytest.raises(MissingFilesError) as error:
        opened(tree.parent)
    assert error.value.files == ("ANNOTATIONS/TARGET_10012.npy", "DATA_S1D/S1D_9999.npy")
    (tree / "ANNOTATIONS").rename(tree / "LABELS")
    with pytest.raises(DataError, match="no ANNOTATIONS"):
        opened(tree.parent)


@pytest.mark.parametrize(
    ("dates", "message"),
    [
        ({"0": 20190713, "1": 20181014, "2": 20181117, "3": 20190802}, "out of order"),
        ({"0": 20190231}, "day is out of range"),
        ({"0": "soon"}, "soon"),
        ({}, "no dates"),
        ([20190101], "a list in it is too short|of another kind than expected"),
    ],
)
def test_wrong_dates_are_errors(tree: Path, dates: Any, message: str) -> None:
    metadata(tree, {9_999: 1, 10_012: 1}, {"dates-S2": dates})
    with pytest.raises(DataError, match=rf"metadata\.geojson.*({message})"):
        opened(tree.parent)


def test_another_number_of_dates_than_images_is_an_error(tree: Path) -> None:
    metadata(tree, {9_999: 1, 10_012: 1}, {"dates-S2": {"0": 20181014, "1": 20181117}})
    with pytest.raises(DataError, match=r"S2_9999\.npy is 4 x 10 .*expected 2 x 10"):
        opened(tree.parent)[0]


def test_an_array_of_words_is_an_error(tree: Path) -> None:
    path = tree / "DATA_S2" / "S2_9999.npy"
    np.save(path, np.load(path).astype("U6"))
    with pytest.raises(DataError, match=r"S2_9999\.npy.*holds <U6, expected numbers"):
        opened(tree.parent)[0]


def test_metadata_that_cannot_be_right_are_errors(tree: Path) -> None:
    metadata(tree, {9_999: 6})
    with pytest.raises(DataError, match="fold 6"):
        opened(tree.parent)
    path = tree / "metadata.geojson"
    content = json.loads(path.read_text())
    content["features"][0]["properties"]["Fold"] = 1
    content["features"] *= 2
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="9999 twice"):
        opened(tree.parent)
    for text in ("", "[]", '{"features": [{}]}', '{"features": [{"properties": {}}]}'):
        path.write_text(text)
        with pytest.raises(DataError, match="not the metadata of PASTIS"):
            opened(tree.parent)
    metadata(tree, {9_999: 5})
    with pytest.raises(DataError, match=r"'train' of .* is empty"):
        opened(tree.parent)


def test_the_geometry_may_be_in_another_system(tree: Path) -> None:
    lambert = opened(tree.parent)[0].lonlat
    named = {"type": "name", "properties": {"name": "urn:ogc:def:crs:EPSG::32631"}}
    metadata(tree, {9_999: 1, 10_012: 1}, crs=named)
    assert opened(tree.parent)[0].lonlat != pytest.approx(lambert, abs=0.1)
    named["properties"] = {"name": "somewhere"}
    metadata(tree, {9_999: 1, 10_012: 1}, crs=named)
    with pytest.raises(DataError, match="WKT could not be parsed"):
        opened(tree.parent)


def test_broken_files_are_named(tree: Path) -> None:
    target = tree / "ANNOTATIONS" / "TARGET_9999.npy"
    for path in (tree / "DATA_S2" / "S2_9999.npy", target):
        whole = path.read_bytes()
        for part in (whole[:-10], b"", b"no array"):
            path.write_bytes(part)
            with pytest.raises(DataError, match=path.name):
                opened(tree.parent)[0]
        path.write_bytes(whole)
    np.save(tree / "DATA_S2" / "S2_9999.npy", np.array([{}], object), allow_pickle=True)
    with pytest.raises(DataError, match=r"S2_9999\.npy"):
        opened(tree.parent)[0]
    write(tree, {10_012: 1, 9_999: 1})
    np.save(target, np.full((3, SIDE, SIDE), 20, np.uint8))
    with pytest.raises(DataError, match=r"TARGET_9999\.npy holds the classes \[20\]"):
        opened(tree.parent)[0]
    np.save(tree / "ANNOTATIONS" / "TARGET_10012.npy", np.zeros((3, 4, 4), np.uint8))
    np.save(target, np.zeros((3, SIDE, SIDE), np.uint8))
    with pytest.raises(DataError, match=r"TARGET_10012\.npy is 3 x 4 x 4; expected 3 x 8 x 8"):
        opened(tree.parent)[1]


def test_a_spot_image_of_another_size_or_place_is_an_error(tree: Path) -> None:
    spot(tree, 10_012)
    spot(tree, 9_999, side=40)
    with pytest.raises(DataError, match=r"2019_9999\.tif is 40 x 40 pixels; expected 80 x 80"):
        opened(tree.parent)[0]
    spot(tree, 9_999, west=CORNER[0] + 40)
    with pytest.raises(DataError, match=r"2019_9999\.tif does not lie where"):
        opened(tree.parent)[0]


def test_other_splits_and_options_are_answered_with_the_known_ones(tree: Path) -> None:
    with pytest.raises(UsageError, match="Known: train, val, test, train2"):
        opened(tree.parent, "train6")
    with pytest.raises(UsageError, match="Known: all, monthly, single"):
        opened(tree.parent, dates="weekly")
