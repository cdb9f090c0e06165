"""Packing: the arrays of many images concatenated for storage, and split again."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Arrays = Mapping[str, NDArray[Any]]


def array_fields(fields: Any) -> dict[str, NDArray[Any]]:
    """Return the array fields of a dataclass or NamedTuple of arrays or tensors, by name."""
    named = fields._asdict() if isinstance(fields, tuple) else vars(fields)  # type: ignore[attr-defined]
    return {name: np.asarray(value) for name, value in named.items() if hasattr(value, "shape")}


def pack_images(prefix: str, images: Sequence[Arrays]) -> dict[str, NDArray[Any]]:
    """Concatenate each array over images, and add the number of rows of each image.

    images: at least one, with the same names; all arrays of an image have as many rows.

    >>> a, b = {"x": np.array([1, 2])}, {"x": np.array([3])}
    >>> {name: array.tolist() for name, array in pack_images("said", [a, b]).items()}
    {'said.x': [1, 2, 3], 'said.rows': [2, 1]}
    """
    rows = np.array([len(next(iter(image.values()))) for image in images])
    whole = {f"{prefix}.{n}": np.concatenate([i[n] for i in images]) for n in images[0]}
    return whole | {f"{prefix}.rows": rows}


def unpack_images(prefix: str, state: Arrays) -> list[dict[str, NDArray[Any]]]:
    """Return the images that `pack_images` was given."""
    whole = {n.removeprefix(f"{prefix}."): a for n, a in state.items() if n.startswith(prefix)}
    ends = np.cumsum(whole.pop("rows"))[:-1]
    parts = {name: np.split(array, ends) for name, array in whole.items()}
    return [dict(zip(parts, arrays, strict=True)) for arrays in zip(*parts.values(), strict=True)]
