"""Writes simulated patches of BigEarthNet v1 in the official layout."""

from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin
from rasterio.crs import CRS

from skybench.core import Sensor
from skybench.data import simulation

from .._readers import bigearthnet as facts
from .._readers.plain_tiff import GEO_KEYS, PIXEL_IS_AREA, PROJECTION, RASTER_TYPE, TIE_POINT
from . import scenes

COUNT = 99
PIXEL_SCALE, SHORT, DOUBLE = 33550, 3, 12  # of TIFF 6.0 and GeoTIFF 1.1
PITCH = 1200  # metres from patch to patch
SCENES = {  # by one of the 43 classes
    "Discontinuous urban fabric": scenes.town,
    "Industrial or commercial units": scenes.factories,
    "Non-irrigated arable land": scenes.fields,
    "Broad-leaved forest": scenes.forest,
    "Pastures": scenes.bare,
    "Water bodies": scenes.open_water,
}


class DemoProduct(NamedTuple):
    """An overpass of each satellite over a tile, near in time."""

    s2: str
    s2_time: str
    s1: str
    s1_time: str
    tile: str
    epsg: int
    origin: tuple[int, int]  # x, y of the tile's upper left, metres


PRODUCTS = (  # two of one tile, so that the date decides which patches are a pair
    DemoProduct(
        s2="S2A_MSIL2A_20170613T101031",
        s2_time="2017-06-13 10:10:31",
        s1="S1A_IW_GRDH_1SDV_20170613T165043",
        s1_time="2017-06-13T16:50:43",
        tile="33UUP",
        epsg=32633,
        origin=(300_000, 5_400_000),
    ),
    DemoProduct(
        s2="S2B_MSIL2A_20170818T101019",
        s2_time="2017-08-18 10:10:19",
        s1="S1B_IW_GRDH_1SDV_20170819T164957",
        s1_time="2017-08-19T16:49:57",
        tile="33UUP",
        epsg=32633,
        origin=(300_000, 5_400_000),
    ),
    DemoProduct(
        s2="S2B_MSIL2A_20170924T93020",
        s2_time="2017-09-24 09:30:20",
        s1="S1A_IW_GRDH_1SDV_20170925T043256",
        s1_time="2017-09-25T04:32:56",
        tile="35VPK",
        epsg=32635,
        origin=(600_000, 7_000_020),
    ),
)


class DemoPatch(NamedTuple):
    """A place in the products of both satellites."""

    product: DemoProduct
    column: int  # in the tile's grid of patches
    row: int
    labels: list[str]
    canvas: simulation.Canvas

    @property
    def names(self) -> dict[str, str]:
        """Return folder names by sensor."""
        place, product = f"{self.column}_{self.row}", self.product
        return {"s2": f"{product.s2}_{place}", "s1": f"{product.s1}_{product.tile}_{place}"}

    @property
    def corner(self) -> tuple[int, int]:
        """Return x, y of the upper left corner, metres."""
        x, y = self.product.origin
        return x + PITCH * self.column, y - PITCH * self.row


def write_bigearthnet(root: Path, sensors: Sequence[Sensor], seed: int) -> None:
    """Write patches of `DEMO_SIDE` pixels with one to three kinds of land cover each."""
    for number in range(COUNT):
        product = PRODUCTS[number % len(PRODUCTS)]
        rng = simulation.rng_of(seed, number)
        labels = rng.choice(list(SCENES), int(rng.integers(1, 4)), replace=False).tolist()
        place = 20 + number // len(PRODUCTS)
        patch = DemoPatch(product, place, 48, labels, _paint(rng, labels))
        for sensor in sensors:
            _write(root, sensor, patch)


