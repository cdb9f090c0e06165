"""Images that are a folder of dated files: a time series, one file a date."""

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


def day_of(path: Path) -> int:
    """Days since 1970-01-01 of the only date in a file's name, as 2019-07-15. Raises DataError."""
    found = DATE.findall(path.stem)
    if len(found) == 1:
        try:
            return datetime.date(*map(int, found[0])).toordinal() - EPOCH
        except ValueError:  # as 2019-02-30
            pass
    raise DataError(f"{path} is in a series, and its name holds no date; expected 2019-07-15.tif")


def files_of(image: Path) -> list[Path]:
    """The files of an image in the order of their dates; of a single file itself.

    Raises DataError where two have the same date.
    """
    if not image.is_dir():
        return [image]
    days: dict[int, Path] = {}
    for path in layout.images_in(image):
        day = day_of(path)
        if day in days:
            raise DataError(f"{path} and {days[day].name} are of the same date; remove one")
        days[day] = path
    return [days[day] for day in sorted(days)]


def is_series(folder: Path) -> bool:
    """Whether a folder holds images, all with a date in their names, and nothing else."""
    paths = [path for path in folder.iterdir() if not path.name.startswith(".")]
    return bool(paths) and all(
        path.suffix.lower() in layout.IMAGES and DATE.search(path.stem) for path in paths
    )


def read(image: Path, sensor: Sensor, window: raster.Window | None = None) -> Tensor:
    """An image or a series, [T, C, H, W] in the stored type. Raises DataError."""
    files = files_of(image)
    stack = [raster.image(path, sensor, window) for path in files]
    for path, pixels in zip(files, stack, strict=True):
        if pixels.shape != stack[0].shape:
            raise DataError(
                f"{path} is {pixels.shape[-2]} x {pixels.shape[-1]} pixels (height x width), "
                f"{files[0].name} of the same series {stack[0].shape[-2]} x {stack[0].shape[-1]}"
            )
    return torch.from_numpy(np.stack(stack))


def days(image: Path, sensor: Sensor) -> dict[str, Tensor]:
    """The days of a series by its sensor's name; {} of a single file."""
    if not image.is_dir():
        return {}
    return {sensor.name: torch.tensor([day_of(path) for path in files_of(image)])}
