"""Finds the images of several sensors of one place, and reads them together."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from skybench.core import DataError, Sensor

from . import dates, decode, layout
from .own_sensors import OwnSensor

if TYPE_CHECKING:
    from torch import Tensor

ROLE = re.compile(r"(hr|s2|s1)[a-z]?")  # of sensors, by which models find their inputs
Place = Mapping[str, Path]  # sensor -> its image, or the folder of its series


def first_folder(root: Path, sensors: Sequence[Sensor]) -> Path:
    """Return the folder with the first sensor's images: `root`, where there is one sensor.

    Raises DataError where it is missing.
    """
    first = sensors[0]
    if len(sensors) == 1 or not isinstance(first, OwnSensor):
        return root
    for sensor in sensors:
        if isinstance(sensor, OwnSensor) and not (root / sensor.folder).is_dir():
            raise DataError(
                f"{root} has no folder {sensor.folder}/ of the sensor {sensor.name}; it holds "
                f"{layout.names_in(root)}. Name it by folder = … under [sensor.{sensor.name}]"
            )
    return root / first.folder


def find_places(images: Iterable[Path], sensors: Sequence[Sensor]) -> dict[Path, Place]:
    """Return the images of all sensors by the first sensor's image, or series.

    They have its path, with the sensor's folder in the place of the first one's, and its stem.
    Raises DataError where one is missing.
    """
    own = [sensor for sensor in sensors if isinstance(sensor, OwnSensor)]
    if len(own) < 2:
        return {image: {sensors[0].name: image} for image in images}
    listed: dict[Path, dict[str, Path]] = {}
    return {
        image: {
            own[0].name: image,
            **{sensor.name: _partner(image, own[0], sensor, listed) for sensor in own[1:]},
        }
        for image in images
    }


def _partner(
    image: Path, first: OwnSensor, sensor: OwnSensor, listed: dict[Path, dict[str, Path]]
) -> Path:
    parts, name = image.parent.parts, Path(first.folder).parts
    starts = [i for i in range(len(parts)) if parts[i : i + len(name)] == name]
    if not starts:
        raise DataError(f"{image} does not lie in the folder {first.folder}/ of {first.name}")
    at = starts[-1]
    folder = Path(*parts[:at], sensor.folder, *parts[at + len(name) :])
    if folder not in listed:
        listed[folder] = _by_stem(folder)
    if (found := listed[folder].get(image.stem)) is None:
        raise DataError(
            f"{image} has no partner of the sensor {sensor.name}: {folder} holds no image of the "
            f"name {image.stem}; add it, or list the image under `exclude`"
        )
    return found


def _by_stem(folder: Path) -> dict[str, Path]:
    if not folder.is_dir():
        return {}
    series = [p for p in layout.folders_in(folder) if not p.name.startswith(".")]
    return {p.stem: p for p in (*series, *layout.images_in(folder))}


def files_of(places: Iterable[Place]) -> tuple[Path, ...]:
    """Return the image files of places, of all dates and sensors."""
    images = itertools.chain.from_iterable(place.values() for place in places)
    return tuple(file for image in images for file in dates.dated_files(image))


def notes_of(places: Iterable[Place], sensors: Sequence[Sensor]) -> tuple[str, ...]:
    """Return what is done to the images besides reading them, a sentence each."""
    places = list(places)
    found = {s.name: dates.notes_of([p[s.name] for p in places], s) for s in sensors}
    if len(sensors) == 1:
        return found[sensors[0].name]
    unknown = [s.name for s in sensors if isinstance(s, OwnSensor) and not ROLE.fullmatch(s.name)]
    named = [
        f"the sensor {name} is read only by models with an input of that name; others find their "
        "inputs as hr, s2 and s1 (also s1a): name it so, and its folder by `folder`"
        for name in unknown
    ]
    return (*named, *(f"{name}: {note}" for name, notes in found.items() for note in notes))


def read_place(
    place: Place, sensors: Sequence[Sensor], needs: Callable[[str], bool]
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return images, [T, C, H, W], and days of series by sensor. Raises DataError."""
    used = [s for s in sensors if needs(s.name)]
    images = {s.name: dates.read_dates(place[s.name], s) for s in used}
    return images, _days(place, used)


def read_tile(
    place: Place,
    sensors: Sequence[Sensor],
    needs: Callable[[str], bool],
    window: decode.Window,
    side: int,
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Return the same of a window of the first sensor, padded below and right with 0 to `side`.

    A finer sensor's window and side are larger by the ratio of the images' heights.
    """
    from torch.nn import functional as F

    used = [s for s in sensors if needs(s.name)]
    images = {}
    for sensor in used:
        path, rate = place[sensor.name], 1
        if len(sensors) > 1:
            rate = finer_by(place[sensors[0].name], path)
        part = decode.Window(*(rate * edge for edge in window))
        pixels = dates.read_dates(path, sensor, part)
        pad = rate * side - part.width, rate * side - part.height
        images[sensor.name] = F.pad(pixels, (0, pad[0], 0, pad[1])) if any(pad) else pixels
    return images, _days(place, used)


def _days(place: Place, sensors: Iterable[Sensor]) -> dict[str, Tensor]:
    found: dict[str, Tensor] = {}
    for sensor in sensors:
        found |= dates.series_days(place[sensor.name], sensor)
    return found


def finer_by(first: Path, other: Path) -> int:
    """Return how many times finer an image is than the first sensor's. Raises DataError."""
    (height, width), (rows, columns) = (
        decode.raster_size(dates.dated_files(image)[0]) for image in (first, other)
    )
    rate = rows // height
    if rate < 1 or (rows, columns) != (rate * height, rate * width):
        raise DataError(
            f"{other} is {rows} x {columns} pixels (height x width), {first} of the same place "
            f"{height} x {width}; expected the same size, or a multiple of it. Resample one of them"
        )
    return rate
