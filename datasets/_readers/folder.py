"""Reads a user's own folder: skybench.toml, groups, images with classes or masks."""

from __future__ import annotations

import fnmatch
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from skybench.core import CONVERT, UINT8, DataError, Sensor, UsageError
from skybench.data.split_lists import stratified_split

from . import dates, layout, raster

PARTS = ("train", "val", "test")
SEED = 0
STEP = 32  # pixels, of the sides of small tiles: the coarsest stride of most networks
RGB = Sensor("hr", ("red", "green", "blue"), 0.0, UINT8)
Colour = tuple[int, int, int]


@dataclass(frozen=True)
class FolderDescription:
    """A folder and the settings of its skybench.toml."""

    root: Path
    classes: tuple[str, ...] = ()
    colours: tuple[Colour, ...] = ()  # of the classes; () where masks hold ids
    ignored_colours: tuple[Colour, ...] = ()
    ignored_ids: tuple[int, ...] = ()
    exclude: tuple[str, ...] = ()
    splits: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    sensor: Sensor = RGB
    change: bool = False  # masks show what changed between two dates
    boxes: str = ""  # COCO's JSON file, or a folder of DOTA's texts


class FolderItem(NamedTuple):
    """An image, or the folder of a series, with its class or its mask."""

    key: str  # "group/stem" with a mask, the path below the root with a class
    group: str  # the folder above images/, or train, val, test; "" where there is none
    image: Path
    mask: Path | None  # None: the class is the name of the image's folder


def describe_folder(root: Path) -> FolderDescription:
    """Read root/skybench.toml, if it exists, or `root`, if it is a file. Raises DataError."""
    path = root if root.is_file() else root / "skybench.toml"
    if not path.is_file():
        return FolderDescription(root)
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        known = {"root", "classes", "ignore", "exclude", "splits", "sensor", "change", "boxes"}
        if strange := sorted(set(table) - known):
            raise DataError(f"unknown key {strange[0]!r}; known: {', '.join(sorted(known))}")
        return _described(path, table)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, DataError) as error:
        reason = f"it has no {error}" if isinstance(error, KeyError) else error
        raise DataError(f"{path} is no usable description of a folder: {reason}") from error


def _described(path: Path, table: Mapping[str, Any]) -> FolderDescription:
    classes, ignore = table.get("classes", []), table.get("ignore", [])
    coloured = isinstance(classes, dict)
    return FolderDescription(
        root=(path.parent / table.get("root", ".")),
        classes=tuple(str(name) for name in classes),
        colours=tuple(_colour(c) for c in classes.values()) if coloured else (),
        ignored_colours=tuple(_colour(c) for c in ignore) if coloured else (),
        ignored_ids=() if coloured else tuple(int(i) for i in ignore),
        exclude=_texts("exclude", table.get("exclude", [])),
        splits={name: _texts(name, entries) for name, entries in table.get("splits", {}).items()},
        sensor=_sensor(table["sensor"]) if "sensor" in table else RGB,
        change=bool(table.get("change", False)),
        boxes=str(table.get("boxes", "")),
    )


def _texts(name: str, given: object) -> tuple[str, ...]:
    if not isinstance(given, list) or not all(isinstance(entry, str) for entry in given):
        raise DataError(f"{name} is {given!r}; expected a list of texts")
    return tuple(given)


def _colour(given: Sequence[int]) -> Colour:
    r, g, b = given
    if not all(isinstance(v, int) and 0 <= v <= 255 for v in (r, g, b)):
        raise DataError(f"{given} is no colour; expected [red, green, blue], each 0 to 255")
    return r, g, b


def _sensor(given: Mapping[str, Any]) -> Sensor:
    units = sorted({unit for pair in CONVERT for unit in pair})
    unit = given.get("unit", UINT8)
    if unit not in units:
        raise DataError(f"unit {unit!r} is not known; known: {', '.join(units)}")
    bands = _texts("bands", given["bands"])
    return Sensor(str(given.get("name", "hr")), bands, float(given.get("gsd", 0)), unit)


def folder_items(about: FolderDescription) -> list[FolderItem]:
    """Return all images that are not excluded, by key. Raises DataError for unpaired files."""
    places = [p for p in layout.folders_below(about.root) if _has_masks(p)]
    found = [item for p in places for item in _with_masks(about, p)]
    if not places:
        found = _with_classes(about)
    return sorted(found)


def _has_masks(place: Path) -> bool:
    return (place / "images").is_dir() and (place / "masks").is_dir()


def _excluded(about: FolderDescription, key: str, image: Path) -> bool:
    names = (key, image.relative_to(about.root).as_posix())
    return any(fnmatch.fnmatchcase(n, pattern) for n in names for pattern in about.exclude)


def _with_masks(about: FolderDescription, place: Path) -> list[FolderItem]:
    group = "" if place == about.root else place.relative_to(about.root).as_posix()
    images, masks = (_by_stem(place / name) for name in ("images", "masks"))
    keys = {stem: f"{group}/{stem}" if group else stem for stem in images | masks}
    kept = [s for s in keys if not _excluded(about, keys[s], images.get(s, masks.get(s, place)))]
    lone = [str(images.get(s) or masks[s]) for s in kept if s not in images or s not in masks]
    if lone:
        raise DataError(
            f"{lone[0]} has no partner ({len(lone)} such files in {place}): images/ and masks/ "
            "must hold files of equal stems; add the partner, or list the file under `exclude`"
        )
    return [FolderItem(keys[s], group, images[s], masks[s]) for s in kept]


