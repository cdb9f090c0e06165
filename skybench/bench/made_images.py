"""Made classes of textures as a folder of JPEGs, from which a classifier can learn."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

QUALITY = 90  # of the JPEGs


def write_classes(
    root: Path, counts: Mapping[str, int], classes: int, side: int, seed: int = 0
) -> None:
    """Write <split>/<class>/<number>.jpg: gratings whose direction and width say the class.

    counts: images of each split. Noise, contrast, colour and the phase differ by image, so that
    neither the mean colour nor one pixel tells the class.
    """
    rng = np.random.default_rng(seed)
    for split, count in counts.items():
        for number in range(count):
            label = number % classes
            folder = root / split / f"class{label:02d}"
            folder.mkdir(parents=True, exist_ok=True)
            image = Image.fromarray(_grating(rng, label, classes, side))
            image.save(folder / f"{number:05d}.jpg", quality=QUALITY)


def _grating(rng: np.random.Generator, label: int, classes: int, side: int) -> NDArray[np.uint8]:
    """An image uint8 [side, side, 3]; neighbouring classes overlap."""
    angle = np.pi * (label + rng.normal(0, 0.45)) / classes
    period = 6 + 2 * (label % 3) + rng.normal(0, 0.8)
    y, x = np.mgrid[:side, :side]
    wave = np.sin(2 * np.pi * (x * np.cos(angle) + y * np.sin(angle)) / period + rng.uniform(0, 6))
    colour = rng.uniform(60, 190, 3) + rng.uniform(10, 40) * wave[..., None]
    noisy = colour + rng.normal(0, 25, (side, side, 3))
    return np.asarray(noisy.clip(0, 255), np.uint8)
