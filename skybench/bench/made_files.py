"""Made datasets of full size: a simulated copy in the official layout, its images enlarged."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from skybench.core import registry

MASKS = ("label", "mask", "annotation")  # in the names of folders and files whose values are ids
NOISE = 4  # steps of brightness; without it a repeated image would be packed far too well


def write_enlarged(name: str, root: Path, factor: float, fewer: Iterable[str] = ()) -> None:
    """Write the simulated copy of a dataset with images `factor` times as wide and as high.

    Images are repeated, with noise; masks and annotations are repeated as they are. fewer: patterns
    of files that are removed first.
    """
    registry.dataset(name).write_demo(root)
    for pattern in fewer:
        for path in root.glob(pattern):
            path.unlink()
    if factor == 1:
        return
    rng = np.random.default_rng(0)
    for path in sorted(p for p in root.rglob("*") if p.suffix in ENLARGE):
        ENLARGE[path.suffix](path, factor, None if _is_mask(path) else rng)


def _is_mask(path: Path) -> bool:
    names = f"{path.parent.parent.name}/{path.parent.name}/{path.name}".lower()
    return any(word in names for word in MASKS)


def repeated(
    image: NDArray[Any], factor: float, axes: tuple[int, int], rng: np.random.Generator | None
) -> NDArray[Any]:
    """Return an image repeated along two axes up to `factor` times their length, with noise.

    >>> repeated(np.array([[1, 2]]), 1.5, (0, 1), None)
    array([[1, 2, 1],
           [1, 2, 1]])
    """
    for axis in axes:
        length = image.shape[axis]
        image = np.take(image, np.arange(round(length * factor)) % length, axis)
    if rng is None:
        return image
    if image.dtype.kind == "f":
        return (image * (1 + 0.01 * rng.standard_normal(image.shape))).astype(image.dtype)
    low, high = np.iinfo(image.dtype).min, np.iinfo(image.dtype).max
    noisy = image.astype(np.int64) + rng.integers(0, NOISE, image.shape)
    return noisy.clip(low, high).astype(image.dtype)


def _picture(path: Path, factor: float, rng: np.random.Generator | None) -> None:
    with Image.open(path) as image:
        small = np.asarray(image)
    Image.fromarray(repeated(small, factor, (0, 1), rng)).save(path)


def _raster(path: Path, factor: float, rng: np.random.Generator | None) -> None:
    import rasterio

    with rasterio.open(path) as file:
        profile, small = file.profile, file.read()
    large = repeated(small, factor, (1, 2), rng)
    _, height, width = large.shape
    with rasterio.open(path, "w", **{**profile, "height": height, "width": width}) as file:
        file.write(large)


def _array(path: Path, factor: float, rng: np.random.Generator | None) -> None:
    small = np.load(path)
    np.save(path, repeated(small, factor, (small.ndim - 2, small.ndim - 1), rng))


ENLARGE = {".png": _picture, ".tif": _raster, ".npy": _array}
