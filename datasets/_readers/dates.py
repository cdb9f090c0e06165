"""Reads time series: folders with one dated file for each date."""

from __future__ import annotations

import datetime
import re
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from skybench.core import DataError, Sensor

from . import layout, raster

DATE = re.compile(r"(\d{4})[-_]?(\d{2})[-_]?(\d{2})")
EPOCH = datetime.date(1970, 1, 1).toordinal()


def day_in_name(path: Path) -> int:
    """Return the day, since 1970-01-01, in a file's name, as 2019-07-15. Raises DataError."""
    found = DATE.findall(path.stem)
    if len(found) == 1:
        try:
            return datetime.date(*map(int, found[0])).toordinal() - EPOCH
        except ValueError:  # as 2019-02-30
            pass
    raise DataError(f"{path} is in a series, and its name holds no date; expected 2019-07-15.tif")


def dated_files(image: Path) -> list[Path]:
    """Return the files of a series in the order of their dates; a single file alone.

    Raises DataError where two have the same date.
    """
    if not image.is_dir():
        return [image]
    days: dict[int, Path] = {}
    for path in layout.images_in(image):
        day = day_in_name(path)
        if day in days:
            raise DataError(f"{path} and {days[day].name} are of the same date; remove one")
        days[day] = path
    return [days[day] for day in sorted(days)]


def is_series(folder: Path) -> bool:
    """Return whether a folder holds only images that have a date in their names."""
    paths = [path for path in folder.iterdir() if not path.name.startswith(".")]
    return bool(paths) and all(
        path.suffix.lower() in layout.IMAGES and DATE.search(path.stem) for path in paths
    )


def read_dates(image: Path, sensor: Sensor, window: raster.Window | None = None) -> Tensor:
    """Read an image or a series, [T, C, H, W], in the stored dtype. Raises DataError."""
    files = dated_files(image)
    stack = [raster.read_image(path, sensor, window) for path in files]
    for path, pixels in zip(files, stack, strict=True):
        if pixels.shape != stack[0].shape:
            raise DataError(
                f"{path} is {pixels.shape[-2]} x {pixels.shape[-1]} pixels (height x width), "
                f"{files[0].name} of the same series {stack[0].shape[-2]} x {stack[0].shape[-1]}"
            )
    return torch.from_numpy(np.stack(stack))


def series_days(image: Path, sensor: Sensor) -> dict[str, Tensor]:
    """Return the days of a series by its sensor's name; {} for a single file."""
    if not image.is_dir():
        return {}
    return {sensor.name: torch.tensor([day_in_name(path) for path in dated_files(image)])}
