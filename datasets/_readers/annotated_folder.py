"""The images and objects of a user's own folder with boxes, in whichever form they are written."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from skybench.core import DataError

from . import box_layouts, decode, folder
from .boxes import Object, are_visible, class_ids, stack_corners

SHOWN = 3  # files or objects that a message names
SHARES = 1.001  # pixels; where no coordinate is larger, they are shares of the image


class Annotated(NamedTuple):
    """An image with its objects."""

    image: Path
    group: str  # train, val or test, or what a file calls its part; "" where nothing tells it
    objects: tuple[Object, ...]
    source: Path  # the file that holds its annotations
    key: str = ""  # "": see `collect`


@dataclass(frozen=True)
class BoxForm:
    """What the files of a folder say beside the objects."""

    classes: tuple[str, ...]
    oriented: bool
    label_files: tuple[Path, ...]  # all annotation files, lists of splits and lists of classes
    notes: tuple[str, ...] = ()  # what was noticed, a sentence each


@dataclass(frozen=True)
class AnnotatedFolder:
    """The images, classes and objects of a folder with boxes."""

    items: tuple[folder.FolderItem, ...]
    objects: Mapping[Path, tuple[Object, ...]]  # by image
    form: BoxForm

    @property
    def classes(self) -> tuple[str, ...]:
        """Return the names of the classes, in the order of their ids."""
        return self.form.classes

    @property
    def oriented(self) -> bool:
        """Return whether boxes are turned, not upright."""
        return self.form.oriented

    def __call__(self, image: Path) -> Sequence[Object]:
        """Return the objects of an image, as a `boxes.Reader` does."""
        return self.objects[image]

    def __hash__(self) -> int:
        return id(self)


def collect(
    about: folder.FolderDescription, images: Sequence[Annotated], form: BoxForm
) -> AnnotatedFolder:
    """Put images together as a folder: keys, excluded images, objects without area.

    A key is the image's path without suffix and `images`, joined by "-", unless it is given.
    Raises DataError for images of one key, for classes that no one can tell apart, and for an
    object that lies outside of its image.
    """
    _require_distinct_classes(about, form)
    root = about.root
    kept = [
        a for a in images if not about.excludes(_key(root, a), a.image.relative_to(root).as_posix())
    ]
    if not kept:
        raise DataError(f"{about.root} has no image with annotations")
    items = [folder.FolderItem(_key(root, a), a.group, a.image, None) for a in kept]
    twice = [key for key, count in Counter(item.key for item in items).items() if count > 1]
    if twice:
        paths = [str(item.image) for item in items if item.key == twice[0]]
        what = " and ".join(dict.fromkeys(paths))
        raise DataError(f"{about.root} lists an image twice, or two of one name: {what}")
    _require_pixels(kept)
    flat: list[str] = []
    objects = {a.image: tuple(_with_area(a, flat)) for a in kept}
    notes = [*form.notes, *counted("object without area is left out", flat)]
    if not any(objects.values()):
        told = "; ".join(["no image has an object with an area", *notes])
        raise DataError(f"{about.root} has nothing to find: {told}. Add the annotations")
    used = {o.name for own in objects.values() for o in own}
    form = BoxForm(form.classes, form.oriented, form.label_files, tuple(notes))
    if strange := sorted(spelled(form.classes, used)):
        raise DataError(
            f"{about.root} has objects of the class {strange[0]!r}; expected one of "
            f"{', '.join(form.classes)}. Correct its name, or add it to `classes` of skybench.toml"
        )
    return AnnotatedFolder(tuple(sorted(items)), objects, form)


def found_classes(
    about: folder.FolderDescription, names: Iterable[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the described classes, else those of the objects, sorted, and a note about them.

    Names that differ only as `boxes_of` does not see are one class.
    """
    if about.classes:
        return about.classes, ()
    found: dict[str, str] = {}
    same: list[str] = []
    for name in sorted(set(names)):
        (spelling,) = class_ids([name])
        if spelling in found:
            same.append(f"{found[spelling]!r} and {name!r}")
        found.setdefault(spelling, name)
    return tuple(found.values()), counted("class is written in two ways", same)


def spelled(classes: Iterable[str], names: Iterable[str]) -> set[str]:
    """Return the names that are none of the classes, compared without case as in `boxes_of`."""
    known = class_ids(list(classes))
    return {name for name in names if not set(class_ids([name])) <= set(known)}


