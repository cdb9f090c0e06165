from __future__ import annotations

import importlib
import math
import pickle
import warnings
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from rasterio import Affine

from skybench.core import DataError, UsageError, registry
from skybench.data.split_lists import MissingFilesError

_boxes = importlib.import_module("skybench.datasets._readers.boxes")
_box_tiles = importlib.import_module("skybench.datasets._readers.box_tiles")
Window = importlib.import_module("skybench.datasets._readers.decode").Window


@pytest.fixture(scope="module")
def fair1m() -> ModuleType:
    return registry.load("datasets", "fair1m")


@pytest.fixture(scope="module")
def simulated(fair1m: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("fair1m")
    fair1m.write_demo(root)
    return root


def _object(name: str, points: list[tuple[float, float]], unit: str = "pixel") -> str:
    inner = "".join(f"<point>{x},{y}</point>" for x, y in points)
    return (
        f"<object><coordinate>{unit}</coordinate><possibleresult><name>{name}</name>"
        f"</possibleresult><points>{inner}</points></object>"
    )


def _square(x: float, y: float, side: float) -> list[tuple[float, float]]:
    return [(x, y), (x + side, y), (x + side, y + side), (x, y + side), (x, y)]


def _release(root: Path, size: tuple[int, int], *objects: str) -> Path:
    """One image in each folder; returns the validation image."""
    width, height = size
    ramp = np.add.outer(np.arange(height), np.arange(width)) % 256
    pixels = np.stack([ramp, ramp[::-1], ramp], -1).astype(np.uint8)
    for part in ("train/part1", "train/part2", "validation", "test"):
        for folder in ("images", "labelXml")[: 1 if part == "test" else 2]:
            (root / part / folder).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / part / "images" / "0.tif")
        if part != "test":
            text = f"<annotation><objects>{''.join(objects)}</objects></annotation>"
            (root / part / "labelXml" / "0.xml").write_text(text)
    return root / "validation" / "images" / "0.tif"


def test_closed_polygons_lose_their_fifth_point(fair1m: ModuleType, tmp_path: Path) -> None:
    cars = [_object("Small Car", _square(10, 20, 8)), _object("other-ship", _square(30, 5, 4)[:4])]
    _release(tmp_path / "FAIR1M", (64, 48), *cars)
    (sample,) = fair1m.open(tmp_path, "val", 64)
    assert sample.key == "validation-0_1.0_0_0"
    assert sample.target.corners[0].tolist() == [[10, 20], [18, 20], [18, 28], [10, 28]]
    assert sample.target.labels.tolist() == [9, 4]
    assert (sample.images["hr"][0, :, 48:] == 0).all()
    assert sample.images["hr"].shape == (1, 3, 64, 64)
    assert sample.target.size == (64, 64)


def test_keys_of_trainval_are_unique_though_file_names_repeat(
    fair1m: ModuleType, tmp_path: Path
) -> None:
    _release(tmp_path, (40, 40), _object("Bus", _square(3, 3, 9)))
    keys = fair1m.open(tmp_path, "trainval", 64).keys
    assert keys == ("part1-0_1.0_0_0", "part2-0_1.0_0_0", "validation-0_1.0_0_0")


def test_the_tiles_of_one_scale(fair1m: ModuleType, tmp_path: Path) -> None:
    _release(tmp_path, (2000, 1000), _object("Bus", _square(3, 3, 9)))
    keys = fair1m.open(tmp_path, "val").keys  # stride 824, the last moved back to 2000 - 1024
    assert keys == tuple(f"validation-0_1.0_0_{x}" for x in (0, 824, 976))
    smaller = fair1m.open(tmp_path, "val", 512).keys  # overlap 100
    assert smaller[:3] == tuple(f"validation-0_1.0_0_{x}" for x in (0, 412, 824))


def test_the_tiles_of_three_scales(fair1m: ModuleType, tmp_path: Path) -> None:
    _release(tmp_path, (2000, 1000), _object("Bus", _square(1500, 400, 100)))
    tiles = fair1m.open(tmp_path, "val", scales="multi")
    at = [tuple(float(v) for v in key.split("_")[1:]) for key in tiles.keys]
    assert [a[1:] for a in at if a[0] == 0.5] == [(0, 0)]  # windows of 2048
    assert [a[1:] for a in at if a[0] == 1.0] == [(0, 0), (0, 524), (0, 976)]  # overlap 500
    # windows of 682, 333 of them shared
    rows, columns = (0, 318), (0, 349, 698, 1047, 1318)
    assert [a[1:] for a in at if a[0] == 1.5] == [(y, x) for y in rows for x in columns]
    coarse = tiles[0]
    assert coarse.target.corners[0, 0].tolist() == [750, 200]
    assert coarse.target.corners[0, 2].tolist() == [800, 250]
    assert (coarse.images["hr"][0, :, 500:] == 0).all()
    assert (coarse.images["hr"][0, :, :, 1000:] == 0).all()
    fine = next(t for t in tiles if t.key.endswith("_1.5_318_1318"))
    expected = (1500 - 1318) * 1024 / 682
    assert fine.target.corners[0, 0, 0].item() == pytest.approx(expected)


