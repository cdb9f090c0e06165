"""GeoJSON polygons on a user's own GeoTIFFs."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given
from rasterio import Affine
from rasterio.warp import transform

from skybench.core import DataError

from ._box_folders import CAR, FEW, JSON, boxes_by_image, opened, opens_or_says, written

WEST, NORTH = 500_000.0, 4_000_000.0  # UTM zone 33 north, metres
CRS = "EPSG:32633"
TOML = '[splits]\ntrain = ["*a"]\ntest = ["*b"]\n'


def geotiff(path: Path, west: float = WEST, crs: str | None = CRS) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with rasterio.open(
        path, "w", driver="GTiff", height=60, width=80, count=3, dtype="uint8", crs=crs,
        transform=Affine(0.5, 0, west, 0, -0.5, NORTH),
    ) as file:  # fmt: skip
        file.write(np.zeros((3, 60, 80), np.uint8))
    return path


def feature(corners: Any, **properties: Any) -> dict[str, Any]:
    ring = [[WEST + x / 2, NORTH - y / 2] for x, y in corners]
    geometry = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
    return {"type": "Feature", "properties": properties, "geometry": geometry}


def collection(path: Path, *features: Any, crs: str | None = CRS) -> Path:
    content: dict[str, Any] = {"type": "FeatureCollection", "features": list(features)}
    if crs:
        content["crs"] = {"type": "name", "properties": {"name": crs}}
    return written(path, json.dumps(content))


def two_images(root: Path, toml: str = TOML) -> Path:
    geotiff(root / "images" / "a.tif")
    geotiff(root / "images" / "b.tif", WEST + 40)
    written(root / "skybench.toml", toml)
    return root


def test_polygons_fall_into_the_images_they_lie_in(tmp_path: Path) -> None:
    moved = [(x + 80, y) for x, y in CAR]
    far = [(x + 9000, y) for x, y in CAR]
    urn = "urn:ogc:def:crs:EPSG::32633"
    collection(
        two_images(tmp_path) / "objects.geojson",
        *(feature(c, Class=n) for c, n in ((CAR, "car"), (moved, "bus"), (far, "car"))),
        crs=urn,
    )
    train, test = opened(tmp_path, tile=96), opened(tmp_path, "test", tile=96)
    assert train.card.tasks == ("horizontal_detection",)
    assert boxes_by_image(train) == {"a": [("car", CAR)]}
    assert boxes_by_image(test) == {"b": [("bus", CAR)]}
    assert any("lies in no image: objects.geojson, feature 3" in note for note in train.notes)
    assert train[0].lonlat[0] == pytest.approx(15.0, abs=0.01)


def test_without_a_coordinate_system_it_is_longitude_and_latitude(tmp_path: Path) -> None:
    given = feature(CAR, label="car")
    ring = given["geometry"]["coordinates"][0]
    xs, ys = transform(CRS, "EPSG:4326", *zip(*ring, strict=True))
    given["geometry"]["coordinates"] = [list(zip(xs, ys, strict=True))]
    collection(two_images(tmp_path) / "objects.geojson", given, crs=None)
    ((_, corners),) = boxes_by_image(opened(tmp_path, tile=96))["a"]
    np.testing.assert_allclose(corners, CAR, atol=0.02)


def test_turned_polygons_become_rectangles_of_least_area(tmp_path: Path) -> None:
    house = [(20, 10), (40, 20), (35, 30), (25, 25), (15, 20)]  # with a point on a side
    toml = 'classes = ["house"]\n[splits]\ntrain = ["a"]\n'
    collection(two_images(tmp_path, toml) / "a.geojson", feature(house), feature(CAR))
    samples = opened(tmp_path, tile=96)
    assert samples.card.tasks == ("oriented_detection",)
    assert samples.groups == ("a",)
    first, second = (sorted(corners) for _, corners in boxes_by_image(samples)["a"])
    np.testing.assert_allclose(first, sorted([[20, 10], [40, 20], [35, 30], [15, 20]]), atol=0.01)
    np.testing.assert_allclose(second, sorted(CAR), atol=0.01)
    assert any("rectangles of least area" in note for note in samples.notes)
    assert any("no GeoJSON file of its name: images/b.tif" in note for note in samples.notes)


def test_what_is_wrong_is_named(tmp_path: Path) -> None:
    path = collection(two_images(tmp_path) / "objects.geojson", feature(CAR))
    with pytest.raises(DataError, match="feature 1 has no class among its properties"):
        opened(tmp_path)
    collection(path, {"type": "Feature", "geometry": {"type": "Point", "coordinates": [1, 2]},
                      "properties": {"class": "car"}})  # fmt: skip
    with pytest.raises(DataError, match="feature 1 is a Point"):
        opened(tmp_path)
    collection(path, feature(CAR, label="car"), crs="EPSG:999999")
    with pytest.raises(DataError, match="coordinate system 'EPSG:999999'"):
        opened(tmp_path)
    collection(path, feature(CAR, label="car"))
    geotiff(tmp_path / "images" / "b.tif", crs=None)
    with pytest.raises(DataError, match=r"b\.tif has no coordinate system"):
        opened(tmp_path)


@FEW
@given(JSON)
def test_any_json_gives_boxes_or_one_sentence(
    tmp_path_factory: pytest.TempPathFactory, content: Any
) -> None:
    root = two_images(tmp_path_factory.mktemp("geojson"))
    good = feature(CAR, label="car")
    geometry = {"type": "Polygon", "coordinates": content}
    for bad in (content, {**good, "geometry": content}, {**good, "geometry": geometry},
                {**good, "properties": content}):  # fmt: skip
        collection(root / "objects.geojson", good, bad)
        opens_or_says(root)


def test_real_footprints_give_the_rectangles_that_were_drawn(shared: Path, tmp_path: Path) -> None:
    place = shared / "realdata" / "spacenet_atlanta_obb"
    for name in ("sample_geotiff.tif", "buildings.geojson"):
        (tmp_path / name).symlink_to(place / name)
    written(
        tmp_path / "skybench.toml",
        f'root = "{place}"\nboxes = "buildings.geojson"\nclasses = ["building"]\n'
        '[splits]\ntrain = ["*"]\n[sensor]\nbands = ["pan"]\nunit = "reflectance x 1e4"\n',
    )
    samples = opened(tmp_path / "skybench.toml", tile=928)
    drawn = [
        np.array(line.split()[:8], float).reshape(4, 2)
        for line in (place / "sample_geotiff_dota.txt").read_text().splitlines()
        if line[:1].isdigit()
    ]
    found = samples.target(0).corners.numpy()
    assert len(found) == len(drawn) == 43
    apart = [min(np.abs(f.mean(0) - d.mean(0)).max() for f in found) for d in drawn]
    assert max(apart) < 0.5


def test_coordinates_of_another_system_are_refused(tmp_path: Path) -> None:
    path = two_images(tmp_path) / "objects.geojson"
    collection(path, feature(CAR, label="car"), crs=None)  # metres, taken for degrees
    with pytest.raises(DataError, match=r"objects\.geojson, feature 1 .*longitude and latitude"):
        opened(tmp_path)
    given = feature(CAR, label="car")
    ring = given["geometry"]["coordinates"][0]
    xs, ys = transform(CRS, "EPSG:4326", *zip(*ring, strict=True))
    given["geometry"]["coordinates"] = [[[y, x] for x, y in zip(xs, ys, strict=True)]]
    collection(path, given, crs=None)
    with pytest.raises(DataError, match=r"no polygon of .*lies in an image.*in this order"):
        opened(tmp_path)
