"""Reads boxes from annotation files in XML: those of DIOR, DIOR-R and FAIR1M."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
import torch
from numpy.typing import NDArray

from skybench.core import Boxes, DataError, DatasetCard, Sample
from skybench.core.dataset import Samples, Split
from skybench.core.fingerprint import fingerprint_keys

from . import raster

# In turn around the box, as the release and mmrotate (datasets/dior.py) have them.
ROTATED = tuple(
    (f"x_{corner}", f"y_{corner}")
    for corner in ("left_top", "right_top", "right_bottom", "left_bottom")
)
UPRIGHT = (("xmin", "ymin"), ("xmax", "ymin"), ("xmax", "ymax"), ("xmin", "ymax"))


class Object(NamedTuple):
    """One annotated object."""

    name: str
    corners: NDArray[np.float32]  # [4, 2] as (x, y) in pixels, in turn around the box
    difficult: bool


Reader = Callable[[Path], Sequence[Object]]


class _Plain(ElementTree.TreeBuilder):
    """Refuses documents that define entities: they can blow up or name other files."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise DataError("it has a DOCTYPE, which no annotation file of the release has")


def parse(path: Path) -> ElementTree.Element:
    """The root of an XML file without DOCTYPE. Raises DataError with the file's name."""
    try:
        return ElementTree.parse(path, ElementTree.XMLParser(target=_Plain())).getroot()
    except (OSError, ElementTree.ParseError, LookupError, ValueError, DataError) as error:
        raise DataError(
            f"{path} cannot be read as an annotation ({error}). Get this file again."
        ) from error


def horizontal(path: Path) -> list[Object]:
    """The objects of a VOC file with <bndbox>, coordinates as they are stored.

    Neither 1 is taken off nor added: github:ViTAE-Transformer/MTP scripts/dior_h_2_coco.py and
    mmrotate's DIORDataset do neither, while mmdet's own VOC converter takes 1 off.
    """
    return list(_voc(path, "bndbox", UPRIGHT))


def oriented(path: Path) -> list[Object]:
    """The objects of a file of DIOR-R with <robndbox>, corners as they are stored."""
    return list(_voc(path, "robndbox", ROTATED))


def _voc(path: Path, tag: str, corners: Sequence[tuple[str, str]]) -> Iterator[Object]:
    for element in parse(path).findall("object"):
        box = element.find(tag)
        if box is None:
            raise DataError(f"{path} has an object without <{tag}>; it is of another release")
        texts = [(box.findtext(x, ""), box.findtext(y, "")) for x, y in corners]
        difficult = (element.findtext("difficult") or "0").strip() not in ("", "0")
        yield Object(_name(path, element, "name"), _corners(path, texts), difficult)


def fine(path: Path) -> list[Object]:
    """The objects of a file of FAIR1M, also of results: closed polygons of 5 points, or 4."""
    found = []
    for element in parse(path).findall("objects/object"):
        if (unit := element.findtext("coordinate", "pixel").strip()) != "pixel":
            raise DataError(f"{path} has coordinates in {unit!r}; expected pixel")
        texts = [(point.text or "").split(",") for point in element.findall("points/point")]
        if len(texts) == 5 and texts[0] == texts[4]:
            del texts[4]
        name = _name(path, element, "possibleresult/name")
        found.append(Object(name, _corners(path, texts), False))
    return found


def _name(path: Path, element: ElementTree.Element, tag: str) -> str:
    name = (element.findtext(tag) or "").strip()
    if not name:
        raise DataError(f"{path} has an object without <{tag}>")
    return name


def _corners(path: Path, texts: Sequence[Sequence[str]]) -> NDArray[np.float32]:
    try:
        corners = np.asarray([[float(x), float(y)] for x, y in texts], np.float32)
    except ValueError:
        corners = np.zeros(0, np.float32)
    if corners.shape != (4, 2) or not np.isfinite(corners).all():
        raise DataError(f"{path} has an object with the points {list(texts)}; expected 4 corners")
    return corners


