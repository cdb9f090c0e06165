from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from skybench.checks import value_ranges
from skybench.checks.value_ranges import MEANS, Moments
from skybench.core import DB, REFLECTANCE, S2_DISPLAY, UINT8, Sensor, registry
from skybench.core.sensors import L1C

RGB = Sensor("hr", ("red", "green", "blue"), 0.5, UINT8)
S2 = Sensor("s2", tuple(MEANS[0]), 10.0, REFLECTANCE)
S1 = Sensor("s1", ("vv", "vh", "vv_vh"), 10.0, DB)
PLANET = Sensor("hr", ("blue", "green", "red", "nir"), 3.0, REFLECTANCE)


def facts(sensor: Sensor, images: list[Tensor]) -> dict[str, Any]:
    sums = Moments(sensor)
    for image in images:
        sums.add(image)
    return sums.facts()


def noise(count: int = 20, bands: int = 3, high: float = 255) -> list[Tensor]:
    made = torch.Generator().manual_seed(0)
    return [torch.rand((1, bands, 8, 8), generator=made) * high for _ in range(count)]


def spectra(means: dict[str, float], count: int = 20) -> list[Tensor]:
    """Bands about their means, neighbours alike: each is the one before and some of its own."""
    made = torch.Generator().manual_seed(0)
    found = []
    for _ in range(count):
        walk = torch.randn((len(means), 16, 16), generator=made).cumsum(0)
        found.append((torch.tensor(list(means.values()))[:, None, None] * (1 + walk / 20))[None])
    return found


def sar(count: int = 4) -> list[Tensor]:
    made = torch.Generator().manual_seed(0)
    two = [torch.randn((1, 2, 8, 8), generator=made) * 3 for _ in range(count)]
    middle = torch.tensor([-12.6, -19.3])[:, None, None]
    return [torch.cat((x + middle, (x + middle)[:, :1] - (x + middle)[:, 1:]), 1) for x in two]


def test_the_facts_are_numpys() -> None:
    image = torch.tensor([[[[0.0, 4.0], [2.0, 0.0]], [[0.0, 1.0], [0.0, 3.0]]]])
    found = facts(Sensor("a", ("red", "blue"), 1, UINT8), [image])
    assert found["mean"] == [3.0, 2.0]  # without zeros
    assert (found["min"], found["max"]) == ([0.0, 0.0], [4.0, 3.0])  # a pixel of zeros is padding
    assert found["zeros"] == [0.5, 0.5]
    assert found["images"] == 1


@pytest.mark.parametrize(
    ("sensor", "images"),
    [(RGB, noise()), (Sensor("s2", RGB.bands, 10, S2_DISPLAY), noise()), (S1, sar()),
     (S2, spectra(dict(MEANS[0]))), (PLANET, noise(bands=4, high=4000)),
     (Sensor("x", ("pan",), 1, REFLECTANCE), noise(bands=1, high=3000))],
    ids=["display", "display of reflectance", "dB", "reflectance", "planet", "panchromatic"],
)  # fmt: skip
def test_of_healthy_values_nothing_is_said(sensor: Sensor, images: list[Tensor]) -> None:
    found = facts(sensor, images)
    assert value_ranges.implausible_values(found) == ""
    assert value_ranges.suspected_band_order(found) == ""


@pytest.mark.parametrize(
    ("sensor", "images", "said"),
    [
        (RGB, [x / 255 for x in noise()], "nothing above 0.99"),
        (RGB, [x / 255 / 255 for x in noise()], "nothing above 0.003"),
        (RGB, noise(high=10000), "cannot be 'uint8'"),
        (RGB, [(x - 128) / 64 for x in noise()], "cannot be 'uint8'"),
        (RGB, [torch.zeros(1, 3, 8, 8)], "every pixel is 0"),
        (RGB, [x * torch.tensor([1.0, 0, 1])[:, None, None] for x in noise()], "band green has"),
        (S2, [x / 10000 for x in spectra(dict(MEANS[0]))], "nothing above 0."),
        (PLANET, noise(bands=4, high=256), "nothing above 25"),
        (PLANET, [7000 + x for x in noise(bands=4, high=14000)], "the brightest band's mean of 1"),
        (S1, [10 ** (x / 10) for x in sar()], "cannot be 'dB'"),
        (S1, [(x + 50) * 5 for x in sar()], "cannot be 'dB'"),
    ],
    ids=["over 255", "twice over 255", "16 bits", "normalised", "empty", "a band lacks",
         "reflectance of 1", "display", "digital numbers", "linear power", "stretched"],
)  # fmt: skip
def test_values_of_another_unit_are_told(sensor: Sensor, images: list[Tensor], said: str) -> None:
    assert said in value_ranges.implausible_values(facts(sensor, images))


