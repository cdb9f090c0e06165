from __future__ import annotations

import datetime
import importlib
import math
import pickle
import shutil
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import rasterio
import torch
from PIL import Image
from rasterio import Affine

from skybench.core import REFLECTANCE, UINT8, DataError, UsageError, registry
from skybench.data.split_lists import MissingFilesError

_oscd = importlib.import_module("skybench.datasets._readers.oscd")
# Height or width of the 24 images, counted from a full copy; 96 px tiles of all: 827 and 385.
SIZES = {
    **{"abudhabi": (785, 799), "aguasclaras": (525, 471), "beihai": (772, 902)},
    **{"beirut": (1070, 1180), "bercy": (360, 395), "bordeaux": (461, 517)},
    **{"brasilia": (469, 433), "chongqing": (544, 730), "cupertino": (788, 1015)},
    **{"dubai": (634, 774), "hongkong": (540, 695), "lasvegas": (716, 824)},
    **{"milano": (558, 545), "montpellier": (451, 426), "mumbai": (557, 858)},
    **{"nantes": (582, 522), "norcia": (385, 241), "paris": (390, 408), "pisa": (718, 776)},
    **{"rennes": (563, 339), "rio": (426, 353), "saclay_e": (688, 639)},
    **{"saclay_w": (688, 639), "valencia": (476, 458)},
}


@pytest.fixture(scope="module")
def oscd() -> ModuleType:
    return registry.load("datasets", "oscd")


@pytest.fixture(scope="module")
def simulated(oscd: ModuleType, tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("oscd")
    oscd.write_demo(root)
    return root


@pytest.fixture
def copy(simulated: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(simulated, tmp_path / "copy"))


def _city(root: Path, oscd: ModuleType, name: str = "abudhabi") -> Path:
    return root / str(oscd.IMAGES) / name


def _band(folder: Path, code: str) -> Path:
    (path,) = folder.glob(f"*{code}.tif")
    return path


def _date(day: int) -> str:
    return (datetime.date(1970, 1, 1) + datetime.timedelta(day)).strftime("%Y%m%d")


def _place(path: Path, west: float, north: float) -> None:
    """Gives an image a coordinate system; pixels of 10 m."""
    pixels = np.asarray(Image.open(path))
    height, width = pixels.shape
    transform = Affine(1e-4, 0, west, 0, -1e-4, north)
    with rasterio.open(
        path, "w", "GTiff", width, height, 1, "EPSG:4326", transform, dtype="uint16"
    ) as raster:
        raster.write(pixels, 1)


def test_the_cities_and_their_tiles_are_the_published_ones(oscd: ModuleType) -> None:
    assert set(oscd.CITIES["train"]) | set(oscd.CITIES["test"]) == set(SIZES)
    assert (len(oscd.CITIES["train"]), len(oscd.CITIES["test"])) == (14, 10)
    for split, cities in oscd.CITIES.items():
        tiles = [math.prod(math.ceil(s / 96) for s in SIZES[city]) for city in cities]
        assert sum(tiles) == oscd.CARD.splits[split]


def test_rgb_is_stretched_as_seco_does(oscd: ModuleType, simulated: Path) -> None:
    tiles = oscd.open(simulated, "train")
    assert [s.name for s in tiles.card.sensors] == ["hr"]
    assert tiles.card.sensors[0].unit == UINT8
    sample = tiles[tiles.keys.index("abudhabi_0_96")]
    assert sample.images["hr"].shape == (2, 3, 96, 96)
    assert sample.images["hr"].dtype == torch.uint8
    limits = {"B04": (426, 3698), "B03": (667, 2969), "B02": (885, 2620)}
    for date in (0, 1):
        folder = _city(simulated, oscd) / f"imgs_{date + 1}"
        for channel, (code, (low, high)) in enumerate(limits.items()):
            stored = np.asarray(Image.open(_band(folder, code)))[:96, 96:150].astype(float)
            shown = (np.clip((stored - low) / (high - low), 0, 1) * 255).astype(np.uint8)
            np.testing.assert_array_equal(sample.images["hr"][date, channel, :, :54], shown)


def test_thirteen_bands_are_stored_values_in_order(oscd: ModuleType, simulated: Path) -> None:
    tiles = oscd.open(simulated, "test", 160, bands="13")
    (sensor,) = tiles.card.sensors
    assert (sensor.name, sensor.unit, len(sensor.bands)) == ("s2", REFLECTANCE, 13)
    assert sensor.bands == tuple(_oscd.BANDS)
    sample = tiles[0]
    assert sample.images["s2"].dtype == torch.int32
    height, width = sample.target.ne(255).nonzero().amax(0) + 1
    for date in (0, 1):
        folder = _city(simulated, oscd, "brasilia") / f"imgs_{date + 1}_rect"
        for channel, band in enumerate(sensor.bands):
            stored = np.asarray(Image.open(folder / f"{_oscd.BANDS[band]}.tif"))
            read = sample.images["s2"][date, channel, :height, :width]
            np.testing.assert_array_equal(read, stored)


def test_padding_is_not_scored(oscd: ModuleType, simulated: Path) -> None:
    sizes = {"abudhabi": (144, 150), "aguasclaras": (132, 150), "beihai": (120, 150)}
    valid = dict.fromkeys(sizes, 0)
    for sample in oscd.open(simulated, "train"):
        padded = sample.target == 255
        assert (sample.images["hr"][:, :, padded] == 0).all()
        valid[sample.key.split("_")[0]] += int((~padded).sum())
    assert valid == {city: h * w for city, (h, w) in sizes.items()}


def test_days_and_places(oscd: ModuleType, simulated: Path) -> None:
    for bands, sensor in (("rgb", "hr"), ("13", "s2")):
        tiles = oscd.open(simulated, "train", bands=bands)
        sample = tiles[tiles.keys.index("beihai_0_0")]
        assert sample.days[sensor].dtype == torch.int64
        assert [_date(day) for day in sample.days[sensor].tolist()] == ["20160315", "20170829"]
        west, south, east, north = _oscd._outline(
            _city(simulated, oscd, "beihai") / "beihai.geojson"
        )
        lon, lat = sample.lonlat
        assert lon == pytest.approx(west + (east - west) * 48 / 150)
        assert lat == pytest.approx(north - (north - south) * 48 / 120)
        assert math.isnan(tiles[tiles.keys.index("abudhabi_0_0")].lonlat[0])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("date_1: 20180101\ndate_2: 20160101\n", "has the later date first"),
        ("date_1: 20180101\ndate_2: 20180101\n", "has the later date first"),
        ("date_1: 20180101\n", "no list of two dates"),
        ("date_1: 20181301\ndate_2: 20190101\n", "no list of two dates"),
        ("2018-01-01\n2019-01-01\n", "no list of two dates"),
        ("", "no list of two dates"),
    ],
)
def test_broken_dates_are_named(oscd: ModuleType, copy: Path, text: str, message: str) -> None:
    (_city(copy, oscd) / "dates.txt").write_text(text)
    with pytest.raises(DataError, match=rf"abudhabi.dates\.txt {message}|dates\.txt is {message}"):
        oscd.open(copy, "train")