def numbers(classes: Sequence[str]) -> dict[str, int]:
    """Class ids by name, in the spelling that `boxes` compares."""
    return {_spelled(name): number for number, name in enumerate(classes)}


def _spelled(name: str) -> str:
    return name.lower().replace("-", " ")


def boxes(
    path: Path, objects: Sequence[Object], ids: Mapping[str, int], shape: tuple[int, int]
) -> Boxes:
    """The boxes of an image of this height and width.

    Capitals, spaces and hyphens of class names are alike. Boxes that reach over the edge stay as
    they are; left out are those wholly outside, and those without an area (two neighbouring
    corners are one, or all lie on a line), as MTP leaves them out. Raises DataError for a class
    that is not in `ids`.
    """
    strange = sorted({o.name for o in objects if _spelled(o.name) not in ids})
    if strange:
        raise DataError(
            f"{path} has objects of the class {strange[0]!r}; expected one of {', '.join(ids)}"
        )
    kept = [o for o in objects if _visible(o.corners, shape)]
    corners = np.stack([o.corners for o in kept]) if kept else np.zeros((0, 4, 2), np.float32)
    return Boxes(
        torch.from_numpy(corners),
        torch.tensor([ids[_spelled(o.name)] for o in kept], dtype=torch.int64),
        torch.tensor([o.difficult for o in kept], dtype=torch.bool),
        (int(shape[0]), int(shape[1])),
    )


def _visible(corners: NDArray[np.float32], shape: tuple[int, int]) -> bool:
    sides = np.roll(corners, -1, 0) - corners
    (ax, ay), rest = corners[1] - corners[0], corners[2:] - corners[0]
    flat = not np.any(ax * rest[:, 1] - ay * rest[:, 0])
    inside = (corners.max(0) > 0).all() and (corners.min(0) < shape[::-1]).all()
    return bool(np.any(sides, 1).all() and not flat and inside)


class Item(NamedTuple):
    """An image and its annotation."""

    key: str
    image: Path
    annotation: Path | None  # None: there is none, and no box


class BoxImages(Samples):
    """Whole images uint8 [1, 3, H, W] with their Boxes; nothing is opened before it is read."""

    def __init__(
        self, card: DatasetCard, split: Split, items: Sequence[Item], objects: Reader
    ) -> None:
        """objects: reads an annotation file; `split.sha256` is filled in here."""
        self.card, self.items, self.objects = card, tuple(items), objects
        self.keys = tuple(item.key for item in items)
        if not items:
            raise DataError(f"split {split.name!r} of {card.title} is empty")
        self.files = files_of(items)
        self.split = Split(split.name, split.source, fingerprint_keys(self.keys), split.demo)

    def read(self, index: int) -> Sample:
        item, sensor = self.items[index], self.card.sensors[0]
        pixels = raster.image(item.image, sensor)
        target = target_of(item, self.objects, self.card, pixels.shape[1:])
        return Sample(item.key, {sensor.name: torch.from_numpy(pixels)[None]}, target)


def files_of(items: Sequence[Item]) -> tuple[Path, ...]:
    """The images and annotations of these items."""
    return tuple(path for item in items for path in item[1:] if isinstance(path, Path))


def target_of(item: Item, objects: Reader, card: DatasetCard, shape: Any) -> Boxes:
    """All boxes of an image of this height and width; none where it has no annotation."""
    if item.annotation is None:
        return boxes(item.image, (), {}, shape)
    with raster.reading(item.annotation):
        stamp = item.annotation.stat().st_mtime_ns
    found = _kept(objects, item.annotation, stamp)
    return boxes(item.annotation, found, numbers(card.classes), shape)


@functools.lru_cache(maxsize=4)
def _kept(objects: Reader, path: Path, stamp: int) -> Sequence[Object]:
    """The objects of a file that consecutive tiles share."""
    return objects(path)
