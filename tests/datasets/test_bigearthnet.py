"""ben_s2 and ben_mm: what is read from real patches, and which patches belong together."""

from __future__ import annotations

import importlib
import json
import pickle
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import rasterio
import torch
from numpy.typing import NDArray
from rasterio.enums import Resampling
from rasterio.warp import transform_bounds

from skybench.core import DataError, UsageError, registry
from skybench.core.dataset import Samples
from skybench.data.split_lists import MissingFilesError

from ._pairs import S1, S2, facts, write_pairs

reader = importlib.import_module("skybench.datasets._readers.bigearthnet_read")
FIRST = "S2A_MSIL2A_20170613T101031_20_48"  # of the demo
FIRST_S1 = "S1A_IW_GRDH_1SDV_20170613T165043_33UUP_20_48"


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("ben"))


@pytest.fixture
def root(written: Path, tmp_path: Path) -> Path:
    """A copy of the demo data to damage."""
    return shutil.copytree(written, tmp_path / "ben_mm")


@pytest.fixture
def ben_mm() -> ModuleType:
    return registry.load("datasets", "ben_mm")


@pytest.fixture
def example(shared: Path) -> Path:
    return shared / "realdata" / "bigearthnet_mm_example"


def _rasterio(path: Path, **options: Any) -> NDArray[Any]:
    with rasterio.open(path) as raster:
        return np.asarray(raster.read(1, **options))


def _open_with(plugin: ModuleType, root: Path, name: str, **options: str) -> tuple[Samples, int]:
    """The split that holds a patch, and where."""
    for split in ("train", "val", "test"):
        samples: Samples = plugin.open(root, split, **options)
        if name in samples.keys:
            return samples, samples.keys.index(name)
    raise AssertionError(name)