def test_a_city_without_geojson_takes_its_place_from_the_image(
    oscd: ModuleType, copy: Path
) -> None:
    assert math.isnan(oscd.open(copy, "train", 160)[0].lonlat[0])
    _place(_band(_city(copy, oscd) / "imgs_1", "B04"), 54.3, 24.5)
    lonlat = oscd.open(copy, "train", 160)[0].lonlat
    assert lonlat == pytest.approx((54.3 + 0.0075, 24.5 - 0.0072))


def test_a_date_that_lies_elsewhere_is_an_error(oscd: ModuleType, copy: Path) -> None:
    _place(_band(_city(copy, oscd) / "imgs_1", "B04"), 54.3, 24.5)
    _place(_band(_city(copy, oscd) / "imgs_2", "B04"), 2.3, 48.8)
    with pytest.raises(DataError, match=r"imgs_2.*B04\.tif lies elsewhere than .*imgs_1"):
        oscd.open(copy, "train")


def test_a_broken_geojson_is_named(oscd: ModuleType, copy: Path) -> None:
    (_city(copy, oscd, "beihai") / "beihai.geojson").write_text('{"features": []}')
    with pytest.raises(DataError, match=r"beihai\.geojson has no polygon"):
        oscd.open(copy, "train")


def test_all_that_is_missing_is_named(oscd: ModuleType, copy: Path) -> None:
    city = _city(copy, oscd, "beihai")
    _band(city / "imgs_2", "B03").unlink()
    (city / "dates.txt").unlink()
    shutil.rmtree(_city(copy, oscd, "aguasclaras") / "imgs_1")
    with pytest.raises(MissingFilesError) as error:
        oscd.open(copy, "train")
    names = [Path(file).name for file in error.value.files]
    assert sorted(names) == ["B02.tif", "B03.tif", "B03.tif", "B04.tif", "dates.txt"]
    with pytest.raises(MissingFilesError):
        oscd.open(copy, "train", bands="13")  # dates.txt
    assert len(oscd.open(copy, "test")) == 8


def test_a_real_folder_needs_all_its_cities(oscd: ModuleType, copy: Path) -> None:
    (copy / "skybench-demo.json").unlink()
    with pytest.raises(MissingFilesError) as error:
        oscd.open(copy, "train")
    assert len({Path(f).parents[1].name for f in error.value.files if f.endswith("cm.png")}) == 11


def test_a_band_that_is_there_twice_is_an_error(oscd: ModuleType, copy: Path) -> None:
    path = _band(_city(copy, oscd) / "imgs_1", "B02")
    shutil.copy(path, path.with_name("T40RCN_20160101T000000_B02.tif"))
    with pytest.raises(DataError, match="holds B02 twice"):
        oscd.open(copy, "train")