def _by_stem(folder: Path) -> dict[str, Path]:
    stems: dict[str, Path] = {}
    for path in _items_in(folder):
        if path.stem in stems:
            raise DataError(
                f"{path.stem} occurs twice in {folder}: {stems[path.stem].name}, {path.name}"
            )
        stems[path.stem] = path
    return stems


def _items_in(folder: Path) -> list[Path]:
    """Return the images directly in a folder, and its subfolders that are time series."""
    series = [p for p in folder.iterdir() if p.is_dir() and dates.is_series(p)]
    return sorted([*layout.images_in(folder), *series])


def _with_classes(about: FolderDescription) -> list[FolderItem]:
    groups = [name for name in PARTS if (about.root / name).is_dir()]
    parts = (
        [(name, about.root / name) for name in groups] if "train" in groups else [("", about.root)]
    )
    paths = [
        (group, path)
        for group, part in parts
        for folder in sorted(part.iterdir())
        if folder.is_dir() and not folder.name.startswith(".")
        for path in _items_in(folder)
    ]
    named = [(path.relative_to(about.root).as_posix(), group, path) for group, path in paths]
    return [FolderItem(k, group, p, None) for k, group, p in named if not _excluded(about, k, p)]


def require_two_dates(about: FolderDescription, items: Sequence[FolderItem]) -> None:
    """Raise DataError unless each image has two dates and there are two classes."""
    if len(about.classes) != 2:
        raise DataError(
            f"{about.root} has {len(about.classes)} classes; with change = true expected two, "
            "unchanged and changed, in this order"
        )
    for item in items:
        if (count := len(dates.dated_files(item.image))) != 2:
            raise DataError(f"{item.image} has {count} dates; with change = true expected two")


def split_members(
    about: FolderDescription, items: Sequence[FolderItem], split: str
) -> tuple[list[FolderItem], str, list[str]]:
    """Return the items of a split, the source of the split, and the names of all splits.

    By [splits] of the description, else by folders train, val, test, else 60/20/20 %,
    stratified by class where there are classes. Raises UsageError, DataError.
    """
    tops = {item.group.split("/")[0] for item in items}
    if about.splits:
        parts, source = _as_described(about, items), "list of the folder: skybench.toml"
    elif "train" in tops and tops <= set(PARTS):
        parts = {
            p: {i.key for i in items if i.group.split("/")[0] == p} for p in PARTS if p in tops
        }
        source = "rule: the folders train, val, test"
    else:
        names = sorted({item.image.parent.name for item in items})
        labels = {i.key: 0 if i.mask else names.index(i.image.parent.name) for i in items}
        cut = stratified_split(labels, (0.6, 0.2, 0.2), SEED)
        parts = {name: set(keys) for name, keys in zip(PARTS, cut, strict=True)}
        source = f"ours: stratified 60/20/20 %, seed {SEED}"
    if split not in parts:
        raise UsageError(f"{about.root} has no split {split!r}. Known: {', '.join(parts)}.")
    return [item for item in items if item.key in parts[split]], source, list(parts)


def tile_side(
    about: FolderDescription, items: Sequence[FolderItem], names: Iterable[str], most: int
) -> int:
    """Return the tile side for all splits: `most`, or less where all images are smaller.

    Then it is the largest side of an image, rounded up to a multiple of 32. Reads headers, until
    an image is as large as `most`.
    """
    side = STEP
    for item in (item for name in names for item in split_members(about, items, name)[0]):
        side = max(side, *raster.raster_size(dates.dated_files(item.image)[0]))
        if side >= most:
            return most
    return -(-side // STEP) * STEP


def _as_described(about: FolderDescription, items: Sequence[FolderItem]) -> dict[str, set[str]]:
    parts: dict[str, set[str]] = {}
    for name, entries in about.splits.items():
        chosen = {entry: set(_matching(about, items, entry)) for entry in entries}
        empty = [entry for entry, keys in chosen.items() if not keys]
        if empty:
            groups = ", ".join(sorted({item.group for item in items} - {""})) or "none"
            raise DataError(
                f"{about.root}: {empty[0]!r}, listed for split {name!r}, matches no image; "
                f"expected a group ({groups}), a path or a pattern"
            )
        parts[name] = set().union(*chosen.values())
        for other, keys in list(parts.items())[:-1]:
            if both := keys & parts[name]:
                raise DataError(
                    f"{about.root}: {min(both)} is in split {other!r} and in {name!r}; an image "
                    "may be in one split only"
                )
    return parts


def _matching(about: FolderDescription, items: Iterable[FolderItem], entry: str) -> list[str]:
    return [
        item.key
        for item in items
        if item.group == entry
        or fnmatch.fnmatchcase(item.key, entry)
        or fnmatch.fnmatchcase(item.image.relative_to(about.root).as_posix(), entry)
    ]
