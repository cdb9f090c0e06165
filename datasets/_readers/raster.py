"""Decodes images and masks, whole or in windows."""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
from numpy.typing import NDArray
from PIL import Image
from rasterio.errors import NotGeoreferencedWarning, RasterioError
from rasterio.windows import Window as RasterioWindow

from skybench.core import UINT8, DataError, Sensor

Array = NDArray[Any]
IGNORE = 255  # in every mask that is handed out
UNKNOWN = 254  # while a mask is decoded, so there are at most 254 classes
TIFF = frozenset({".tif", ".tiff"})
QUIET = threading.Lock()


class Window(NamedTuple):
    """A window that lies inside of a raster, in pixels."""

    y: int
    x: int
    height: int
    width: int


@dataclass(frozen=True)
class Legend:
    """The class ids of a mask's stored values."""

    classes: int
    colours: tuple[tuple[tuple[int, int, int], int], ...] = ()  # (r, g, b) -> id; () : stored ids
    ignored: tuple[int, ...] = ()  # stored ids besides 255 that are left out
    tolerance: int = 0  # a colour this near in each channel counts as the table's


@contextmanager
def damage_as_data_error(path: Path) -> Iterator[None]:
    """Turn any exception of the decoders on a damaged file into a DataError with its name."""
    try:
        yield
    except (OSError, SyntaxError, ValueError, RasterioError, Image.DecompressionBombError) as error:
        raise DataError(
            f"{path} cannot be read ({type(error).__name__}: {error}); it is missing, truncated "
            "or not an image. Get this file again."
        ) from error


@contextmanager
def open_raster(path: Path) -> Iterator[Any]:
    """Open a raster by rasterio, without its warning about files that have no CRS."""
    with damage_as_data_error(path):
        # Filters of warnings are the whole process's, and several threads read at once.
        with QUIET, warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            raster = rasterio.open(path)
        with raster:
            yield raster


def raster_size(path: Path) -> tuple[int, int]:
    """Return (height, width) from the file's header. Raises DataError."""
    if path.suffix.lower() in TIFF:
        with open_raster(path) as raster:
            return int(raster.height), int(raster.width)
    with damage_as_data_error(path), Image.open(path) as file:
        return file.height, file.width


def read_image(path: Path, sensor: Sensor, window: Window | None = None) -> Array:
    """Read an image or a window of it, [C, H, W], in the stored dtype (uint16 as int32).

    JPEG and PNG are read as RGB. Raises DataError, also where the file does not fit the sensor.
    """
    if path.suffix.lower() in TIFF:
        pixels = _windowed(path, window)
        pixels = pixels.astype(np.int32) if pixels.dtype == np.uint16 else pixels
    else:
        pixels = _cut(_rgb(path) if window is None else _kept(path, _stamp(path), None), window)
    if len(pixels) != len(sensor.bands):
        raise DataError(
            f"{path} has {len(pixels)} bands; expected {len(sensor.bands)} "
            f"({', '.join(sensor.bands)}), as the sensor {sensor.name} says"
        )
    if sensor.unit == UINT8 and pixels.dtype != np.uint8:
        raise DataError(
            f"{path} holds {pixels.dtype} values, but the unit of sensor {sensor.name} is "
            f"{UINT8!r}; of a folder of your own, state the unit in skybench.toml under [sensor]"
        )
    return pixels


def read_mask(path: Path, legend: Legend, window: Window | None = None) -> Array:
    """Read a mask or a window of it, uint8 [H, W], class ids and 255. Raises DataError."""
    if path.suffix.lower() in TIFF:
        return _meaning(path, _windowed(path, window), legend)
    (ids,) = _cut(_kept(path, _stamp(path), legend)[None], window)
    return np.asarray(ids)


def _windowed(path: Path, window: Window | None) -> Array:
    with open_raster(path) as raster:
        where = window and RasterioWindow(window.x, window.y, window.width, window.height)
        return np.asarray(raster.read(window=where))


def _cut(pixels: Array, window: Window | None) -> Array:
    if window is None:
        return pixels
    rows = slice(window.y, window.y + window.height)
    return pixels[:, rows, window.x : window.x + window.width]