def test_what_macos_leaves_beside_files_is_passed_over(oscd: ModuleType, copy: Path) -> None:
    expected = oscd.open(copy, "train")[0].images["hr"]
    for path in [*_city(copy, oscd).rglob("*.tif")]:
        path.with_name(f"._{path.name}").write_bytes(b"Mac OS X")
    for name, bands in (("hr", "rgb"), ("s2", "13")):
        images = oscd.open(copy, "train", bands=bands)[0].images
        assert list(images) == [name]
    assert torch.equal(oscd.open(copy, "train")[0].images["hr"], expected)


def test_bands_of_another_size_type_or_truncated_are_named(oscd: ModuleType, copy: Path) -> None:
    path = _city(copy, oscd) / "imgs_1_rect" / "B05.tif"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=r"imgs_1_rect.B05\.tif cannot be read"):
        oscd.open(copy, "train", bands="13")[0]
    Image.fromarray(np.zeros((144, 149), np.uint16)).save(path)
    with pytest.raises(DataError, match=r"B05\.tif is 144 x 149 pixels"):
        oscd.open(copy, "train", bands="13")[0]
    Image.fromarray(np.zeros((144, 150), np.uint8)).save(path)
    with pytest.raises(DataError, match=r"1 band\(s\) of uint8 values; expected one"):
        oscd.open(copy, "train", bands="13")[0]


def test_the_second_image_may_be_a_little_smaller_and_no_more(oscd: ModuleType, copy: Path) -> None:
    folder = _city(copy, oscd) / "imgs_2"
    for code in ("B02", "B03", "B04"):
        path = _band(folder, code)
        Image.fromarray(np.asarray(Image.open(path))[:140, :149]).save(path)
    (sample,) = (s for s in oscd.open(copy, "train", 160) if s.key == "abudhabi_0_0")
    assert (sample.target != 255).sum() == 140 * 149
    for code in ("B02", "B03", "B04"):
        path = _band(folder, code)
        Image.fromarray(np.asarray(Image.open(path))[:100]).save(path)
    with pytest.raises(DataError, match=r"B04\.tif is 100 x 149 pixels .*cm\.png 144 x 150"):
        oscd.open(copy, "train")


def test_a_label_of_another_size_is_an_error(oscd: ModuleType, copy: Path) -> None:
    label = copy / f"{oscd.FOLDER}Train Labels" / "abudhabi" / "cm" / "cm.png"
    Image.fromarray(np.asarray(Image.open(label))[:-1]).save(label)
    with pytest.raises(DataError, match=r"B04\.tif is 144 x 150 pixels .*cm\.png 143 x 150"):
        oscd.open(copy, "train")


def test_the_tif_label_stands_in_for_the_png(oscd: ModuleType, copy: Path) -> None:
    folder = copy / f"{oscd.FOLDER}Test Labels" / "brasilia" / "cm"
    expected = [s.target for s in oscd.open(copy, "test")]
    mask = np.asarray(Image.open(folder / "cm.png")) // 255
    (folder / "cm.png").unlink()
    for unchanged in (0, 1):
        Image.fromarray(mask + np.uint8(unchanged)).save(folder / "brasilia-cm.tif")
        read = [s.target for s in oscd.open(copy, "test")]
        assert all(torch.equal(a, b) for a, b in zip(read, expected, strict=True))


def test_an_unknown_choice_of_bands_is_refused(oscd: ModuleType, simulated: Path) -> None:
    with pytest.raises(UsageError, match=r"no bands=12\. Known: rgb, 13"):
        oscd.open(simulated, "train", bands="12")


def test_torchgeo_reads_the_same_cities(oscd: ModuleType, simulated: Path) -> None:
    datasets = pytest.importorskip("torchgeo.datasets")
    assert set(datasets.OSCD.urls.values()) == {remote.url for remote in oscd.REMOTES}
    assert {f"md5:{m}" for m in datasets.OSCD.md5s.values()} == {r.digest for r in oscd.REMOTES}
    assert set(datasets.OSCD.md5s) == {remote.filename for remote in oscd.REMOTES}
    for split, count in (("train", 3), ("test", 2)):
        theirs = datasets.OSCD(simulated, split)
        ours = oscd.open(simulated, split, 160, bands="13")
        assert len(theirs) == len(ours) == count
        for file, other in zip(theirs.files, theirs, strict=True):
            sample = ours[ours.keys.index(f"{file['region']}_0_0")]
            height, width = other["mask"].shape[1:]
            read = sample.images["s2"][:, :, :height, :width]
            assert torch.equal(other["image"], read.float())
            assert torch.equal(other["mask"][0], sample.target[:height, :width].long())
            assert [_date(day) for day in sample.days["s2"].tolist()] == list(file["dates"])


def test_samples_survive_pickling(oscd: ModuleType, simulated: Path) -> None:
    for bands, sensor in (("rgb", "hr"), ("13", "s2")):
        tiles = oscd.open(simulated, "test", bands=bands)
        again = pickle.loads(pickle.dumps(tiles))
        assert torch.equal(tiles[5].images[sensor], again[5].images[sensor])
        assert torch.equal(tiles[5].target, again[5].target)