def test_real_patches_are_read_as_gdal_reads_them(example: Path, ben_mm: ModuleType) -> None:
    bilinear = {"out_shape": (120, 120), "resampling": Resampling.bilinear}
    for split, count in (("train", 4), ("val", 1), ("test", 1)):
        samples = ben_mm.open(example, split)
        assert len(samples) == count
        assert samples.split.source == "ours: 60/20/20 % by hash, seed 0"
        for index, sample in enumerate(samples):
            optical, radar = (samples.trees[s] / samples.names[s][index] for s in ("s2", "s1"))
            assert sample.images["s2"].shape == (1, 12, 120, 120)
            assert sample.images["s2"].dtype == torch.int32
            for image, band in zip(sample.images["s2"][0], facts.BANDS, strict=True):
                path = optical / f"{optical.name}_{band.suffix}.tif"
                assert _rasterio(path).shape == (120 // band.step, 120 // band.step)
                np.testing.assert_array_equal(image, _rasterio(path, **bilinear))
            assert sample.images["s1"].shape == (1, 2, 120, 120)
            assert sample.images["s1"].dtype == torch.float32
            for image, name in zip(sample.images["s1"][0], ("VV", "VH"), strict=True):
                path = radar / f"{radar.name}_{name}.tif"
                np.testing.assert_array_equal(image, _rasterio(path))


def test_torchgeo_gives_the_same_but_rounds_sentinel_1(example: Path) -> None:
    datasets = pytest.importorskip("torchgeo.datasets")
    sets = {b: datasets.BigEarthNet(str(example), "train", b) for b in ("s2", "s1")}
    named = datasets.BigEarthNet(str(example), "train", "s2", num_classes=43)
    order = {Path(f["s2"]).name: i for i, f in enumerate(named.folders)}
    for name in ("ben_s2", "ben_mm"):
        plugin = registry.load("datasets", name)
        for key, index in order.items():
            samples, own = _open_with(plugin, example, key)
            sample, expected = samples[own], sets["s2"][index]
            assert torch.equal(sample.images["s2"][0].float(), expected["image"])
            assert torch.equal(sample.target.long(), expected["label"])
            fine, _ = _open_with(plugin, example, key, classes="43")
            assert torch.equal(fine[own].target.long(), named[index]["label"])
            if name == "ben_mm":
                assert samples.names["s1"][own] == Path(named.folders[index]["s1"]).name  # type: ignore[attr-defined]
                vh_vv = sample.images["s1"][0].flip(0)
                theirs = sets["s1"][index]["image"]
                assert torch.equal(theirs, vh_vv.round())
                assert (theirs - vh_vv).abs().max() > 0.49
    assert list(facts.CLASSES_19) == datasets.BigEarthNet.class_sets[19]
    assert list(facts.CLASSES_43) == datasets.BigEarthNet.class_sets[43]
    theirs = datasets.BigEarthNet.label_converter
    coarse = {facts.CLASSES_43.index(label): i for label, i in facts.IDS[19].items()}
    assert coarse == theirs


def test_date_and_place_are_those_of_the_patch(example: Path, ben_mm: ModuleType) -> None:
    key = "S2B_MSIL2A_20170924T93020_69_24"
    samples, index = _open_with(ben_mm, example, key)
    sample = samples[index]
    epoch = date(1970, 1, 1)
    assert sample.days["s2"].tolist() == [(date(2017, 9, 24) - epoch).days]
    assert sample.days["s1"].tolist() == [(date(2017, 9, 25) - epoch).days]
    with rasterio.open(example / S2 / key / f"{key}_B02.tif") as raster:
        west, south, east, north = transform_bounds(raster.crs, "EPSG:4326", *raster.bounds)
    assert sample.lonlat == pytest.approx(((west + east) / 2, (south + north) / 2), abs=1e-4)


@pytest.mark.parametrize("factor", [2, 6])
def test_bands_are_enlarged_to_the_numbers_of_gdal(factor: int, tmp_path: Path) -> None:
    """Also where the exact result ends in a half, as it often does."""
    side = 60 // factor
    values = np.random.default_rng(0).integers(0, 65536, (2, side, side), np.uint16)
    values[1] //= 8192  # many halves
    place = rasterio.Affine(10.0, 0.0, 0.0, 0.0, -10.0, 0.0)
    shape = {"count": 1, "dtype": "uint16", "height": side, "width": side}
    for band in values:
        path = tmp_path / "band.tif"
        with rasterio.open(
            path, "w", driver="GTiff", crs="EPSG:32633", transform=place, **shape
        ) as t:
            t.write(band, 1)
        expected = _rasterio(
            path, out_shape=(60, 60), out_dtype="int32", resampling=Resampling.bilinear
        )
        found = reader.upsample(torch.from_numpy(band.astype(np.int32))[None], factor)
        np.testing.assert_array_equal(found[0], expected)


def test_the_partner_is_the_patch_of_the_same_place_that_is_nearest_in_date(
    written: Path, ben_mm: ModuleType
) -> None:
    pairs: dict[str, str] = {}
    for split in ("train", "val", "test"):
        names = ben_mm.open(written, split).names
        pairs |= dict(zip(names["s2"], names["s1"], strict=True))
    assert len(pairs) == len(set(pairs.values())) == 45
    for s2, s1 in pairs.items():
        about = json.loads((written / S1 / s1 / f"{s1}_labels_metadata.json").read_text())
        assert about["corresponding_s2_patch"] == s2


def test_a_list_of_pairs_goes_before_the_names_and_is_checked(
    root: Path, ben_mm: ModuleType
) -> None:
    wrong = "S1B_IW_GRDH_1SDV_20170819T164957_33UUP_20_48"  # the same place, another date
    (root / "splits").mkdir()
    (root / "splits" / "train.csv").write_text(f"{FIRST},{wrong}\n")
    samples, index = _open_with(ben_mm, root, FIRST)
    assert samples.names["s1"][index] == wrong  # type: ignore[attr-defined]
    with pytest.raises(DataError, match=rf"{wrong}_labels_metadata\.json belongs to S2B"):
        samples[index]


def test_a_missing_partner_is_named_by_its_place(root: Path, ben_mm: ModuleType) -> None:
    for name in (FIRST_S1, "S1B_IW_GRDH_1SDV_20170819T164957_33UUP_20_48"):
        shutil.rmtree(root / S1 / name)
    with pytest.raises(MissingFilesError) as error:
        _open_with(ben_mm, root, FIRST)
    assert error.value.files == (f"{S1}/S1*_33UUP_20_48",)


def test_options_and_splits_that_do_not_exist(written: Path, ben_mm: ModuleType) -> None:
    with pytest.raises(UsageError, match="Known: 19, 43"):
        ben_mm.open(written, "train", classes="20")
    with pytest.raises(UsageError, match="seco_train10"):
        ben_mm.open(written, "seco")
    with pytest.raises(UsageError, match="tiles"):
        ben_mm.open(written, "train", 32)
    assert len(ben_mm.open(written, "train", classes="43")[0].target) == 43


def test_rgb_is_three_of_the_bands_and_needs_no_other_file(root: Path) -> None:
    ben_s2 = registry.load("datasets", "ben_s2")
    whole = ben_s2.open(root, "test")
    (every,) = whole.card.sensors
    expected = whole[1].images["s2"][:, [every.bands.index(n) for n in ("red", "green", "blue")]]
    for path in (root / S2).glob("*/*.tif"):
        if path.stem[-3:] not in ("B02", "B03", "B04"):
            path.unlink()
    rgb = ben_s2.open(root, "test", bands="rgb")
    (sensor,) = rgb.card.sensors
    assert (sensor.name, sensor.unit, sensor.gsd) == (every.name, every.unit, every.gsd)
    assert sensor.bands == ("red", "green", "blue")
    assert rgb.keys == whole.keys
    assert torch.equal(rgb[1].images["s2"], expected)
    with pytest.raises(UsageError, match="no option 'bands'"):
        registry.load("datasets", "ben_mm").open(root, "test", bands="rgb")


def _rewrite(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


B05, VV = f"{S2}/{FIRST}/{FIRST}_B05.tif", f"{S1}/{FIRST_S1}/{FIRST_S1}_VV.tif"
ABOUT = f"{S2}/{FIRST}/{FIRST}_labels_metadata.json"
ABOUT_S1 = f"{S1}/{FIRST_S1}/{FIRST_S1}_labels_metadata.json"
OTHER = "S2B_MSIL2A_20170818T101019_20_48"  # the same place


@pytest.mark.parametrize(
    ("file", "damage", "message"),
    [
        (B05, Path.unlink, "missing, truncated"),
        (B05, _cut, "missing, truncated"),
        (VV, _cut, "missing, truncated"),
        (B05, lambda p: p.write_bytes(b"II*\0"), "missing, truncated"),
        (B05, lambda p: shutil.copy(str(p).replace("B05", "B02"), p), "48 x 48 pixels .* 24 x 24"),
        (VV, lambda p: shutil.copy(p.parents[2] / B05.replace("B05", "B02"), p), "uint16.*float32"),
        (
            *(B05, lambda p: shutil.copy(str(p).replace("_20_48", "_21_48"), p)),
            r"lies elsewhere than .*expected \(324000, 5342400\)",
        ),
        (ABOUT, Path.unlink, "cannot be read"),
        (ABOUT, _cut, "no complete JSON"),
        (ABOUT, lambda p: p.write_text("[]"), "cannot be read"),
        (ABOUT, lambda p: _rewrite(p, labels=["Lawn"]), "'Lawn', none of the 43"),
        (ABOUT, lambda p: _rewrite(p, acquisition_date="2017-13-06"), "expected JSON .* a date"),
        (ABOUT, lambda p: _rewrite(p, projection="UTM"), "cannot be read"),
        (ABOUT_S1, lambda p: _rewrite(p, corresponding_s2_patch=OTHER), f"belongs to {OTHER}"),
        (
            *(ABOUT_S1, lambda p: p.write_text(p.read_text().replace("324000", "324600"))),
            "lies elsewhere than its Sentinel-2 patch",
        ),
    ],
)
def test_a_damaged_file_is_named(
    file: str, damage: Callable[[Path], object], message: str, root: Path, ben_mm: ModuleType
) -> None:
    samples, index = _open_with(ben_mm, root, FIRST)
    damage(root / file)
    with pytest.raises(DataError, match=message) as error:
        samples[index]
    assert Path(file).name in str(error.value)


def test_only_some_files_are_looked_for_when_a_split_is_opened(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ben_s2 = registry.load("datasets", "ben_s2")
    whole = ben_s2.open(root, "test")
    assert len(whole.files) == 13 * len(whole)
    monkeypatch.setattr(reader, "LOOKED_FOR", 4)
    (root / S2 / whole.keys[1] / f"{whole.keys[1]}_B8A.tif").unlink()
    some = ben_s2.open(root, "test")
    assert len(some.files) == 13 * 5
    with pytest.raises(DataError, match=rf"{whole.keys[1]}_B8A\.tif cannot be read"):
        some[1]
    (root / S2 / whole.keys[0] / f"{whole.keys[0]}_B8A.tif").unlink()
    with pytest.raises(MissingFilesError, match=rf"{whole.keys[0]}_B8A\.tif"):
        ben_s2.open(root, "test")


def test_an_opened_split_of_pairs_pickles(written: Path, ben_mm: ModuleType) -> None:
    samples = ben_mm.open(written, "val")
    copy = pickle.loads(pickle.dumps(samples))
    assert torch.equal(copy[2].images["s1"], samples[2].images["s1"])
    assert copy[2].days == samples[2].days


def test_the_folder_of_patches_itself_can_be_the_root(written: Path) -> None:
    ben_s2 = registry.load("datasets", "ben_s2")
    assert ben_s2.open(written / S2, "val").keys == ben_s2.open(written, "val").keys


@pytest.mark.parametrize("name", ["ben_s2", "ben_mm"])
def test_torchgeo_reads_the_same_of_the_demo(name: str, written: Path, tmp_path: Path) -> None:
    pytest.importorskip("torchgeo.datasets")
    ours, theirs = registry.load("datasets", name).peer(written, tmp_path)
    assert len(theirs) == len(ours) > 15
    order = {Path(f["s2"]).name: i for i, f in enumerate(theirs.folders)}
    for index, sample in enumerate(ours):
        other = theirs[order[ours.names["s2"][index]]]
        assert torch.equal(sample.target.long(), other["label"])
        radar = 2 if name == "ben_mm" else 0  # VH and VV come first there, rounded
        optical = other["image"][radar:]
        assert torch.equal(sample.images["s2"][0].float(), optical)
        if radar:
            assert torch.equal(sample.images["s1"][0].flip(0).round(), other["image"][:2])