def test_tiles_put_together_give_the_image_back(fair1m: ModuleType, tmp_path: Path) -> None:
    path = _release(tmp_path, (150, 110))
    image = np.zeros((3, 110, 150), np.uint8)
    for tile in fair1m.open(tmp_path, "val", 64):
        y, x = (int(v) for v in tile.key.split("_")[2:])
        image[:, y : y + 64, x : x + 64] = tile.images["hr"][0].numpy()
    np.testing.assert_array_equal(image, np.asarray(Image.open(path)).transpose(2, 0, 1))


def test_an_object_belongs_to_tiles_with_seventy_percent_of_it(
    fair1m: ModuleType, tmp_path: Path
) -> None:
    """The tiles are 0..64 and 36..100 wide; three boxes of 10 end 2, 3 and 4 pixels outside."""
    cars = [_object("Van", _square(x, y, 10)) for x, y in ((56, 0), (57, 20), (58, 40))]
    _release(tmp_path, (100, 64), *cars)
    left, *_, right = fair1m.open(tmp_path, "val", 64)
    assert (left.key, right.key) == ("validation-0_1.0_0_0", "validation-0_1.0_0_36")
    assert left.target.corners[:, 0].tolist() == [[56, 0], [57, 20]]  # uncut
    assert right.target.corners[:, 0].tolist() == [[20, 0], [21, 20], [22, 40]]


@given(
    st.tuples(st.floats(-30, 130), st.floats(-30, 130)),
    st.tuples(st.floats(2, 60), st.floats(2, 60)),
    st.floats(0, math.pi),
)
def test_shares_are_those_of_shapely(
    at: tuple[float, float], size: tuple[float, float], angle: float
) -> None:
    geometry = pytest.importorskip("shapely.geometry")
    half = np.array([[1, 1], [-1, 1], [-1, -1], [1, -1]]) * size / np.array(2)
    turn = np.array([[math.cos(angle), math.sin(angle)], [-math.sin(angle), math.cos(angle)]])
    corners = (half @ turn + at).astype(np.float32)
    (share,) = _box_tiles.area_shares(corners[None], Window(20, 10, 64, 64))
    box = geometry.Polygon(corners)
    expected = box.intersection(geometry.box(10, 20, 74, 84)).area / box.area
    assert share == pytest.approx(expected, abs=1e-5)


def test_the_test_images_have_no_boxes(fair1m: ModuleType, simulated: Path) -> None:
    for sample in fair1m.open(simulated, "test", 128):
        assert sample.target.corners.shape == (0, 4, 2)
        assert len(sample.target.labels) == len(sample.target.difficult) == 0


def test_georeferenced_images_tell_where_their_tiles_lie(
    fair1m: ModuleType, tmp_path: Path
) -> None:
    path = _release(tmp_path, (100, 80))
    assert math.isnan(fair1m.open(tmp_path, "val", 64)[0].lonlat[0])
    transform = Affine(0.01, 0, 10, 0, -0.01, 50.8)
    local = 'LOCAL_CS["image",LOCAL_DATUM["none",0],UNIT["metre",1],AXIS["x",EAST],AXIS["y",NORTH]]'
    for system, expected in (("EPSG:4326", (10.2, 50.6)), (local, (math.nan, math.nan))):
        with rasterio.open(
            path, "w", "GTiff", 100, 80, 3, system, transform, dtype="uint8"
        ) as raster:
            raster.write(np.zeros((3, 80, 100), np.uint8))
        lonlat = fair1m.open(tmp_path, "val", 40)[0].lonlat
        assert lonlat == pytest.approx(expected, nan_ok=True)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (_object("Airship", _square(1, 1, 5)), "objects of the class 'Airship'"),
        (_object("Van", _square(1, 1, 5)[:3]), "expected 4 corners"),
        (_object("Van", [*_square(1, 1, 5)[:4], (9, 9)]), "expected 4 corners"),
        (_object("Van", _square(1, 1, 5), "geographic"), "coordinates in 'geographic'"),
        ("<object><points><point>1;2</point></points></object>", "without <possibleresult/name>"),
    ],
)
def test_broken_annotations_are_named(
    fair1m: ModuleType, tmp_path: Path, text: str, message: str
) -> None:
    _release(tmp_path, (40, 40), text)
    with pytest.raises(DataError, match=message) as error:
        fair1m.open(tmp_path, "val", 64)[0]
    assert "0.xml" in str(error.value)


