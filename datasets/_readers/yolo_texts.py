"""Reads boxes of a user's own images from YOLO's texts: upright, oriented, or polygons."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import yaml
from numpy.typing import NDArray

from skybench.core import DataError

from . import annotated_folder, box_layouts, decode, folder, label_texts, layout
from .annotated_folder import Annotated, AnnotatedFolder, BoxForm
from .boxes import Object

FAR = 1.5  # shares of the image; a corner this far out is no share at all
TO_WRITE = (
    "Write data.yaml with the names of the classes in the order of their numbers (names: [car, "
    "bus]), or `classes` in skybench.toml"
)


class Shape(NamedTuple):
    """A line of a text: a class and its points, in shares of width and height."""

    number: int  # of the class
    points: NDArray[np.float64]  # [1, 4] center x, y, width, height, or [N, 2] corners
    origin: str


class YoloDescription(NamedTuple):
    """What data.yaml says."""

    names: tuple[str, ...]
    images: Mapping[str, tuple[Path, ...]]  # of train, val and test; {} where it names none
    files: tuple[Path, ...]  # data.yaml, lists of images and lists of classes


def read_yolo(about: folder.FolderDescription, folders: Sequence[Path]) -> AnnotatedFolder:
    """Read a text for each image; an image without one has no object, as in Ultralytics.

    folders: of texts, beside `labels` that mirrors `images`. All lines of 9 numbers are oriented
    boxes; where lines have other numbers of corners, all are polygons, and boxes their bounds.
    Raises DataError with file and line.
    """
    told = describe_yolo(about, folders)
    part_of = {image: part for part, images in told.images.items() for image in images}
    pairs, notes = label_texts.pair_texts(about, folders, tuple(part_of))
    shapes = {image: _lines(text) if text else [] for image, text in pairs}
    kind = _kind([shape for own in shapes.values() for shape in own])
    found = [
        Annotated(
            image,
            part_of.get(image) or label_texts.part_of_pair(about.root, image, text),
            tuple(_objects(image, shapes[image], told.names, kind == "oriented")),
            text or image,
        )
        for image, text in pairs
    ]
    bare = [image.name for image, text in pairs if text is None]
    _require_names_to_fit(about.root, bare, notes)
    notes = (*notes, *annotated_folder.counted("image has no text, so no object", bare))
    if kind == "polygons":
        notes = (*notes, "texts hold polygons; each box is the bounds of one")
    if kind == "oriented":
        notes = (*notes, "texts of 4 corners are read as oriented boxes (YOLO-OBB), not as masks")
    texts = tuple(text for _, text in pairs if text)
    form = BoxForm(told.names, kind == "oriented", (*told.files, *texts), notes)
    return annotated_folder.collect(about, found, form)


def _require_names_to_fit(root: Path, bare: Sequence[str], notes: Sequence[str]) -> None:
    """Raise DataError where both images and texts have no partner: these may belong together."""
    lone = next((note for note in notes if label_texts.LONE in note), None)
    if lone and bare:
        raise DataError(
            f"{root}: {lone}; and {len(bare)} images, as {bare[0]}, have no text, so their names "
            "may not fit. Rename them (a.txt for a.jpg), or remove texts without image"
        )


def describe_yolo(about: folder.FolderDescription, folders: Sequence[Path]) -> YoloDescription:
    """Read the names of the classes and the parts; `classes` of skybench.toml come first.

    Without data.yaml, names are taken from classes.txt or obj.names. Raises DataError.
    """
    path = box_layouts.yaml_file(about.root)
    content = _parsed(path) if path else {}
    lists = [p / name for p in (about.root, *folders) for name in ("classes.txt", "obj.names")]
    texts = [p for p in lists if p.is_file()] if not path else []
    names = about.classes
    if not names and path:
        names = _names(path, content.get("names"))
    elif not names and texts:
        lines = annotated_folder.read_text(texts[0]).splitlines()
        names = tuple(line.strip() for line in lines if line.strip())
    if not names:
        raise DataError(
            f"{about.root} has texts in the form of {_form_name(folders)}, whose classes are "
            f"numbers, but nothing names the classes. {TO_WRITE}"
        )
    parts, images = _parts(about.root, path, content) if path else ([], {})
    if not about.splits:
        _require_disjoint(path, images)
    own = [path] if path else texts[:1]
    return YoloDescription(names, images, (*own, *parts))


def _form_name(folders: Sequence[Path]) -> str:
    texts = (text for place in folders for text in layout.files_with(place, ".txt"))
    lines = (line for text in texts for line in annotated_folder.read_text(text).splitlines())
    return "YOLO-OBB" if len(next(lines, "").split()) == 9 else "YOLO"


def _parsed(path: Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(annotated_folder.read_text(path))
    except (yaml.YAMLError, ValueError, RecursionError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is no YAML that can be read; correct or remove it") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} holds no table of names and paths; correct or remove it")
    return content


def _names(path: Path, given: Any) -> tuple[str, ...]:
    listed = given
    if isinstance(given, dict):
        given = {int(k) if str(k).isdecimal() else k: name for k, name in given.items()}
        listed = [given.get(number) for number in range(len(given))]
    if not isinstance(listed, list) or not listed:
        listed = [None]
    if not all(isinstance(name, str | int | float) for name in listed):
        raise DataError(
            f"{path} has the names {str(given)[:80]!r}; expected a list, or a table of the numbers "
            "0, 1, 2, … without gaps"
        )
    return tuple(str(name) for name in listed)


def _parts(
    root: Path, path: Path, content: Mapping[str, Any]
) -> tuple[list[Path], dict[str, tuple[Path, ...]]]:
    """Return the lists of images that data.yaml names, and the images of each part."""
    lists: list[Path] = []
    images: dict[str, tuple[Path, ...]] = {}
    start = content.get("path")
    for name in ("train", "val", "test"):
        given = content.get(name) or (content.get("valid") if name == "val" else None) or []
        entries = given if isinstance(given, list) else [given]
        places = [_inside(root, path, name, start, entry) for entry in entries]
        lists += [place for place in places if place.is_file()]
        found = tuple(image for place in places for image in _images_of(root, path, place))
        if found:
            images[name] = tuple(dict.fromkeys(found))
    return lists, images


def _inside(root: Path, path: Path, name: str, start: Any, entry: Any) -> Path:
    """Return the folder or the list that an entry names: below `path`, or the folder itself.

    Exports write paths of the machine that made them, or begin with ../; the same place below
    the folder is taken.
    """
    if not isinstance(entry, str) or "\0" in entry:
        raise DataError(f"{path}: {name} is {str(entry)[:80]!r}; expected a path")
    before, parts = _words(str(start or "")), _words(entry)
    tries = [[*before, *parts], *(parts[i:] for i in range(len(parts)))]
    for place in (root.joinpath(*t) for t in tries if t):
        if annotated_folder.is_there(place) and annotated_folder.inside(root, place):
            return place
    raise DataError(
        f"{path}: {name} is {entry!r}, which is not in {root}; expected a folder of images, or a "
        "list of them, inside of it. Correct the path, or remove the line"
    )


def _words(path: str) -> list[str]:
    """Return the names in a path, of Windows too."""
    return [word for word in path.replace("\\", "/").split("/") if word not in ("", ".", "..")]


def _images_of(root: Path, path: Path, place: Path) -> Iterator[Path]:
    if place.is_dir():
        yield from label_texts.all_images(place)
        return
    for line in annotated_folder.read_text(place).splitlines():
        if line.strip():
            yield _inside(root, path, place.name, "", line.strip())


def _require_disjoint(path: Path | None, images: Mapping[str, tuple[Path, ...]]) -> None:
    seen: dict[Path, str] = {}
    for part, own in images.items():
        for image in own:
            if image in seen:
                raise DataError(
                    f"{path}: {image} is in {seen[image]} and in {part}; an image may be in one "
                    "part only. Give other folders, or list the images under [splits] in "
                    "skybench.toml"
                )
            seen[image] = part


def _lines(path: Path) -> list[Shape]:
    found = []
    for number, line in enumerate(annotated_folder.read_text(path).splitlines(), 1):
        words = line.split()
        if not words:
            continue
        origin = f"{path}, line {number}"
        values = _numbers(words)
        if len(values) != 5 and (len(values) < 7 or len(values) % 2 == 0):
            raise DataError(
                f"{origin}: expected a class number and center x, y, width, height, or the x and y "
                f"of 3 corners or more, in shares of the image, but got {line[:80]!r}"
            )
        if np.abs(values[1:]).max() > FAR:
            raise DataError(
                f"{origin}: {line[:80]!r} has coordinates in pixels; expected shares of the "
                "image's width and height, 0 to 1"
            )
        rest = np.asarray(values[1:])
        points = rest[None] if len(rest) == 4 else rest.reshape(-1, 2)
        if len(rest) == 4 and min(rest[2:]) < 0:
            raise DataError(f"{origin}: width or height is below 0 in {line[:80]!r}")
        found.append(Shape(int(values[0]), points, origin))
    return found


def _numbers(words: Sequence[str]) -> list[float]:
    """Return the numbers of a line; [] where one is none, or the class no whole number."""
    try:
        values = [float(word) for word in words]
    except ValueError:
        return []
    whole = np.isfinite(values).all() and values[0] >= 0 and values[0].is_integer()
    return values if whole else []


def _kind(shapes: Sequence[Shape]) -> str:
    """Return "upright", "oriented" or "polygons" by the lines of the whole folder."""
    sizes = {shape.points.shape for shape in shapes}
    if sizes == {(4, 2)}:
        return "oriented"
    return "upright" if sizes <= {(1, 4)} else "polygons"


def _objects(
    image: Path, shapes: Sequence[Shape], names: Sequence[str], oriented: bool
) -> Iterator[Object]:
    if not shapes:
        return
    height, width = decode.raster_size(image)
    for shape in shapes:
        if shape.number >= len(names):
            raise DataError(
                f"{shape.origin}: class {shape.number}, but there are {len(names)} names: "
                f"{', '.join(names)}. {TO_WRITE}"
            )
        if shape.points.shape == (1, 4):
            x, y, w, h = shape.points[0] * (width, height, width, height)
            corners = annotated_folder.upright(x - w / 2, y - h / 2, x + w / 2, y + h / 2)
        elif oriented:
            corners = (shape.points * (width, height)).astype(np.float32)
        else:
            low, high = (f(shape.points * (width, height), 0) for f in (np.min, np.max))
            corners = annotated_folder.upright(*low, *high)
        yield Object(names[shape.number], corners, False, origin=shape.origin)