def _stamp(path: Path) -> int:
    with damage_as_data_error(path):
        return path.stat().st_mtime_ns


@functools.lru_cache(maxsize=4)
def _kept(path: Path, stamp: int, legend: Legend | None) -> Array:
    """Return a decoded image or (with a legend) mask, cached for consecutive tiles."""
    return _rgb(path) if legend is None else _meaning(path, _stored(path, legend), legend)


def _rgb(path: Path) -> Array:
    with damage_as_data_error(path), Image.open(path) as file:
        if file.mode.startswith(("I", "F")):  # Pillow would cut these at 255 without a word
            raise DataError(f"{path} has more than 8 bits a channel; store such images as TIFF")
        return np.array(np.asarray(file.convert("RGB")).transpose(2, 0, 1), order="C")


def _stored(path: Path, legend: Legend) -> Array:
    """Read the values of a PNG mask: [3, H, W] if the legend has colours, else [1, H, W]."""
    if legend.colours:  # some files of one set may be palette images, so all are made RGB
        return _rgb(path)
    with damage_as_data_error(path), Image.open(path) as file:
        values = np.asarray(file)
        return values[None] if values.ndim == 2 else values.transpose(2, 0, 1)


def _meaning(path: Path, values: Array, legend: Legend) -> Array:
    if legend.colours:
        return _from_colours(path, values, legend)
    if len(values) != 1:
        raise DataError(
            f"{path} is a mask with {len(values)} bands and no colour table is known; expected one "
            "band of class ids, or give the colours in skybench.toml under [classes]"
        )
    ids = np.where(np.isin(values[0], legend.ignored), IGNORE, values[0])
    bad, counts = np.unique(
        ids[(ids != IGNORE) & ((ids < 0) | (ids >= legend.classes))], False, False, True
    )
    if len(bad):
        found = ", ".join(f"{b} ({n} pixels)" for b, n in list(zip(bad, counts, strict=True))[:5])
        raise DataError(
            f"{path} holds the class ids {found}; expected 0 to {legend.classes - 1}, or 255 for "
            "pixels to ignore"
        )
    return ids.astype(np.uint8)


@functools.lru_cache(maxsize=4)
def _table(legend: Legend) -> Array:
    """Return the lookup table of ids by colour r * 65536 + g * 256 + b, uint8 [2 ** 24]."""
    table = np.full(1 << 24, UNKNOWN, np.uint8)
    for (r, g, b), class_id in legend.colours:
        table[r << 16 | g << 8 | b] = class_id
    return table


def _from_colours(path: Path, values: Array, legend: Legend) -> Array:
    if len(values) != 3:
        raise DataError(f"{path} has {len(values)} bands; expected a mask in RGB colours")
    r, g, b = values.astype(np.uint32)
    codes = r << 16 | g << 8 | b
    ids = _table(legend)[codes]
    strange = ids == UNKNOWN
    if strange.any():
        ids[strange] = _nearest(path, codes[strange], legend)
    return np.asarray(ids)


def _nearest(path: Path, codes: Array, legend: Legend) -> Array:
    """Return ids of unlisted colours by the nearest one, [N]. Raises DataError if none is near."""
    unique, where, counts = np.unique(codes, return_inverse=True, return_counts=True)
    rgb = np.stack([unique >> 16, unique >> 8 & 255, unique & 255], 1).astype(np.int16)
    table = np.asarray([colour for colour, _ in legend.colours], np.int16)
    far = np.abs(rgb[:, None] - table).max(2)  # [colours, table]
    lost = far.min(1) > legend.tolerance
    if lost.any():
        worst = sorted(zip(counts[lost], rgb[lost].tolist(), strict=True), reverse=True)
        found = ", ".join(f"{tuple(colour)} ({n} pixels)" for n, colour in worst[:5])
        raise DataError(
            f"{path} holds colours that stand for no class: {found}"
            f"{' and more' if len(worst) > 5 else ''}; expected one of "
            f"{', '.join(str(colour) for colour, _ in legend.colours)}"
        )
    ids = np.asarray([class_id for _, class_id in legend.colours], np.uint8)
    return np.asarray(ids[far.argmin(1)][where])
