"""Reads boxes of a user's own images: COCO JSON (upright) or DOTA text files (oriented)."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from skybench.core import DataError

from . import folder, layout
from .boxes import Object


@dataclass(frozen=True)
class AnnotatedFolder:
    """The images, classes and objects of a folder with boxes."""

    items: tuple[folder.FolderItem, ...]
    classes: tuple[str, ...]
    objects: Mapping[Path, tuple[Object, ...]]  # by image
    oriented: bool

    def __call__(self, image: Path) -> Sequence[Object]:
        """Return the objects of an image, as a `boxes.Reader` does."""
        return self.objects[image]

    def __hash__(self) -> int:
        return id(self)


def read_annotations(about: folder.FolderDescription) -> AnnotatedFolder:
    """Read the annotations that the description names. Raises DataError."""
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


def _coco(about: folder.FolderDescription, content: Mapping[str, Any]) -> AnnotatedFolder:
    categories = {c["id"]: str(c["name"]) for c in content["categories"]}
    classes = about.classes or tuple(categories[i] for i in sorted(categories))
    items, paths = [], {}
    for image in content["images"]:
        split = str(image.get("split", ""))
        path = _located(about, str(image["file_name"]), split)
        key = path.relative_to(about.root).with_suffix("").as_posix().replace("/", "-")
        items.append(folder.FolderItem(key, split, path, None))
        paths[image["id"]] = path
    if len(paths) < len(items) or len({i.key for i in items}) < len(items):
        raise DataError(f"{about.root / about.boxes} lists an image twice")
    objects: dict[Path, list[Object]] = {path: [] for path in paths.values()}
    for box in content["annotations"]:
        x, y, width, height = map(float, box["bbox"])
        corners = [(x, y), (x + width, y), (x + width, y + height), (x, y + height)]
        name, hard = categories[box["category_id"]], bool(box.get("iscrowd"))
        objects[paths[box["image_id"]]].append(Object(name, np.array(corners, np.float32), hard))
    return AnnotatedFolder(tuple(items), classes, {p: tuple(o) for p, o in objects.items()}, False)


def _located(about: folder.FolderDescription, name: str, split: str) -> Path:
    """Find a listed image, relative to the folder or to the usual folders of images.

    Raises DataError where it is missing, ambiguous, or outside of the folder.
    """
    root, listed = about.root, f"{name}, which {about.boxes} lists,"
    below = ["images", *((split, f"images/{split}", f"{split}/images") if split else ())]
    places = [root] if (root / name).is_file() else [root / place for place in below]
    matches = {p.resolve(): p for place in places if (p := place / name).is_file()}
    inside = all(real.is_relative_to(root.resolve()) for real in matches)
    if Path(name).is_absolute() or ".." in Path(name).parts or not inside:
        raise DataError(f"{listed} leads out of {root}; put a copy into the folder")
    if not matches:
        raise DataError(
            f"{listed} is not there; looked in {root} and, below it, in {', '.join(below)}"
        )
    if len(matches) > 1:
        several = " or ".join(p.relative_to(root).as_posix() for p in matches.values())
        raise DataError(f"{listed} may be {several}; list it relative to {root}")
    return next(iter(matches.values()))


def _texts(about: folder.FolderDescription, labels: Path) -> AnnotatedFolder:
    images = about.root / "images"
    paths = list(layout.images_in(images if images.is_dir() else about.root))
    objects = {image: tuple(read_dota(labels / f"{image.stem}.txt")) for image in paths}
    names = {o.name for boxes in objects.values() for o in boxes}
    items = tuple(folder.FolderItem(image.stem, "", image, None) for image in paths)
    return AnnotatedFolder(items, about.classes or tuple(sorted(names)), objects, True)


def read_dota(path: Path) -> list[Object]:
    """Read lines `x1 y1 x2 y2 x3 y3 x4 y4 class [difficult]`; header lines are skipped.

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
