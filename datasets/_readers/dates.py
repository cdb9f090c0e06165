"""Reads time series: folders with one dated file for each date."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from skybench.core import DataError, Sensor
from skybench.data import once

from . import decode, layout, name_dates, own_images, own_notes
from .own_sensors import OwnSensor

if TYPE_CHECKING:
    from torch import Tensor


def dated_files(image: Path) -> list[Path]:
    """Return the files of a series in the order of their dates; a single file alone.

    Raises DataError where a name holds no date, or two have the same.
    """
    return [*_dated(image)] if image.is_dir() else [image]


def _dated(folder: Path) -> dict[Path, int]:
    """Return the files of a series with their days, in the order of the days."""
    days = name_dates.days_in_names(list(layout.images_in(folder))).days
    order = sorted(days, key=lambda path: days[path])
    for first, second in itertools.pairwise(order):
        if days[first] == days[second]:
            raise DataError(f"{second} and {first.name} are of the same date; remove one")
    return {path: days[path] for path in order}


def is_series(folder: Path) -> bool:
    """Return whether a folder holds images with dates in their names, and no folders."""
    if any(not path.name.startswith(".") for path in layout.folders_in(folder)):
        return False
    names = (name for name in once.list_folder(folder).every if not name.startswith("."))
    paths = (folder / name for name in names)
    return name_dates.have_dates([p for p in paths if p.suffix.lower() in layout.IMAGES])


def notes_of(images: Iterable[Path], sensor: Sensor) -> tuple[str, ...]:
    """Return what was assumed about the files and the dates of images, a sentence each."""
    if not isinstance(sensor, OwnSensor):
        return ()
    images = list(images)
    folders = [image for image in images if image.is_dir()]
    assumed = {
        name_dates.days_in_names(list(layout.images_in(folder))).note for folder in folders
    } - {""}
    files = [file for image in images for file in dated_files(image)]
    return (*sorted(assumed), *own_notes.notes_of(files, sensor))


def read_dates(image: Path, sensor: Sensor, window: decode.Window | None = None) -> Tensor:
    """Read an image or a series, [T, C, H, W], in the stored dtype. Raises DataError."""

    import torch

    files = dated_files(image)
    stack = [own_images.read_any(path, sensor, window) for path in files]
    for path, pixels in zip(files, stack, strict=True):
        if pixels.shape != stack[0].shape:
            raise DataError(
                f"{path} is {pixels.shape[-2]} x {pixels.shape[-1]} pixels (height x width), "
                f"{files[0].name} of the same series {stack[0].shape[-2]} x {stack[0].shape[-1]}"
            )
    return torch.from_numpy(np.stack(stack))


def series_days(image: Path, sensor: Sensor) -> dict[str, Tensor]:
    """Return the days of a series by its sensor's name; {} for a single file."""

    import torch

    return {sensor.name: torch.tensor([*_dated(image).values()])} if image.is_dir() else {}
