"""Reads oriented boxes of a user's own images from texts in the form of DOTA."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from skybench.core import DataError

from . import annotated_folder, box_layouts, folder, label_texts
from .annotated_folder import Annotated, AnnotatedFolder, BoxForm
from .boxes import Object

HEADERS = ("imagesource", "gsd")
DIFFICULTY = ("0", "1", "2")


def read_dota_folder(about: folder.FolderDescription, folders: Sequence[Path]) -> AnnotatedFolder:
    """Read a text for each image; an empty one stands for an image without objects.

    Images of a part without any text, as DOTA's test images, are left out. Raises DataError for
    another image without text.
    """
    pairs, notes = label_texts.pair_texts(about, folders)
    if missing := [image for image, text in pairs if text is None]:
        raise DataError(
            f"{missing[0]} has no text with its boxes ({len(missing)} of {len(pairs)} images have "
            f"none); every image needs one, empty where it has no object. Looked in "
            f"{', '.join(str(f) for f in folders)}; add it, or list the image under `exclude`"
        )
    found = [
        Annotated(
            image, label_texts.part_of_pair(about.root, image, text), tuple(read_dota(text)), text
        )
        for image, text in pairs
        if text is not None
    ]
    names = (o.name for image in found for o in image.objects)
    classes, told = annotated_folder.found_classes(about, names)
    texts = tuple(text for _, text in pairs if text)
    form = BoxForm(classes, True, texts, (*notes, *told))
    return annotated_folder.collect(about, found, form)


def read_dota(path: Path) -> list[Object]:
    """Read lines `x1 y1 x2 y2 x3 y3 x4 y4 class [difficult]`; header lines are skipped.

    The class may have spaces; a last word 0, 1 or 2 after it is the difficulty. Raises DataError
    with file and line.
    """
    found = []
    for number, line in enumerate(annotated_folder.read_text(path).splitlines(), 1):
        words = line.split()
        if not words or words[0].lower().startswith(HEADERS):
            continue
        origin = f"{path}, line {number}"
        try:
            corners = np.array([float(word) for word in words[:8]], np.float32).reshape(4, 2)
        except (ValueError, OverflowError):
            corners = np.full((4, 2), np.nan, np.float32)
        name, hard = _name_and_difficulty(words[8:])
        if not np.isfinite(corners).all() or not name:
            raise DataError(f"{origin}: expected 8 numbers and a class, but got {line[:80]!r}")
        if len(words) > 9 and "." in words[-1] and box_layouts.is_number(words[-1]):
            raise DataError(
                f"{origin} ends with {words[-1][:20]}; expected a class and, after it, a "
                "difficulty of 0, 1 or 2. Scores are of detections, not of annotations; remove them"
            )
        if box_layouts.form_of_line(line) == "yolo":
            raise DataError(
                f"{origin}: {line[:80]!r} begins with a number for a class, as texts of YOLO do, "
                "but other texts here are DOTA's: 8 numbers and a class"
            )
        found.append(Object(name, corners, hard, origin=origin))
    return found


def _name_and_difficulty(words: list[str]) -> tuple[str, bool]:
    if len(words) > 1 and words[-1] in DIFFICULTY:
        return " ".join(words[:-1]), words[-1] != "0"
    return " ".join(words), False
