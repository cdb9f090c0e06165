"""Reads a user's own images: alpha, palettes, grey, 16 bits, scales, nodata, orientation.

Official data are read as they are; of a user's images each deviation is put right and told, or
refused with what to do.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import TiffImagePlugin
from rasterio.enums import ColorInterp

from skybench.core import DB, REFLECTANCE, UINT8, DataError, Sensor
from skybench.core.sensors import L1C, S2_DISPLAY

from . import decode
from .own_sensors import OwnSensor

Array = decode.Array
RGB_BANDS = {"red", "green", "blue"}
FRACTION = 0.01  # a scale below this gives reflectance of 0 to 1, so it is taken times 1e4
EQUAL = (0.5, 2.0)  # a scale between these gives the unit itself
PRINTING = ("CMYK", "LAB", "HSV")  # colour spaces whose conversion to RGB is not unique
DISPLAY = (UINT8, S2_DISPLAY)  # units that scales of physical quantities do not lead to
NAMES = dict(zip(("1", "2", "3", "4", "5", "6", "7", "8", "8a", "9", "10", "11", "12"), L1C,
                 strict=True))  # of Sentinel-2  # fmt: skip
BAND_NAME = re.compile(r"(?:sr_)?b(?:and)?[ _]?0?(\d{1,2}a?)\b.*")


def read_any(path: Path, sensor: Sensor, window: decode.Window | None = None) -> Array:
    """Read an image or a window of it, [C, H, W]; of an `OwnSensor` by the rules of this module.

    Values that GDAL calls nodata become 0, or the sensor's `fill`. Raises DataError, also for NaN
    and infinite pixels where there is no `fill`.
    """
    if not isinstance(sensor, OwnSensor):
        return decode.read_image(path, sensor, window)
    if decode.is_read_by_gdal(path):
        return _by_gdal(path, sensor, window)
    _require_colours(path)
    pixels = decode.read_picture(path, window)
    if len(sensor.bands) == 1:
        if (pixels != pixels[:1]).any():
            raise DataError(
                f"{path} is in colours, but its sensor has one band ({sensor.bands[0]}); state "
                'bands = ["red", "green", "blue"] in skybench.toml under [sensor]'
            )
        pixels = pixels[:1]
    stated = stated_factors(sensor)
    if stated is not None:
        return _converted(pixels, stated)
    _require_fit(path, sensor, pixels)
    return pixels


def _require_colours(path: Path) -> None:
    with decode.open_picture(path) as file:
        if file.mode in PRINTING:
            raise _printing(path)
        # MPO is a JPEG of a camera with a preview behind it.
        if getattr(file, "is_animated", False) and file.format != "MPO":
            raise DataError(
                f"{path} is animated; the first of its images would be read; save each as a file"
            )


def _require_one_image(path: Path, source: Any) -> None:
    if source.tags(ns="IMAGE_STRUCTURE").get("SOURCE_COLOR_SPACE") in PRINTING:
        raise _printing(path)
    if (pages := len(source.subdatasets)) > 1:
        raise DataError(
            f"{path} holds {pages} images (pages), of which one would be read; save each as a file"
        )
    if any(kind.startswith("complex") for kind in source.dtypes):
        raise DataError(
            f"{path} holds complex numbers; save what is to be looked at, as the intensity in dB"
        )


def _printing(path: Path) -> DataError:
    return DataError(f"{path} has CMYK or other colours that are not RGB; save it as RGB")


def _by_gdal(path: Path, sensor: OwnSensor, window: decode.Window | None) -> Array:
    _require_upright(path)
    with (decode.open_raster if window is None else decode.keep_raster)(path) as source:
        _require_one_image(path, source)
        _require_order(path, source, sensor)
        channels = _channels(path, source, sensor)
        pixels = source.read(channels, window=decode.raster_window(window))
        nodata = [source.nodatavals[channel - 1] for channel in channels]
        if has_palette(source) and len(sensor.bands) == 3:
            pixels, nodata = _painted(source.colormap(1), pixels[0]), [None] * 3
        factors = _factors(path, source, channels, sensor)
    missing = _missing(pixels, nodata) | _strange(path, pixels, sensor)
    if factors is None:
        _require_fit(path, sensor, pixels)
        pixels = decode.widened(pixels)
    else:
        pixels = _converted(pixels, factors)
    kind = pixels.dtype if sensor.fill is None else np.float32  # any number may be stated
    return np.where(missing, sensor.fill or 0, pixels).astype(kind)


def _converted(pixels: Array, factors: tuple[Sequence[float], Sequence[float]]) -> Array:
    """Return pixels * scale + offset, float32 [C, H, W]; factors: of each band, or of all."""
    scale, offset = (np.reshape(values, (-1, 1, 1)) for values in factors)
    return np.asarray(pixels * scale + offset, np.float32)


def stated_factors(sensor: OwnSensor) -> tuple[Sequence[float], Sequence[float]] | None:
    """Return scale and offset as the sensor states them; None where it states neither."""
    if sensor.scale is None and sensor.offset is None:
        return None
    return [1.0 if sensor.scale is None else sensor.scale], [sensor.offset or 0.0]


def _factors(
    path: Path, source: Any, channels: Sequence[int], sensor: OwnSensor
) -> tuple[Sequence[float], Sequence[float]] | None:
    """Return scale and offset of channels: as stated, else by GDAL's tags; None for neither.

    Raises DataError for tags whose relation to the unit is unclear.
    """
    if (
        (stated := stated_factors(sensor)) is not None
        or not has_scale(source)
        or sensor.unit in DISPLAY
    ):
        return stated
    scales, offsets = ([of[c - 1] for c in channels] for of in (source.scales, source.offsets))
    if sensor.unit == REFLECTANCE and all(0 < abs(s) < FRACTION for s in scales):
        return [s * 1e4 for s in scales], [o * 1e4 for o in offsets]
    if sensor.unit == DB or all(EQUAL[0] <= s <= EQUAL[1] for s in scales):
        return scales, offsets
    raise DataError(
        f"{path} has the tags scale {scales[0]:g} and offset {offsets[0]:g}, and it is unclear how "
        f"they lead to {sensor.unit!r}; state in skybench.toml under [sensor] by what numbers "
        "stored * scale + offset is in that unit, as scale = 1.0 and offset = 0.0"
    )


def has_scale(source: Any) -> bool:
    """Return whether an opened raster has tags of scale or offset."""
    return any(s != 1 for s in source.scales) or any(o != 0 for o in source.offsets)


def _missing(pixels: Array, nodata: Sequence[float | None]) -> NDArray[np.bool_]:
    """Return which values are nodata, [C, H, W]; of 8 bits only where all bands are."""
    marks = np.zeros(pixels.shape, bool)
    for band, value in enumerate(nodata):
        if value is not None:
            marks[band] = pixels[band] == value
    return marks & marks.all(0) if pixels.dtype == np.uint8 else marks


def _strange(path: Path, pixels: Array, sensor: OwnSensor) -> NDArray[np.bool_]:
    """Return which values are NaN or infinite. Raises DataError where nothing replaces them."""
    bad = np.zeros(pixels.shape, bool) if pixels.dtype.kind in "iub" else ~np.isfinite(pixels)
    if sensor.fill is None and bad.any():
        raise DataError(
            f"{path} has {bad.any(0).sum()} pixels that are NaN or infinite; put a number in their "
            "place (as fill = 0.0 in skybench.toml under [sensor] does for all files), or list the "
            "file under `exclude`"
        )
    return bad


def _require_fit(path: Path, sensor: OwnSensor, pixels: Array) -> None:
    if sensor.unit == UINT8 and pixels.dtype != np.uint8:
        bands = ", ".join(f'"{band}"' for band in sensor.bands)
        raise DataError(
            f"{path} holds {pixels.dtype} values, {pixels.min():g} to {pixels.max():g}; expected "
            f"{UINT8}, as display images have. State what they are in skybench.toml, as\n"
            f'[sensor]\nbands = [{bands}]\nunit = "{REFLECTANCE}"'
        )
    decode.require_fit(path, sensor, pixels)


def _channels(path: Path, source: Any, sensor: OwnSensor) -> list[int]:
    """Return the numbers of the bands to read: without alpha, and grey three times for RGB."""
    wanted = len(sensor.bands)
    everything = list(range(1, source.count + 1))
    colours = [n for n in everything if source.colorinterp[n - 1] != ColorInterp.alpha]
    if source.count == wanted:
        return everything
    if len(colours) == wanted:
        return colours
    if len(colours) == 1 and {*sensor.bands} == RGB_BANDS:
        return colours * wanted
    names = ", ".join(kind.name for kind in source.colorinterp[:6])
    raise DataError(
        f"{path} has {source.count} bands ({names}); expected {wanted} ({', '.join(sensor.bands)})."
        " State what each band is in skybench.toml under [sensor], as"
        ' bands = ["red", "green", "blue", "nir"]'
    )


def has_palette(source: Any) -> bool:
    """Return whether the first band of an opened raster holds indices of colours."""
    return bool(source.colorinterp[0] == ColorInterp.palette)


def _painted(palette: dict[int, tuple[int, ...]], indices: Array) -> Array:
    """Return the colours of palette indices, uint8 [3, H, W]."""
    table = np.zeros((1 << 16, 3), np.uint8)
    for index, colour in palette.items():
        table[index] = colour[:3]
    return np.ascontiguousarray(table[indices].transpose(2, 0, 1))


def _require_upright(path: Path) -> None:
    """Raise DataError for an orientation tag, which GDAL does not apply."""
    if (turned := orientation_of(path)) != 1:
        raise DataError(
            f"{path} is stored turned (orientation {turned}), which is not applied to its kind of "
            "file; save it upright"
        )


def orientation_of(path: Path) -> int:
    """Return the orientation tag of an image file; 1 is upright, and stands for none."""
    if path.suffix.lower() not in decode.TIFF:
        if path.suffix.lower() in decode.GDAL:
            return 1
        with decode.open_picture(path) as picture:
            return int(picture.getexif().get(decode.ORIENTATION, 1))
    # What Pillow cannot parse, GDAL may read.
    with contextlib.suppress(*decode.DAMAGE), path.open("rb") as file:
        start = file.read(8)
        start += file.read(8) if start[2:3] == b"+" or start[3:4] == b"+" else b""  # BigTIFF
        tags = TiffImagePlugin.ImageFileDirectory_v2(start)
        file.seek(tags.next)
        tags.load(file)
        return int(tags.get(decode.ORIENTATION, 1))
    return 1


def _require_order(path: Path, source: Any, sensor: OwnSensor) -> None:
    """Raise DataError where the file names its bands, and in another order than the sensor."""
    found = [_common_name(text) for text in source.descriptions]
    kinds = [kind.name for kind in source.colorinterp[:3]]
    if kinds == ["blue", "green", "red"] and not any(source.descriptions):
        found = [*kinds, *sensor.bands[3:]]
    if sorted(found) == sorted(sensor.bands) and tuple(found) != sensor.bands:
        order = ", ".join(f'"{name}"' for name in found)
        raise DataError(
            f"{path} says that its bands are {', '.join(found)}, in this order; expected "
            f"{', '.join(sensor.bands)}. State bands = [{order}] in skybench.toml under [sensor]"
        )


def _common_name(text: str | None) -> str:
    """Return the common name of a band's description; a description that is none stays.

    >>> _common_name("B08"), _common_name("Band 8A"), _common_name("Red"), _common_name(None)
    ('nir', 'nir08', 'red', '')
    """
    plain = (text or "").strip().lower()
    numbered = BAND_NAME.fullmatch(plain)
    return NAMES.get(numbered[1], plain) if numbered else plain
