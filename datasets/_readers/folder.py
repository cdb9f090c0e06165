"""Describes a user's own folder: the settings of its skybench.toml."""

from __future__ import annotations

import fnmatch
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from skybench.core import DataError
from skybench.core.fingerprint import canonical_json

from . import own_sensors

PARTS = ("train", "val", "test")
RGB = own_sensors.RGB
MOST_CLASSES = 254  # of a mask: see `raster.UNKNOWN`
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class FolderDescription:
    """A folder and the settings of its skybench.toml."""

    root: Path
    classes: tuple[str, ...] = ()
    colours: tuple[Colour, ...] = ()  # of the classes; () where masks hold numbers
    values: tuple[int, ...] = ()  # stored numbers of the classes; () where these are 0, 1, 2, …
    ignored_colours: tuple[Colour, ...] = ()
    ignored_ids: tuple[int, ...] = ()
    exclude: tuple[str, ...] = ()
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sensors: tuple[own_sensors.OwnSensor, ...] = (RGB,)  # of each place, one folder each
    change: bool = False  # masks show what changed between two dates
    boxes: str = ""  # a file or folder with boxes; "" where it is found by its name
    images: str = ""  # the name of the folders of images; "" where it is a usual one
    masks: str = ""  # the name of the folders of masks, or a JSON file with COCO's regions
    before: str = ""  # the names of the folders of the first and the second date of pairs
    after: str = ""

    def excludes(self, *names: str) -> bool:
        """Whether a key or path of an image matches an entry of `exclude`."""
        return any(matches(name, entry) for name in names for entry in self.exclude)


def matches(name: str, entry: str) -> bool:
    """Whether a name is an entry of a list, or fits it as a pattern.

    >>> matches("a1.png", "a*.png"), matches("a[1].png", "a[1].png")
    (True, True)
    """
    return name == entry or fnmatch.fnmatchcase(name, entry)


KNOWN = (
    "root", "classes", "ignore", "exclude", "splits", "sensor", "change", "boxes", "images",
    "masks", "before", "after",
)  # fmt: skip


class FolderItem(NamedTuple):
    """An image, or the folder of a series, with its class or its mask."""

    key: str  # "group/stem" with a mask, the path below the root with a class
    group: str  # the folder above images/, or train, val, test; "" where there is none
    image: Path
    mask: Path | None  # None: the class is the name of the image's folder
    after: Path | None = None  # the second image of a pair whose dates are not known


# Settings that the keys of the samples, the names of their files or the card tell as well.
TOLD_ELSEWHERE = frozenset((
    "root", "splits", "exclude", "boxes", "images", "masks", "before", "after", "sensors",
))  # fmt: skip


def label_settings(about: FolderDescription) -> str:
    """Return the settings by which labels are read, where stated, as canonical JSON."""
    usual = asdict(FolderDescription(about.root))
    stated = {n: v for n, v in asdict(about).items() if n not in TOLD_ELSEWHERE and v != usual[n]}
    return canonical_json(stated)


def describe_folder(root: Path) -> FolderDescription:
    """Read root/skybench.toml, if it exists, or `root`, if it is a file. Raises DataError."""
    path = root if root.is_file() else root / "skybench.toml"
    if not path.is_file():
        return FolderDescription(root)
    try:
        return _described(path, _table(path))
    except DataError as error:
        raise DataError(f"{path} is no usable description of a folder: {error}") from error


def _table(path: Path) -> Mapping[str, Any]:
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise DataError(f"it cannot be read ({error.strerror})") from error
    except RecursionError as error:
        raise DataError("its lists are nested too deeply") from error
    except UnicodeDecodeError as error:
        raise DataError("it is no text in UTF-8; save it as UTF-8 in your editor") from error
    except ValueError as error:  # no TOML
        raise DataError(str(error)) from error
    if strange := sorted(set(table) - {*KNOWN}):
        raise DataError(f"unknown key {strange[0]!r}; known: {', '.join(sorted(KNOWN))}")
    return table