@pytest.mark.parametrize("published", MEANS[:3], ids=["BigEarthNet", "SSL4EO L2A", "SSL4EO L1C"])
def test_other_orders_of_sentinel_2_are_told(published: dict[str, float]) -> None:
    sensor, images = Sensor("s2", tuple(published), 10, REFLECTANCE), spectra(published)
    assert value_ranges.suspected_band_order(facts(sensor, images)) == ""
    assert "in reverse" in value_ranges.suspected_band_order(
        facts(sensor, [x.flip(1) for x in images])
    )
    grouped = [sensor.bands.index(b) for b in value_ranges.GROUPED if b in sensor.bands]
    said = value_ranges.suspected_band_order(facts(sensor, [x[:, grouped] for x in images]))
    # Without the bands of 60 m only one band stands elsewhere, and its neighbours are like it.
    assert ("grouped by resolution" in said) == ("coastal" in published)
    exchanged = [{"red": "blue", "blue": "red"}.get(b, b) for b in sensor.bands]
    swapped = [sensor.bands.index(b) for b in exchanged]
    assert "both were exchanged" in value_ranges.suspected_band_order(
        facts(sensor, [x[:, swapped] for x in images])
    )


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ("01 02 03 04 05 06 07 08 09 10 11 12 8A", "B01, B02, …, B12, B8A"),
        ("1 10 11 12 2 3 4 5 6 7 8 8A 9", "B1, B10, B11, B12, B2, …"),
    ],
)
def test_files_of_one_band_in_the_order_of_their_names_are_told(files: str, said: str) -> None:
    numbers = dict(zip((*"12345678", "8A", "9", "10", "11", "12"), L1C, strict=True))
    stored = [L1C.index(numbers[name.lstrip("0")]) for name in files.split()]
    sensor = Sensor("s2", L1C, 10, REFLECTANCE)
    images = spectra({band: MEANS[2][band] for band in L1C})
    assert value_ranges.suspected_band_order(facts(sensor, images)) == ""
    assert said in value_ranges.suspected_band_order(facts(sensor, [x[:, stored] for x in images]))


def test_bands_by_number_are_told_where_others_are_declared() -> None:
    declared = Sensor("s2", value_ranges.GROUPED, 10, REFLECTANCE)
    images = spectra({band: MEANS[2][band] for band in L1C})
    assert "by their numbers" in value_ranges.suspected_band_order(facts(declared, images))


def test_the_offset_of_newer_sentinel_2_products_is_told() -> None:
    """By the cirrus band, or by deep shadow that is not dark."""
    l1c = Sensor("s2", L1C, 10, REFLECTANCE)
    images = spectra({band: MEANS[2][band] for band in L1C})
    assert value_ranges.implausible_values(facts(l1c, images)) == ""
    said = value_ranges.implausible_values(facts(l1c, [x + 1000 for x in images]))
    assert "cirrus band has a mean of 10" in said
    assert "offset = -1000 under [sensor]" in said
    for bands in (S2.bands, PLANET.bands):
        sensor = Sensor("s2", bands, 10, REFLECTANCE)
        images = spectra({band: MEANS[0][band] for band in bands})
        for image in images:
            image[..., :4, :4] /= 20  # shadow
        assert value_ranges.implausible_values(facts(sensor, images)) == ""
        shifted = facts(sensor, [x + 1000 for x in images])
        assert "darkest pixels of most bands" in value_ranges.implausible_values(shifted)
    bright = [x * 3 + 800 for x in spectra(dict.fromkeys(S2.bands, 1000.0))]
    assert value_ranges.implausible_values(facts(S2, bright)) == ""


def test_polarisations_that_are_exchanged_are_told() -> None:
    two = Sensor("s1", ("vv", "vh"), 10, DB)
    assert value_ranges.suspected_band_order(facts(two, [x[:, :2] for x in sar()])) == ""
    assert "in reverse" in value_ranges.suspected_band_order(
        facts(two, [x[:, [1, 0]] for x in sar()])
    )


def test_four_bands_in_reverse_are_told() -> None:
    images = spectra({b: MEANS[0][b] for b in PLANET.bands})
    assert value_ranges.suspected_band_order(facts(PLANET, images)) == ""
    assert "in reverse" in value_ranges.suspected_band_order(
        facts(PLANET, [x.flip(1) for x in images])
    )


def test_water_is_not_taken_for_vegetation_in_reverse() -> None:
    water = {"blue": 700.0, "green": 600.0, "red": 400.0, "nir": 150.0}
    assert value_ranges.suspected_band_order(facts(PLANET, spectra(water))) == ""
    falling = dict(zip(S2.bands, np.geomspace(900, 60, 12), strict=True))
    assert value_ranges.suspected_band_order(facts(S2, spectra(falling))) == ""


def test_pixels_without_a_number_are_left_out() -> None:
    images = noise()
    images[0][:, 1, :4] = float("nan")
    assert value_ranges.implausible_values(facts(RGB, images)) == ""


def test_real_images_are_plausible_and_in_order(shared: Path) -> None:
    """Patches of BigEarthNet, and series of lakes and of shrubland in Sentinel-2's ten bands."""
    root = shared / "realdata" / "bigearthnet_mm_example"
    patches = registry.load("datasets", "ben_mm").open(root, "train")
    for sensor in patches.card.sensors:
        found = facts(sensor, [sample.images[sensor.name] for sample in patches])
        assert (
            value_ranges.implausible_values(found),
            value_ranges.suspected_band_order(found),
        ) == ("", "")
    bands = ("blue", "green", "red", "rededge071", "rededge075", "rededge078", "nir", "nir08",
             "nir09", "swir16", "swir22")  # fmt: skip
    for name in ("algae_blooms", "fuel_moisture"):
        series = np.load(shared / "realdata" / "presto_timeseries" / name / "s1_s2_era5_srtm.npy")
        pixels = torch.from_numpy(series[..., 2:13]).float().flatten(0, 1)  # [N, 11]
        sensor = Sensor("s2", bands, 10, REFLECTANCE)
        chunks = [part.T[None, :, :, None] for part in pixels.tensor_split(20)]
        found = facts(sensor, chunks)
        assert (
            value_ranges.implausible_values(found),
            value_ranges.suspected_band_order(found),
        ) == ("", "")
        other = [bands.index({"red": "blue", "blue": "red"}.get(b, b)) for b in bands]
        said = value_ranges.suspected_band_order(facts(sensor, [x[:, other] for x in chunks]))
        assert "both were exchanged" in said
