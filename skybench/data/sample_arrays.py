"""Samples and targets as named arrays, and back: what shards hold of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from skybench.core import Boxes, Sample
from skybench.data import shards
from skybench.data.shards import Arrays


def sample_bytes(sample: Sample) -> int:
    """Return the bytes of disk that a sample takes when it is decoded, its target included."""
    return shards.stored_bytes(images_of(sample)) + shards.stored_bytes(arrays_of(sample.target))


def images_of(sample: Sample) -> Arrays:
    """Return the images, days and place of a sample; `sample_of` makes an equal one of them."""
    images = {f"image {name}": x.numpy() for name, x in sample.images.items()}
    days = {f"days {name}": x.numpy() for name, x in sample.days.items()}
    return {**images, **days, "lonlat": np.array(sample.lonlat, np.float64)}


def sample_of(
    key: str, arrays: Arrays, target: Any, needs: Callable[[str], bool] = lambda _: True
) -> Sample:
    """Return the sample of its arrays; needs: whether a sensor's images are to be in it."""
    import torch

    images, days = {}, {}
    for title, array in arrays.items():
        kind, _, sensor = title.partition(" ")
        if kind == "image" and needs(sensor):
            images[sensor] = torch.from_numpy(array)
        elif kind == "days" and needs(sensor):
            days[sensor] = torch.from_numpy(array)
    lon, lat = arrays["lonlat"].tolist()
    return Sample(key, images, target, days, (lon, lat))


def arrays_of(target: Any) -> Arrays:
    """Return the arrays of a target of any kind; `target_of` makes an equal one of them."""
    if isinstance(target, Boxes):
        parts = {
            name: getattr(target, name) for name in ("corners", "labels", "difficult", "crowd")
        }
        arrays = {name: part.numpy() for name, part in parts.items() if part is not None}
        return {**arrays, "size": np.array(target.size)}
    if callable(getattr(target, "numpy", None)):  # a tensor
        return {"tensor": target.numpy()}
    return {"array" if isinstance(target, np.ndarray) else "number": np.asarray(target)}


def target_of(arrays: Mapping[str, NDArray[Any]]) -> Any:
    """Return the target of its arrays, of the type that it had."""
    import torch

    if "size" not in arrays:
        ((kind, array),) = arrays.items()
        if kind == "tensor":
            return torch.from_numpy(array)
        return array if kind == "array" else array.item()
    height, width = arrays["size"].tolist()
    parts = {n: torch.from_numpy(array) for n, array in arrays.items() if n != "size"}
    return Boxes(**parts, size=(height, width))
