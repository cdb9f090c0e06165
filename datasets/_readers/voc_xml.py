"""Reads boxes of a user's own images from XML files: those of VOC, and CVAT's annotations.xml."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from xml.etree.ElementTree import Element

import numpy as np
from numpy.typing import NDArray

from skybench.core import DataError

from . import annotated_folder, folder, label_texts, layout, listed_images
from .annotated_folder import Annotated, AnnotatedFolder, BoxForm
from .boxes import Object, parse_xml

CORNERS = ("xmin", "ymin", "xmax", "ymax")
CVAT_CORNERS = ("xtl", "ytl", "xbr", "ybr")
NOT_DIFFICULT = ("", "0", "false", "no", "unspecified")
SKIPPED = ("tag", "box", "mask", "polygon")  # the first is of the whole image
LISTS = {"train": ("train", "trainval"), "val": ("val",), "test": ("test",)}


def read_voc_folder(about: folder.FolderDescription, folders: Sequence[Path]) -> AnnotatedFolder:
    """Read an XML file for each image, `bndbox` in pixels.

    As in VOC, pixels count from 1 and a box holds its last pixel: xmin 1, xmax 40 is 40 pixels
    wide and begins at the edge. Where a file of the folder has a coordinate below 1, or one that is
    no whole number, all are read as counted from 0. Which one is among the notes. Raises DataError
    that names the file.
    """
    files = [path for place in folders for path in layout.files_with(place, ".xml")]
    images = _by_stem(about.root)
    parts, lists = _parts(about.root)
    found: list[Annotated] = []
    lone: list[str] = []
    for path in files:
        image = _image_of(path, images)
        if image is None:
            lone.append(str(path))
            continue
        group = parts.get(path.stem, "") if parts else label_texts.group_of(about.root, image)
        found.append(Annotated(image, group, tuple(_objects(path, image)), path))
    if parts:
        found = [each for each in found if each.source.stem in parts]
    bare = {i for own in images.values() for i in own} - {each.image for each in found}
    start = 0.0 if any(_counts_from_0(o) for each in found for o in each.objects) else 1.0
    notes = (
        f"coordinates of VOC are counted from {start:g}",
        *annotated_folder.counted("annotation has no image", lone),
        *annotated_folder.counted(
            "image has no annotation, or is in no list, and is left out", sorted(map(str, bare))
        ),
    )
    found = [each._replace(objects=tuple(_moved(each.objects, start))) for each in found]
    names = (o.name for each in found for o in each.objects)
    classes, told = annotated_folder.found_classes(about, names)
    read = (*(each.source for each in found), *lists)
    form = BoxForm(classes, False, read, (*notes, *told))
    return annotated_folder.collect(about, found, form)


def _counts_from_0(one: Object) -> bool:
    return bool((one.corners < 1).any() or (one.corners % 1).any())


def _by_stem(root: Path) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = {}
    for path in label_texts.all_images(root):
        found.setdefault(path.stem, []).append(path)
    return found


def _image_of(path: Path, images: Mapping[str, list[Path]]) -> Path | None:
    """Return the image with the stem of an XML file; of several the one nearest to it."""
    several = images.get(path.stem, [])
    beside = [p for p in several if p.parent == path.parent]
    near = [p for p in several if p.parent.parent == path.parent.parent]
    several = (beside or near or several) if len(several) > 1 else several
    if len(several) > 1:
        raise DataError(
            f"{path} may be of {' or '.join(str(p) for p in several)}; give images different names"
        )
    return several[0] if several else None


def _parts(root: Path) -> tuple[dict[str, str], tuple[Path, ...]]:
    """Return the part of each stem by ImageSets/Main, and the lists; {} where there are none."""
    place, parts, lists = root / "ImageSets" / "Main", dict[str, str](), []
    for part, names in LISTS.items():
        path = next((p for n in names if (p := place / f"{n}.txt").is_file()), None)
        if path is None:
            continue
        lists.append(path)
        for line in annotated_folder.read_text(path).splitlines():
            stem = Path(line.split()[0]).name if line.split() else ""
            if stem and parts.setdefault(stem, part) != part:
                raise DataError(f"{place} lists {stem} for {parts[stem]} and for {part}")
    return parts, tuple(lists)


def _objects(path: Path, image: Path) -> Iterator[Object]:
    root = parse_xml(path)
    if root.tag != "annotation":
        raise DataError(f"{path} begins with <{root.tag[:60]}>; expected <annotation>, as of VOC")
    stated = [root.findtext(f"size/{side}", "0").strip() for side in ("height", "width")]
    if all(side.isdecimal() and int(side) for side in stated):
        annotated_folder.require_size(str(path), image, (int(stated[0]), int(stated[1])))
    for number, element in enumerate(root.iter("object"), 1):
        what, box = f"{path}, object {number}", element.find("bndbox")
        if box is None:
            raise DataError(f"{what} has no <bndbox>; only upright boxes are read from VOC's files")
        corners = annotated_folder.upright(*_numbers(what, {n: box.findtext(n) for n in CORNERS}))
        hard = (element.findtext("difficult") or "").strip().lower() not in NOT_DIFFICULT
        yield Object(_name(what, element.findtext("name")), corners, hard, origin=what)


def _moved(objects: Sequence[Object], start: float) -> Iterator[Object]:
    """Yield objects whose first pixel is 0 and whose right and lower sides hold the last pixel."""
    steps = np.array([(start, start), (0, start), (0, 0), (start, 0)], np.float32)
    yield from (each._replace(corners=each.corners - steps) for each in objects)


def _numbers(what: str, texts: Mapping[str, str | None], sides: bool = False) -> list[float]:
    """Return the numbers of a box; sides: the last two are width and height, not a corner."""
    try:
        values = [float(text or "") for text in texts.values()]
    except ValueError:
        values = [math.nan]
    usable = all(abs(value) < 1e9 for value in values)
    low = (0.0, 0.0) if sides else (*values[:2],)
    if not usable or values[2] < low[0] or values[3] < low[1]:
        told = ", ".join(f"{name} {str(text)[:20]}" for name, text in texts.items())
        raise DataError(f"{what} has the box {told}; expected numbers, the first corner upper left")
    return values


def _name(what: str, given: str | None) -> str:
    name = (given or "").strip()
    if not name:
        raise DataError(f"{what} has no class name")
    return name


def read_cvat(about: folder.FolderDescription, path: Path) -> AnnotatedFolder:
    """Read CVAT's annotations.xml, form "CVAT for images": boxes, turned boxes and polygons.

    `subset` of an image is its part. One turned box makes all oriented; a polygon's box is its
    bounds. Raises DataError that names the image.
    """
    root = parse_xml(path)
    if root.find("track") is not None:
        raise DataError(f'{path} is CVAT\'s form for videos; export it as "CVAT for images"')
    found, turned, polygons, others = list[Annotated](), False, list[str](), list[str]()
    for element in root.findall("image"):
        name = element.get("name", "")
        what = f"{path}, image {ascii(name)[:60]},"
        image = listed_images.locate(about.root, path, name)
        size = (element.get("height", ""), element.get("width", ""))
        if all(side.isdecimal() for side in size):
            annotated_folder.require_size(what, image, (int(size[0]), int(size[1])))
        objects = []
        for number, shape in enumerate(element, 1):
            origin = f"{what} shape {number}"
            others += [f"{origin} ({shape.tag})"] if shape.tag not in SKIPPED else []
            if shape.tag in ("box", "mask", "polygon"):
                angle = _angle(origin, shape)
                turned = turned or angle != 0
                polygons += [origin] if shape.tag != "box" else []
                label = _name(origin, shape.get("label"))
                objects.append(Object(label, _shape(origin, shape, angle), False, origin=origin))
        part = label_texts.group_of(about.root, image)
        given = element.get("subset", "").lower()
        group = given if given in LISTS else {"validation": "val", "valid": "val"}.get(given, part)
        found.append(Annotated(image, group, tuple(objects), path))
    labels = [e.findtext("name", "").strip() for e in root.iterfind(".//labels/label")]
    names = (o.name for each in found for o in each.objects)
    classes, told = annotated_folder.found_classes(about, (*labels, *names))
    notes = annotated_folder.counted("polygon or mask is read as the box around it", polygons)
    left = annotated_folder.counted("shape is neither, and is left out", others)
    form = BoxForm(classes, turned, (path,), (*notes, *left, *told))
    return annotated_folder.collect(about, found, form)


def _angle(origin: str, shape: Element) -> float:
    try:
        angle = float(shape.get("rotation", "0"))
    except ValueError:
        angle = math.nan
    if not math.isfinite(angle):
        raise DataError(f"{origin} has a rotation that is no number")
    return math.radians(angle)


def _shape(origin: str, shape: Element, angle: float) -> NDArray[np.float32]:
    if shape.tag == "box":
        x1, y1, x2, y2 = _numbers(origin, {name: shape.get(name) for name in CVAT_CORNERS})
        middle = np.array([(x1 + x2) / 2, (y1 + y2) / 2])
        cos, sin = math.cos(angle), math.sin(angle)
        turn = np.array([(cos, sin), (-sin, cos)])  # clockwise where y goes down
        corners = annotated_folder.upright(x1, y1, x2, y2) - middle
        return np.asarray(corners @ turn + middle, np.float32)
    if shape.tag == "mask":
        x, y, width, height = _numbers(
            origin, {n: shape.get(n) for n in ("left", "top", "width", "height")}, sides=True
        )
        return annotated_folder.upright(x, y, x + width, y + height)
    try:
        points = [[float(v) for v in p.split(",")] for p in shape.get("points", "").split(";")]
        array = np.asarray(points, np.float64).reshape(-1, 2)
    except ValueError:
        array = np.full((1, 2), np.nan)
    if len(array) < 3 or not (np.abs(array) < 1e9).all():
        raise DataError(f"{origin} has no polygon; expected points x,y;x,y;x,y")
    return annotated_folder.upright(*array.min(0), *array.max(0))
