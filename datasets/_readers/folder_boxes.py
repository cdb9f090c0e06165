"""A user's own images with boxes: COCO's JSON (upright boxes) or DOTA's texts (oriented ones)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from skybench.core import DataError

from . import folder as _folder
from . import layout
from .boxes import Object


@dataclass(frozen=True)
class Annotated:
    """What a folder with boxes holds."""

    items: tuple[_folder.Item, ...]
    classes: tuple[str, ...]
    objects: Mapping[Path, tuple[Object, ...]]  # by image
    oriented: bool

    def __call__(self, image: Path) -> Sequence[Object]:
        """The objects of an image, as a `_boxes.Reader`."""
        return self.objects[image]

    def __hash__(self) -> int:
        return id(self)


def annotated(about: _folder.Description) -> Annotated:
    """Reads the annotations that the description names. Raises DataError."""
    path = about.root / about.boxes
    if path.is_dir():
        return _texts(about, path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return _coco(about, content)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path} is no annotation file in COCO's form ({error!r}); expected images, "
            "annotations with bbox [x, y, width, height], and categories, or a folder with "
            "DOTA's texts"
        ) from error


def _coco(about: _folder.Description, content: Mapping[str, Any]) -> Annotated:
    categories = {c["id"]: str(c["name"]) for c in content["categories"]}
    classes = about.classes or tuple(categories[i] for i in sorted(categories))
    items, paths = [], {}
    for image in content["images"]:
        split = str(image.get("split", ""))
        path = _located(about, str(image["file_name"]), split)
        key = path.relative_to(about.root).with_suffix("").as_posix().replace("/", "-")
        items.append(_folder.Item(key, split, path, None))
        paths[image["id"]] = path
    if len(paths) < len(items) or len({i.key for i in items}) < len(items):
        raise DataError(f"{about.root / about.boxes} lists an image twice")
    objects: dict[Path, list[Object]] = {path: [] for path in paths.values()}
    for box in content["annotations"]:
        x, y, width, height = map(float, box["bbox"])
        corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
        name, hard = categories[box["category_id"]], bool(box.get("iscrowd"))
        objects[paths[box["image_id"]]].append(Object(name, np.array(corners, np.float32), hard))
    return Annotated(tuple(items), classes, {p: tuple(o) for p, o in objects.items()}, False)


def _located(about: _folder.Description, name: str, split: str) -> Path:
    """The image that a list names, relative to the folder or to where images usually lie.

    Raises DataError where it is missing, may be one of several, or lies outside the folder.
    """
    root, listed = about.root, f"{name}, which {about.boxes} lists,"
    below = ["images", *((split, f"images/{split}", f"{split}/images") if split else ())]
    places = [root] if (root / name).is_file() else [root / place for place in below]
    found = {p.resolve(): p for place in places if (p := place / name).is_file()}
    inside = all(real.is_relative_to(root.resolve()) for real in found)
    if Path(name).is_absolute() or ".." in Path(name).parts or not inside:
        raise DataError(f"{listed} leads out of {root}; put a copy into the folder")
    if not found:
        raise DataError(
            f"{listed} is not there; looked in {root} and, below it, in {', '.join(below)}"
        )
    if len(found) > 1:
        several = " or ".join(p.relative_to(root).as_posix() for p in found.values())
        raise DataError(f"{listed} may be {several}; list it relative to {root}")
    return next(iter(found.values()))


def _texts(about: _folder.Description, folder: Path) -> Annotated:
    images = about.root / "images"
    found = list(layout.images_in(images if images.is_dir() else about.root))
    objects = {image: tuple(read_dota(folder / f"{image.stem}.txt")) for image in found}
    names = {o.name for boxes in objects.values() for o in boxes}
    items = tuple(_folder.Item(image.stem, "", image, None) for image in found)
    return Annotated(items, about.classes or tuple(sorted(names)), objects, True)


def read_dota(path: Path) -> list[Object]:
    """Lines `x1 y1 x2 y2 x3 y3 x4 y4 class [difficult]`; the header's lines are left out.

    Raises DataError with file and line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, ValueError) as error:
        raise DataError(f"{path} cannot be read ({error}); every image needs one") from error
    found = []
    for number, line in enumerate(lines, 1):
        words = line.split()
        if not words or words[0].startswith(("imagesource", "gsd")):
            continue
        try:
            corners = np.array(words[:8], np.float32).reshape(4, 2)
            name, hard = words[8], words[9:] not in ([], ["0"])
        except (ValueError, IndexError):
            raise DataError(
                f"{path}, line {number}: expected 8 numbers and a class, but got {line!r}"
            ) from None
        found.append(Object(name, corners, hard))
    return found