def _paint(rng: Generator, labels: Sequence[str]) -> simulation.Canvas:
    """Paint a sector for each label, around a point near the middle."""
    shape = (facts.DEMO_SIDE, facts.DEMO_SIDE)
    x0, y0 = rng.uniform(-0.2, 0.2, 2)
    y, x = np.mgrid[-1 : 1 : shape[0] * 1j, -1 : 1 : shape[1] * 1j]
    turn = np.arctan2(y - y0, x - x0) / (2 * np.pi) + rng.uniform(1, 2)
    sector = (turn % 1 * len(labels)).astype(int)
    whole = simulation.Canvas(rng, shape)
    for number, label in enumerate(labels):
        part = simulation.Canvas(rng, shape)
        SCENES[label](part)
        whole.cover[sector == number] = part.cover[sector == number]
        whole.shine[sector == number] = part.shine[sector == number]
    return whole


def _write(root: Path, sensor: Sensor, patch: DemoPatch) -> None:
    name, product = patch.names[sensor.name], patch.product
    x, y = patch.corner
    size = 10 * facts.DEMO_SIDE
    about: dict[str, Any] = {
        "labels": patch.labels,
        "coordinates": {"ulx": x, "uly": y, "lrx": x + size},
        "projection": CRS.from_epsg(product.epsg).to_wkt(),
    }
    if sensor.name == "s2":
        folder, bands = root / facts.S2_FOLDER / name, _optical(patch.canvas)
        about["coordinates"]["lry"] = y - size
        about["tile_source"] = f"{product.s2}_N0205_R022_T{product.tile}_.SAFE"
        about["acquisition_date"] = product.s2_time
    else:
        folder, bands = root / facts.S1_FOLDER / name, _radar(patch.canvas)
        about["coordinates"]["lly"] = y - size  # named so in the originals
        about["corresponding_s2_patch"] = patch.names["s2"]
        about["acquisition_time"] = product.s1_time
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}_labels_metadata.json").write_text(json.dumps(about))
    for suffix, pixels in bands.items():
        _save(folder / f"{name}_{suffix}.tif", pixels, patch.corner, product.epsg)


def _optical(canvas: simulation.Canvas) -> dict[str, NDArray[Any]]:
    """Return uint16 bands by file name suffix, each at its own resolution."""
    seen = canvas.reflectance(facts.S2.bands)
    seen = 1e4 * seen + 30 * canvas.rng.standard_normal(seen.shape, np.float32)
    bands = {}
    for band, pixels in zip(facts.BANDS, seen, strict=True):
        side = len(pixels) // band.step
        coarse = pixels.reshape(side, band.step, side, band.step).mean((1, 3))
        bands[band.suffix] = coarse.clip(1, 10_000).round().astype(np.uint16)
    return bands


def _radar(canvas: simulation.Canvas) -> dict[str, NDArray[Any]]:
    """Return float32 backscatter in dB by file name suffix."""
    seen = canvas.backscatter(facts.S1.bands, canvas.rng)
    return dict(zip(facts.POLARISATIONS, seen, strict=True))


def _save(path: Path, pixels: NDArray[Any], corner: tuple[int, int], epsg: int) -> None:
    """Write a single-band GeoTIFF, several times faster than GDAL."""
    metres = 10.0 * facts.DEMO_SIDE / len(pixels)
    # The version, then three keys: projected, pixels are areas, the code.
    keys = ((1, 1, 0, 3), (1024, 0, 1, 1), (RASTER_TYPE, 0, 1, PIXEL_IS_AREA))
    tags = TiffImagePlugin.ImageFileDirectory_v2()
    for tag, kind, values in (
        (PIXEL_SCALE, DOUBLE, (metres, metres, 0.0)),
        (TIE_POINT, DOUBLE, (0.0, 0.0, 0.0, float(corner[0]), float(corner[1]), 0.0)),
        (GEO_KEYS, SHORT, (*itertools.chain(*keys), PROJECTION, 0, 1, epsg)),
    ):
        tags.tagtype[tag] = kind
        tags[tag] = values
    Image.fromarray(pixels).save(path, tiffinfo=tags)
