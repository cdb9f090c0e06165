"""Reads boxes from the XML annotations of DIOR, DIOR-R and FAIR1M."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple
from xml.etree import ElementTree

import numpy as np
from numpy.typing import NDArray

from skybench.core import Boxes, DataError, DatasetCard, Sample
from skybench.core.dataset import Samples, Split
from skybench.core.fingerprint import fingerprint_keys

from . import decode
from .causes import cause_of

# In turn around the box, as the release and mmrotate (datasets/dior.py) have them.
ROTATED = tuple(
    (f"x_{corner}", f"y_{corner}")
    for corner in ("left_top", "right_top", "right_bottom", "left_bottom")
)
UPRIGHT = (("xmin", "ymin"), ("xmax", "ymin"), ("xmax", "ymax"), ("xmin", "ymax"))


class Object(NamedTuple):
    """An annotated object."""

    name: str
    corners: NDArray[np.float32]  # [4, 2] as (x, y) in pixels, in turn around the box
    difficult: bool
    crowd: bool = False  # a region of many objects, COCO's iscrowd
    origin: str = ""  # where it is written, for messages: "boxes.json, annotation 7"


Reader = Callable[[Path], Sequence[Object]]


class _Plain(ElementTree.TreeBuilder):
    """Refuses documents with a DOCTYPE: entities can expand without bound or name other files."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> None:
        raise DataError("it has a DOCTYPE, which no annotation file of the release has")


def parse_xml(path: Path) -> ElementTree.Element:
    """Parse an XML file without DOCTYPE; return its root. Raises DataError with the file's name."""
    try:
        return ElementTree.parse(path, ElementTree.XMLParser(target=_Plain())).getroot()
    except (OSError, ElementTree.ParseError, LookupError, ValueError, DataError) as error:
        raise DataError(
            f"{path} cannot be read as an annotation ({cause_of(error)}). Get this file again."
        ) from error


def read_voc(path: Path) -> list[Object]:
    """Read the objects of a VOC file with <bndbox>, coordinates as stored.

    No offset of 1 is subtracted or added, as in github:ViTAE-Transformer/MTP
    scripts/dior_h_2_coco.py and mmrotate's DIORDataset; mmdet's own VOC converter subtracts 1.
    """
    return list(_voc(path, "bndbox", UPRIGHT))


def read_dior_r(path: Path) -> list[Object]:
    """Read the objects of a DIOR-R file with <robndbox>, corners as stored."""
    return list(_voc(path, "robndbox", ROTATED))


def _voc(path: Path, tag: str, corners: Sequence[tuple[str, str]]) -> Iterator[Object]:
    for element in parse_xml(path).findall("object"):
        box = element.find(tag)
        if box is None:
            raise DataError(f"{path} has an object without <{tag}>; it is of another release")
        texts = [(box.findtext(x, ""), box.findtext(y, "")) for x, y in corners]
        difficult = (element.findtext("difficult") or "0").strip() not in ("", "0")
        yield Object(_name(path, element, "name"), _corners(path, texts), difficult)


def read_fair1m(path: Path) -> list[Object]:
    """Read the objects of a FAIR1M file, annotation or results: polygons of 4 or 5 points."""
    found = []
    for element in parse_xml(path).findall("objects/object"):
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


def class_ids(classes: Sequence[str]) -> dict[str, int]:
    """Return class ids by normalised class name, as `boxes_of` compares them."""
    return {_spelled(name): number for number, name in enumerate(classes)}


def _spelled(name: str) -> str:
    return name.lower().replace("-", " ")