def test_images_and_annotations_without_partner_are_named(
    fair1m: ModuleType, tmp_path: Path
) -> None:
    _release(tmp_path, (40, 40))
    (tmp_path / "train/part2/labelXml/0.xml").rename(tmp_path / "train/part2/labelXml/7.xml")
    with pytest.raises(MissingFilesError) as error:
        fair1m.open(tmp_path, "train", 64)
    assert error.value.files == ("train/part2/images/7.tif", "train/part2/labelXml/0.xml")
    (tmp_path / "train/part2/labelXml/7.xml").unlink()
    (tmp_path / "train/part2/labelXml").rmdir()
    with pytest.raises(DataError, match=r"no folder .*part2.labelXml\. Expected:\nfair1m/"):
        fair1m.open(tmp_path, "train", 64)


def test_images_of_another_kind_and_truncated_ones_are_named(
    fair1m: ModuleType, tmp_path: Path
) -> None:
    path = _release(tmp_path, (90, 90))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        with rasterio.open(path, "w", "GTiff", 90, 90, 4, dtype="uint16") as raster:
            raster.write(np.ones((4, 90, 90), np.uint16))
    with pytest.raises(DataError, match=r"0\.tif has 4 bands of uint16 values; expected 3"):
        fair1m.open(tmp_path, "val", 64)[0]
    path = _release(tmp_path, (90, 90))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(DataError, match=r"0\.tif cannot be read"):
        list(fair1m.open(tmp_path, "val", 64))


def test_an_unknown_scale_is_refused(fair1m: ModuleType, simulated: Path) -> None:
    with pytest.raises(UsageError, match=r"no scales=double\. Known: single, multi"):
        fair1m.open(simulated, "val", scales="double")


def test_results_are_read_back(fair1m: ModuleType, tmp_path: Path) -> None:
    corners = [(1.5, 2.25), (11.5, 2.25), (11.5, 8.0), (1.5, 8.0)]
    found = [fair1m.Detection("Boeing737", 0.875, corners), fair1m.Detection("Bridge", 0, corners)]
    paths = fair1m.write_results(tmp_path / "results", {"17": found, "18": []})
    assert [path.name for path in paths] == ["17.xml", "18.xml"]
    read = _boxes.read_fair1m(paths[0])
    assert [o.name for o in read] == ["Boeing737", "Bridge"]
    assert read[0].corners.tolist() == [list(point) for point in corners]
    assert _boxes.read_fair1m(paths[1]) == []
    root = ElementTree.parse(paths[0]).getroot()
    assert root.findtext("source/filename") == "17.tif"
    assert root.findtext("objects/object/possibleresult/probability") == "0.875000"
    points = [p.text for p in root.findall("objects/object[1]/points/point")]
    assert len(points) == 5
    assert points[0] == points[4] == "1.500000,2.250000"


@pytest.mark.parametrize(
    ("name", "score", "corners"),
    [
        ("Boeing 737", 0.5, [(0, 0)] * 4),
        ("Van", 1.5, [(0, 0)] * 4),
        ("Van", math.nan, [(0, 0)] * 4),
        ("Van", 0.5, [(0, 0)] * 3),
        ("Van", 0.5, [(0, math.inf)] * 4),
    ],
)
def test_results_that_no_server_would_take_are_refused(
    fair1m: ModuleType, tmp_path: Path, name: str, score: float, corners: list[tuple[float, float]]
) -> None:
    with pytest.raises(UsageError, match="image 17: "):
        fair1m.write_results(tmp_path, {"17": [fair1m.Detection(name, score, corners)]})


def test_torchgeo_reads_the_same_images_and_boxes(fair1m: ModuleType, simulated: Path) -> None:
    datasets = pytest.importorskip("torchgeo.datasets")
    assert tuple(datasets.FAIR1M.classes) == fair1m.CARD.classes
    for split in ("train", "val"):
        theirs, ours = datasets.FAIR1M(simulated, split), fair1m.open(simulated, split, 256)
        assert len(theirs) == len(ours)
        by_name = {Path(f).parts[-3] + "-" + Path(f).stem: i for i, f in enumerate(theirs.files)}
        for sample in ours:
            other = theirs[by_name[sample.key.split("_")[0]]]
            assert torch.equal(other["image"], sample.images["hr"][0])
            assert torch.allclose(other["bbox_xyxy"][:, :4], sample.target.corners)
            names = [ours.card.classes[i] for i in sample.target.labels.tolist()]
            assert [fair1m.CARD.classes.index(n) for n in names] == other["label"].tolist()


def test_samples_survive_pickling(fair1m: ModuleType, simulated: Path) -> None:
    tiles = fair1m.open(simulated, "val", 128, scales="multi")
    again = pickle.loads(pickle.dumps(tiles))
    for index in (0, len(tiles) // 2, -1):
        assert torch.equal(tiles[index].images["hr"], again[index].images["hr"])
        assert torch.equal(tiles[index].target.corners, again[index].target.corners)


def test_the_demo_has_six_classes_in_each_labelled_split(
    fair1m: ModuleType, simulated: Path
) -> None:
    for split in ("train", "val"):
        tiles = fair1m.open(simulated, split, 128)
        assert tiles.card.classes == fair1m.DEMO
        assert {i for t in tiles for i in t.target.labels.tolist()} == set(range(6))