def _described(path: Path, table: Mapping[str, Any]) -> FolderDescription:
    classes, colours, values = _classes(table.get("classes", []))
    ignore = table.get("ignore", [])
    if not isinstance(ignore, list):
        raise DataError(f"ignore is {ignore!r}; expected a list")
    about = FolderDescription(
        root=path.parent / _text("root", table.get("root", ".")),
        classes=classes,
        colours=colours,
        values=values,
        ignored_colours=tuple(_colour(c) for c in ignore) if colours else (),
        ignored_ids=() if colours else tuple(_number("ignore", i) for i in ignore),
        exclude=_texts("exclude", table.get("exclude", [])),
        splits=_splits(table.get("splits", {})),
        sensors=own_sensors.parse_sensors(table["sensor"]) if "sensor" in table else (RGB,),
        change=_boolean("change", table.get("change", False)),
        **{name: _inside(name, table.get(name, "")) for name in _PLACES},
    )
    both = {*about.ignored_colours} & {*colours} or {*about.ignored_ids} & {*values}
    if both:
        raise DataError(f"{min(both)} stands for a class, and `ignore` leaves it out")
    if bool(about.before) != bool(about.after):
        raise DataError("`before` and `after` belong together; give both")
    return about


_PLACES = ("boxes", "images", "masks", "before", "after")


def _classes(given: object) -> tuple[tuple[str, ...], tuple[Colour, ...], tuple[int, ...]]:
    """Return the names of the classes with their colours, or their stored numbers, or neither."""
    if not isinstance(given, dict):
        names, stored = _texts("classes", given), list[object]()
    else:
        names, stored = tuple(given), list(given.values())
    coloured = bool(stored) and isinstance(stored[0], list)
    colours = tuple(_colour(c) for c in stored) if coloured else ()
    values = () if coloured else tuple(_number("a class", v) for v in stored)
    for what in (names, colours, values):
        twice = next((v for n, v in enumerate(what) if v in what[:n]), None)
        if twice is not None:
            raise DataError(f"{twice!r} stands twice in classes")
    if len(names) > MOST_CLASSES:
        raise DataError(f"it has {len(names)} classes; expected at most {MOST_CLASSES}")
    return names, colours, values


def _splits(given: object) -> dict[str, tuple[str, ...]]:
    if not isinstance(given, dict):
        raise DataError(f"splits is {given!r}; expected a table such as train = ['tile1']")
    for name, entries in given.items():
        if isinstance(entries, list) and not entries:
            raise DataError(f"split {name!r} lists nothing; leave it out, or list its images")
    return {name: _texts(name, entries) for name, entries in given.items()}


def _text(name: str, given: object) -> str:
    if not isinstance(given, str) or "\0" in given:
        raise DataError(f"{name} is {given!r}; expected a text")
    return given


def _inside(name: str, given: object) -> str:
    """Return a name of a file or folder that lies in the described one. Raises DataError."""
    text = _text(name, given)
    if Path(text).is_absolute() or ".." in Path(text).parts:
        raise DataError(f"{name} is {text!r}, which leads out of the folder; expected a name in it")
    return text


def _boolean(name: str, given: object) -> bool:
    if not isinstance(given, bool):
        raise DataError(f"{name} is {given!r}; expected true or false")
    return given


def _texts(name: str, given: object) -> tuple[str, ...]:
    if not isinstance(given, list) or not all(isinstance(entry, str) for entry in given):
        raise DataError(f"{name} is {given!r}; expected a list of texts")
    return tuple(given)


def _number(name: str, given: object) -> int:
    if not isinstance(given, int) or isinstance(given, bool):
        raise DataError(
            f"{name} is given as {given!r}; expected a whole number where masks hold numbers, "
            "[red, green, blue] for all where they hold colours"
        )
    return given


def _colour(given: object) -> Colour:
    channels = tuple(given) if isinstance(given, list) else ()
    if len(channels) != 3 or not all(type(v) is int and 0 <= v <= 255 for v in channels):
        raise DataError(f"{given!r} is no colour; expected [red, green, blue], each 0 to 255")
    return channels[0], channels[1], channels[2]