def boxes_of(
    path: Path, objects: Sequence[Object], ids: Mapping[str, int], shape: tuple[int, int]
) -> Boxes:
    """Return the objects as Boxes of an image of this height and width.

    Class names are compared without case, a hyphen like a space. Boxes across the edge are not
    clipped. Boxes wholly outside and boxes without area (two adjacent corners coincide, or all
    are collinear) are dropped, as MTP does. Raises DataError for a class that is not in `ids`.
    """

    import torch

    strange = sorted({o.name for o in objects if _spelled(o.name) not in ids})
    if strange:
        raise DataError(
            f"{path} has objects of the class {strange[0]!r}; expected one of {', '.join(ids)}"
        )
    corners = stack_corners(objects)
    visible = are_visible(corners, shape)
    kept = [o for o, seen in zip(objects, visible, strict=True) if seen]
    return Boxes(
        torch.from_numpy(corners[visible]),
        torch.tensor([ids[_spelled(o.name)] for o in kept], dtype=torch.int64),
        torch.tensor([o.difficult for o in kept], dtype=torch.bool),
        (int(shape[0]), int(shape[1])),
        torch.tensor([o.crowd for o in kept]) if any(o.crowd for o in kept) else None,
    )


def stack_corners(objects: Sequence[Object]) -> NDArray[np.float32]:
    """Return the corners of all objects, [N, 4, 2]."""
    empty = np.zeros((0, 4, 2), np.float32)
    return np.stack([o.corners for o in objects]) if objects else empty


def are_visible(corners: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return which boxes, [N, 4, 2], have an area and reach into an image of this shape."""
    sides = np.roll(corners, -1, 1) - corners
    (ax, ay), rest = (corners[:, 1] - corners[:, 0]).T, corners[:, 2:] - corners[:, :1]
    flat = ~np.any(ax[:, None] * rest[..., 1] - ay[:, None] * rest[..., 0], 1)
    inside = (corners.max(1) > 0).all(1) & (corners.min(1) < shape[::-1]).all(1)
    return np.asarray(np.any(sides, 2).all(1) & ~flat & inside)


class AnnotatedImage(NamedTuple):
    """An image and its annotation."""

    key: str
    image: Path
    annotation: Path | None  # None: there is none, and no box


class BoxImages(Samples):
    """Whole images uint8 [1, 3, H, W] with their Boxes; files are opened on access only."""

    def __init__(
        self, card: DatasetCard, split: Split, items: Sequence[AnnotatedImage], objects: Reader
    ) -> None:
        """objects: reads an annotation file; `split.sha256` is computed here."""
        self.card, self.items, self.objects = card, tuple(items), objects
        self.keys = tuple(item.key for item in items)
        if not items:
            raise DataError(f"split {split.name!r} of {card.title} is empty")
        self.files = tuple(item.image for item in items)
        self.label_files = annotations_of(items)
        self.split = Split(split.name, split.source, fingerprint_keys(self.keys), split.demo)

    def read(self, index: int) -> Sample:
        import torch

        item, sensor = self.items[index], self.card.sensors[0]
        pixels = decode.read_image(item.image, sensor)
        target = read_boxes(item, self.objects, self.card, pixels.shape[1:])
        return Sample(item.key, {sensor.name: torch.from_numpy(pixels)[None]}, target)

    def target(self, index: int) -> Boxes:
        item = self.items[index]
        return read_boxes(item, self.objects, self.card, decode.raster_size(item.image))


def annotations_of(items: Sequence[AnnotatedImage]) -> tuple[Path, ...]:
    """Return the annotation files of these items, without images that stand for their own."""
    files = (i.annotation for i in items if i.annotation != i.image)
    return tuple(path for path in files if path is not None)


def annotated_files(items: Sequence[AnnotatedImage]) -> tuple[Path, ...]:
    """Return the image and annotation files of these items."""
    return tuple(path for item in items for path in item[1:] if isinstance(path, Path))


def read_boxes(item: AnnotatedImage, objects: Reader, card: DatasetCard, shape: Any) -> Boxes:
    """Return all Boxes of an image of this height and width; none without an annotation."""
    if item.annotation is None:
        return boxes_of(item.image, (), {}, shape)
    found = _kept(objects, item.annotation, decode.stamp(item.annotation))
    return boxes_of(item.annotation, found, class_ids(card.classes), shape)


@functools.lru_cache(maxsize=4)
def _kept(objects: Reader, path: Path, stamp: int) -> Sequence[Object]:
    """Return the objects of a file, cached, as consecutive tiles share it."""
    return objects(path)
