"""Recognises by their names where the images, the masks and the pairs of a folder lie."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import NamedTuple

from skybench.core import DataError

from . import dates, layout
from .box_layouts import PART_NAMES
from .folder import FolderDescription

# Usual names of folders, in lower case.
IMAGE_WORDS = frozenset(
    {"images", "image", "imgs", "img", "img_dir", "image_dir", "images_dir", "jpegimages"}
    | {"rgb", "sat", "satellite"}
)
MASK_WORDS = frozenset(
    {"masks", "mask", "mask_dir", "labels", "label", "label_dir", "gt", "gts", "ground_truth"}
    | {"groundtruth", "annotations", "annotation", "ann_dir", "segmentationclass"}
    | {"segmentation", "segmentations"}
)
CHANGE_WORDS = MASK_WORDS | {"change", "changes", "change_mask", "change_masks", "cm", "out"}
DATE_WORDS = (
    ("a", "b"), ("before", "after"), ("pre", "post"), ("t1", "t2"), ("im1", "im2"),
    ("img1", "img2"), ("image1", "image2"), ("time1", "time2"), ("date1", "date2"),
    ("pre_event", "post_event"), ("pre-event", "post-event"),
)  # fmt: skip
# Names that say what a folder holds, and never what is to be seen on its images.
LAYOUT_WORDS = (IMAGE_WORDS | MASK_WORDS) - {"rgb", "sat", "satellite"} | {
    "labeltxt", "imagesets", "segmentationobject", "annfiles", "bboxes", "boxes",
}  # fmt: skip
NUMBERED = re.compile(r"_?\d+$")  # as in image_2 and label_2, by camera or date
IMAGE_ENDING = re.compile(r"[_-](images?|img|sat|rgb|photo)$", re.IGNORECASE)
MASK_ENDING = re.compile(r"[_-](masks?|labels?|gt|seg|segmentation|groundtruth)$", re.IGNORECASE)


def is_layout_word(name: str) -> bool:
    """Whether a folder's name says what it holds, as images, labels or image_2.

    >>> is_layout_word("Image_2"), is_layout_word("river"), is_layout_word("7")
    (True, False, False)
    """
    return NUMBERED.sub("", name.lower()) in LAYOUT_WORDS


SURE = ("masks", "mask")  # of folders by other names, one mask must have an image's name


class Place(NamedTuple):
    """Folders that hold images and their masks, or pairs of images and their masks."""

    group: str  # the path below the root, without the names of these folders; "" for the root
    images: Path
    masks: Path
    after: Path | None = None  # the folder of the second date


def mask_places(about: FolderDescription) -> list[Place]:
    """Return all folders of images with masks, and of pairs with masks. Raises DataError.

    They have the names of the description, or usual ones, as images/ and masks/, A/, B/ and
    label/. Folders of equal names below them are places of their own, as images/train.
    """
    if about.masks.lower().endswith(".json"):
        return []
    found: list[Place] = []
    for folder in layout.folders_below(about.root):
        if place := _place(about, folder):
            found += _with_subfolders(place)
    wanted = [n for n in (about.images, about.masks, about.before, about.after) if n]
    if wanted and not found:
        raise DataError(
            f"{about.root} has no folders {' and '.join(wanted)} beside each other with images of "
            f"equal names; it holds {layout.names_in(about.root)}"
        )
    return found


def _place(about: FolderDescription, folder: Path) -> Place | None:
    below = {p.name.lower(): p for p in layout.folders_in(folder)}
    group = "" if folder == about.root else folder.relative_to(about.root).as_posix()
    pair = _dates(about, folder, below)
    masks = _masks(about, folder, below, CHANGE_WORDS if pair else MASK_WORDS)
    if pair and masks:
        return Place(group, pair[0], _one(about, masks, "masks"), pair[1])
    own = about.images or (about.sensors[0].folder if len(about.sensors) > 1 else "")
    named = _named(folder, own) if own else [below[n] for n in sorted(IMAGE_WORDS & {*below})]
    images = [p for p in named if p not in masks and _holds_images(p)]
    if not about.masks:  # by a usual name, as annotations/, which may hold other pictures
        masks = [p for p in masks if p.name.lower() in SURE or any(_share(i, p) for i in images)]
    if not images or not masks:
        return None
    return Place(group, _one(about, images, "images"), _one(about, masks, "masks"))


def _dates(
    about: FolderDescription, folder: Path, below: dict[str, Path]
) -> tuple[Path, Path] | None:
    """Return the folders of the first and the second date."""
    if about.before:
        found = [*_named(folder, about.before), *_named(folder, about.after)]
        return (found[0], found[1]) if len(found) == 2 else None
    named = ((below.get(a), below.get(b)) for a, b in DATE_WORDS)
    return next(((a, b) for a, b in named if a and b and _holds_images(a)), None)


def _masks(
    about: FolderDescription, folder: Path, below: dict[str, Path], words: frozenset[str]
) -> list[Path]:
    if about.masks:
        return _named(folder, about.masks)
    found = [below[name] for name in sorted(words & {*below}) if _holds_images(below[name])]
    usual = [p for p in found if p.name == "masks"]  # beside it, labels/ may hold something else
    return usual or found


def _named(folder: Path, name: str) -> list[Path]:
    return [folder / name] if name and (folder / name).is_dir() else []


def _one(about: FolderDescription, found: list[Path], key: str) -> Path:
    if len(found) > 1:
        names = [p.name for p in found]
        raise DataError(
            f"{found[0].parent} has several folders that may hold the {key}: {', '.join(names)}; "
            f'write the right one into skybench.toml, as {key} = "{names[0]}"'
        )
    return found[0]


def _holds_images(folder: Path) -> bool:
    below = layout.folders_below(folder)
    return any(next(layout.images_in(place), None) is not None for place in below)


def _share(images: Path, masks: Path) -> bool:
    """Whether an image and a mask have a name in common, in the folders or their subfolders."""
    stems = {path.stem for path in items_in(images)}
    names = names_for_masks(stems)
    if any(image_stem(path, names) in stems for path in layout.images_in(masks)):
        return True
    below = ((p, masks / p.name) for p in visible_folders(images))
    return any(_share(p, other) for p, other in below if other.is_dir())


def _with_subfolders(place: Place) -> Iterator[Place]:
    """Yield a place, and the folders in it that its images and its masks have in common."""
    folders = [f for f in (place.images, place.masks, place.after) if f]
    yield place
    for below in layout.folders_in(place.images):
        inside = [f / below.name for f in folders]
        if not below.name.startswith(".") and all(f.is_dir() for f in inside):
            group = f"{place.group}/{below.name}" if place.group else below.name
            yield from _with_subfolders(Place(group, *inside))


def part_folders(root: Path) -> dict[Path, str]:
    """Return the folders train, val and test, by whatever usual names, that hold class folders."""
    return {
        folder: PART_NAMES[folder.name.lower()]
        for folder in visible_folders(root)
        if folder.name.lower() in PART_NAMES
        and any(_holds_images(below) for below in visible_folders(folder))
        and next(layout.images_in(folder), None) is None
    }


def part_in(group: str) -> str:
    """Return train, val or test where a part of a path has a usual name of these, else "".

    >>> part_in("train"), part_in("city/valid/north"), part_in("city")
    ('train', 'val', '')
    """
    named = (PART_NAMES.get(name.lower(), "") for name in group.split("/"))
    return next(filter(None, named), "")


def visible_folders(folder: Path) -> list[Path]:
    """Return the folders in a folder that are not hidden, by name."""
    hidden = (*layout.HIDDEN, "__")  # also __MACOSX
    return [p for p in layout.folders_in(folder) if not p.name.startswith(hidden)]


def items_in(folder: Path, masks: Path | None = None) -> list[Path]:
    """Return the images directly in a folder, and its subfolders that are time series.

    A series has one mask: what is a folder in `masks` as well holds images with a mask each,
    though all have dates in their names.
    """
    below = [p for p in visible_folders(folder) if not (masks and (masks / p.name).is_dir())]
    series = [p for p in below if p.name.lower() not in PART_NAMES and dates.is_series(p)]
    return sorted([*layout.images_in(folder), *series])


def names_for_masks(stems: Iterable[str]) -> dict[str, str]:
    """Return the stems of images by the names that masks may have: with and without _image."""
    known = list(stems)
    return {IMAGE_ENDING.sub("", stem): stem for stem in known} | {stem: stem for stem in known}


def image_stem(mask: Path, names: Mapping[str, str]) -> str:
    """Return the stem of a mask's image: its own, or without an ending such as _mask.

    names: of `names_for_masks`.
    """
    bare = MASK_ENDING.sub("", mask.stem)
    return names.get(mask.stem, names.get(bare, mask.stem))


def masks_beside(images: Iterable[Path]) -> dict[Path, Path]:
    """Return the images of one folder that look like masks of others, as a_mask.png of a.png."""
    paths = {path.stem: path for path in images}
    names = names_for_masks(stem for stem in paths if not MASK_ENDING.search(stem))
    found = ((path, image_stem(path, names)) for path in paths.values())
    return {path: paths[stem] for path, stem in found if stem != path.stem}
