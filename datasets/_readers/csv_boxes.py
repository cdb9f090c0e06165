"""Reads boxes of a user's own images from CSV files: file, x1, y1, x2, y2, class."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from skybench.core import DataError

from . import annotated_folder, box_layouts, folder, label_texts, listed_images
from .annotated_folder import Annotated, AnnotatedFolder, BoxForm
from .boxes import Object


def read_csv_boxes(about: folder.FolderDescription, paths: Sequence[Path]) -> AnnotatedFolder:
    """Read upright boxes in pixels, a row each; a row of a file alone is an image without object.

    With a header the columns may have any order; without one it is that of above. The part of an
    image is that of its folder, or, with several files, that of the CSV file's name. Raises
    DataError with file and row.
    """
    objects: dict[Path, list[Object]] = {}
    sources: dict[Path, Path] = {}
    for path in paths:
        columns, stated = _columns(path)
        for number, row in enumerate(box_layouts.csv_rows(path), 1):
            if number == 1 and box_layouts.has_header(path):
                continue
            origin = f"{path}, row {number}"
            image, found = _row(about, (path, origin), row, columns)
            _require_size(origin, image, row, stated)
            if sources.setdefault(image, path) != path:
                raise DataError(f"{image} is in {sources[image]} and in {path}; expected in one")
            objects.setdefault(image, []).extend(found)
    images = [
        Annotated(image, _part(about, image, sources[image], paths), tuple(own), sources[image])
        for image, own in objects.items()
    ]
    names = (o.name for own in objects.values() for o in own)
    classes, told = annotated_folder.found_classes(about, names)
    others = [str(p) for p in label_texts.all_images(about.root) if p not in objects]
    notes = annotated_folder.counted("image is in no row, and is left out", others)
    form = BoxForm(classes, False, tuple(paths), (*notes, *told))
    return annotated_folder.collect(about, images, form)


def _part(about: folder.FolderDescription, image: Path, path: Path, paths: Sequence[Path]) -> str:
    named = box_layouts.part_of(path.stem) if len(paths) > 1 else ""
    return named or label_texts.group_of(about.root, image)


def _columns(path: Path) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return the columns of file, corners and class, and those of the image's height and width.

    The latter are () where there are none. Raises DataError.
    """
    columns = box_layouts.csv_columns(path)
    if columns is None:
        raise DataError(
            f"{path} is no table of boxes; expected the columns file, x1, y1, x2, y2, class, with "
            "a header (filename, xmin, ymin, xmax, ymax, class) or in this order"
        )
    names = [word.strip().lower() for word in next(box_layouts.csv_rows(path), [])]
    sized = {"height", "width"} <= set(names)
    return columns, (names.index("height"), names.index("width")) if sized else ()


def _require_size(origin: str, image: Path, row: Sequence[str], stated: Sequence[int]) -> None:
    """Raise DataError where a row states another size of the image, as TensorFlow's tables do."""
    values = [row[column].strip() for column in stated if column < len(row)]
    if len(values) == 2 and all(value.isdecimal() and int(value) for value in values):
        annotated_folder.require_size(origin, image, (int(values[0]), int(values[1])))


def _row(
    about: folder.FolderDescription,
    where: tuple[Path, str],
    row: Sequence[str],
    columns: Sequence[int],
) -> tuple[Path, list[Object]]:
    """Return the image and the object of a row; where: the file, and what the row is called."""
    path, origin = where
    if len(row) <= max(columns):
        raise DataError(f"{origin} has {len(row)} columns; expected {max(columns) + 1}")
    name, *corners, label = (row[column].strip() for column in columns)
    image = listed_images.locate(about.root, path, name)
    if not any(corners) and not label:
        return image, []
    try:
        x1, y1, x2, y2 = (float(value) for value in corners)
        usable = label and x1 <= x2 and y1 <= y2 and max(map(abs, (x1, y1, x2, y2))) < 1e9
    except ValueError:
        usable = False
    if not usable:
        raise DataError(
            f"{origin} is {','.join(row)[:80]!r}; expected x1 <= x2 and y1 <= y2 in pixels, and a "
            "class. Correct the row, or remove it"
        )
    return image, [Object(label, annotated_folder.upright(x1, y1, x2, y2), False, origin=origin)]
