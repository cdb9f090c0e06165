"""The file format of the DOTA evaluation server."""

from __future__ import annotations

import zipfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

import numpy as np

from skybench.boxes.detections import Detections
from skybench.core import UsageError


def write_dota(
    path: Path, classes: Sequence[str], detections: Mapping[str, Detections]
) -> list[str]:
    """Write a zip with Task1_<class>.txt for each class; return the names of its files.

    detections: by image name without suffix, corners in pixels of the whole image. A line is
    `image score x1 y1 x2 y2 x3 y3 x4 y4`. Raises UsageError for labels out of range, for values
    that are not finite, and for names that the format cannot hold.
    Source: captain-whu.github.io/DOTA/tasks.html (Task 1).
    """
    _require_names(classes, detections)
    lines: list[list[str]] = [[] for _ in classes]
    for image, found in detections.items():
        if not (np.isfinite(found.corners).all() and np.isfinite(found.scores).all()):
            raise UsageError(f"image {image} has corners or scores that are not finite")
        for corners, score, label in zip(found.corners, found.scores, found.labels, strict=True):
            if not 0 <= label < len(classes):
                raise UsageError(
                    f"image {image} has the label {label}; expected 0 to {len(classes) - 1}"
                )
            numbers = " ".join(f"{value:.2f}" for value in np.asarray(corners).ravel())
            lines[int(label)].append(f"{image} {score:.6f} {numbers}\n")
    names = [f"Task1_{name}.txt" for name in classes]
    path.parent.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, class_lines in zip(names, lines, strict=True):
            archive.writestr(name, "".join(class_lines))
    return names


def _require_names(classes: Sequence[str], images: Iterable[str]) -> None:
    for name in classes:
        if not name.strip() or any(mark in name for mark in "/\\\0\n"):
            raise UsageError(f"the class {name!r} cannot be the name of a file; rename it")
    for image in images:
        if len(image.split()) != 1:
            raise UsageError(f"image {image!r} has a space in its name, which ends a name there")