def count_of(name: str, counts: Mapping[str, int]) -> int:
    """Return the sum of the counts of all spellings of a class."""
    return sum(count for other, count in counts.items() if not spelled([name], [other]))


def _key(root: Path, given: Annotated) -> str:
    parts = given.image.relative_to(root).with_suffix("").parts
    plain = [p for p in parts[:-1] if p not in box_layouts.IMAGE_FOLDERS]
    return given.key or "-".join([*plain, parts[-1]])


def _require_distinct_classes(about: folder.FolderDescription, form: BoxForm) -> None:
    spellings: dict[str, str] = {}
    for name in form.classes:
        if not name.strip():
            raise DataError(f"{about.root} has a class without a name")
        (spelling,) = class_ids([name])
        if spelling in spellings:
            raise DataError(
                f"{about.root} has the classes {spellings[spelling]!r} and {name!r}, which would "
                "count as one: names are compared without case, and a hyphen is like a space. "
                "Rename one, or give all their objects one class"
            )
        spellings[spelling] = name
    if not form.classes:
        raise DataError(
            f"{about.root} has no object, so no class is known; write `classes` in skybench.toml"
        )


def _require_pixels(images: Sequence[Annotated]) -> None:
    """Raise DataError where there are objects, and all coordinates are shares of the image."""
    objects = [(a, o) for a in images for o in a.objects]
    if objects and all((np.abs(o.corners) <= SHARES).all() for _, o in objects):
        given, first = objects[0]
        raise DataError(
            f"{first.origin or given.source}: no coordinate of the {len(objects)} objects is above "
            "1, so these are shares of the width and height; expected pixels. Multiply them by the "
            "size of each image, or write texts of YOLO"
        )


def _with_area(given: Annotated, flat: list[str]) -> Iterator[Object]:
    """Yield the objects with an area; raise DataError for one outside of the image."""
    if not given.objects:
        return
    shape = decode.raster_size(given.image)
    corners = stack_corners(given.objects)
    low, high, visible = corners.min(1), corners.max(1), are_visible(corners, shape)
    outside = (high < 0).any(1) | (low > shape[::-1]).any(1)
    for number, each in enumerate(given.objects):
        what = each.origin or f"{given.source}, object {number + 1}"
        if outside[number]:
            (left, top), (right, bottom) = low[number], high[number]
            raise DataError(
                f"{what} lies outside of its image {given.image.name}: x {left:g} to {right:g}, y "
                f"{top:g} to {bottom:g}, but the image is {shape[1]} x {shape[0]} pixels (width x "
                "height). Was the image resized? Correct or remove it"
            )
        if visible[number]:
            yield each
        else:
            flat.append(what)


def counted(what: str, names: Sequence[str]) -> tuple[str, ...]:
    """Return a note "N x what: names", with some of the names; () for no name.

    >>> counted("text has no image", ["a", "b", "c", "d"])
    ('4 x text has no image: a, b, c, …',)
    """
    if not names:
        return ()
    more = ", …" if len(names) > SHOWN else ""
    return (f"{len(names)} x {what}: {', '.join(names[:SHOWN])}{more}",)


def is_there(path: Path) -> bool:
    """Return whether a path exists; False for what can be no path."""
    try:
        return path.exists()
    except (OSError, ValueError):
        return False


def inside(root: Path, path: Path) -> bool:
    """Return whether a path, links followed, is in a folder."""
    return path.resolve().is_relative_to(root.resolve())


def require_size(what: str, image: Path, stated: tuple[float, float]) -> None:
    """Raise DataError unless an image has the height and width that its annotation states."""
    size = decode.raster_size(image)
    if size != stated:
        turned = " (turned as its EXIF orientation says)" if stated == size[::-1] else ""
        raise DataError(
            f"{what} says that {image.name} is {stated[1]} x {stated[0]} pixels (width x height), "
            f"but {image} is {size[1]} x {size[0]}{turned}, so its boxes are in other pixels. Take "
            "the images that were annotated, or scale the annotations"
        )


def upright(x1: float, y1: float, x2: float, y2: float) -> NDArray[np.float32]:
    """Return the corners, [4, 2], of an upright box."""
    return np.array([(x1, y1), (x2, y1), (x2, y2), (x1, y2)], np.float32)


def read_text(path: Path) -> str:
    """Return a text in UTF-8, with or without byte order mark. Raises DataError."""
    try:
        return path.read_text(encoding="utf-8-sig")
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no text in UTF-8"
        raise DataError(f"{path} cannot be read: {reason}") from error
