"""Copies of published datasets whose images were resized: another side than the release has."""

from __future__ import annotations

import warnings
from pathlib import Path

import numpy as np
import rasterio
from rasterio.errors import NotGeoreferencedWarning, RasterioError

from skybench.core.content import spread
from skybench.core.dataset import Samples
from skybench.plan.cell import Cell

LOOKED_AT = 8  # image files of a split
PICTURES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff"})


def resized_images(cell: Cell) -> str:
    """Return which images have another side than the published ones; "" where none have.

    Only headers are read, of evenly spread files, and only where the card states the sides.
    """
    found = (_resized(samples) for samples in cell.splits.values())
    return "; ".join(dict.fromkeys(text for text in found if text))


def _resized(samples: Samples) -> str:
    expected = samples.card.image_sides
    if not expected or samples.split.demo:
        return ""
    files = [f for f in samples.files if f.suffix.lower() in {*PICTURES, ".npy"}]
    for path in spread(files, LOOKED_AT):
        height, width = _shape(path) or (expected[0], expected[0])
        if not {height, width} <= {*expected}:
            sides = " or ".join(map(str, expected))
            return f"{path.name} has {height} x {width} pixels, published are sides of {sides}"
    return ""


def _shape(path: Path) -> tuple[int, int] | None:
    """Height and width of an image; None for a damaged file, which its reader refuses."""
    if path.suffix.lower() == ".npy":
        height, width = np.load(path, mmap_mode="r", allow_pickle=False).shape[-2:]
        return int(height), int(width)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with rasterio.open(path) as source:
                return int(source.height), int(source.width)
    except RasterioError:
        return None
