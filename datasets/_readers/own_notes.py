"""Tells what is done to a user's own images besides reading them, by their headers."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from rasterio.enums import ColorInterp

from skybench.core import DataError

from . import decode, own_images
from .own_sensors import OwnSensor

LOOKED = 64  # images whose headers are looked at
NO_ALPHA = "the alpha channel is left out"
GREY = "grey is repeated for red, green and blue"


def notes_of(paths: Sequence[Path], sensor: OwnSensor) -> tuple[str, ...]:
    """Return what is done to images besides reading them, a sentence each, by 64 of the headers."""
    looked = paths[:: max(1, len(paths) // LOOKED)]
    told: dict[str, list[Path]] = {}
    for path in looked:
        with contextlib.suppress(DataError):  # reading says it
            by_gdal = decode.is_read_by_gdal(path)
            for remark in (_of_raster if by_gdal else _of_picture)(path, sensor):
                told.setdefault(remark, []).append(path)
    return tuple(
        f"{remark} (in {len(found)} of {len(looked)} images looked at, as {found[0].name})"
        for remark, found in told.items()
    )


def _of_picture(path: Path, sensor: OwnSensor) -> Iterator[str]:
    with decode.open_picture(path) as picture:
        if decode.orientation(path, picture) != 1:
            yield "turned as the EXIF orientation says"
        if picture.has_transparency_data:
            yield NO_ALPHA
        if picture.mode in ("1", "L", "LA") and len(sensor.bands) == 3:
            yield GREY


def _of_raster(path: Path, sensor: OwnSensor) -> Iterator[str]:
    wanted = len(sensor.bands)
    with decode.open_raster(path) as source:
        colours = sum(kind != ColorInterp.alpha for kind in source.colorinterp)
        if colours < source.count != wanted:
            yield NO_ALPHA
        if colours == 1 and wanted == 3 and not own_images.has_palette(source):
            yield GREY
        for value in {v for v in source.nodatavals if v is not None and v == v}:
            if value != (sensor.fill or 0):
                yield f"nodata, {value:g}, is read as {sensor.fill or 0:g}"
        if sensor.fill is not None and "float" in source.dtypes[0]:
            yield f"NaN and infinite pixels, if any, are read as {sensor.fill:g}"
        if own_images.has_scale(source):
            stated = own_images.stated_factors(sensor) is not None
            used = "not used" if stated or sensor.unit in own_images.DISPLAY else "applied"
            yield f"tags of scale {source.scales[0]:g} and offset {source.offsets[0]:g} are {used}"
