"""Small folders with boxes, for the tests of their readers."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from PIL import Image

from skybench.core import DataError, registry
from skybench.core.dataset import Samples

HEIGHT, WIDTH = 60, 80  # of every image
FEW = settings(
    max_examples=15,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6)
JSON = st.recursive(
    SCALARS, lambda x: st.lists(x, max_size=3) | st.dictionaries(st.text(max_size=5), x, max_size=3)
)


def opened(root: Path, split: str = "train", tile: int = 0) -> Samples:
    samples: Samples = registry.load("datasets", "folder").open(root, split, tile)
    return samples


def opens_or_says(root: Path) -> None:
    """Open a folder; what is refused is said in a sentence, not by an exception of Python."""
    told = ""
    try:
        opened(root)
    except DataError as error:
        told = str(error)
    assert "Error(" not in told


def picture(path: Path, value: int = 0, size: tuple[int, int] = (HEIGHT, WIDTH)) -> Path:
    """Write an image of one grey value."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((*size, 3), value, np.uint8)).save(path)
    return path


def written(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def coco(
    path: Path,
    names: Sequence[str],
    boxes: Sequence[Mapping[str, Any]],
    categories: Sequence[str] = ("car", "bus"),
) -> Path:
    """Write COCO's JSON: images 1, 2, … of these names, and categories 1, 2, …"""
    images = [
        {"id": i, "file_name": name, "height": HEIGHT, "width": WIDTH}
        for i, name in enumerate(names, 1)
    ]
    content = {
        "images": images,
        "annotations": [{"id": n, **box} for n, box in enumerate(boxes, 1)],
        "categories": [{"id": n, "name": name} for n, name in enumerate(categories, 1)],
    }
    return written(path, json.dumps(content))


def car(image: int = 1, **other: Any) -> dict[str, Any]:
    """Return an annotation: a car of 20 x 10 pixels at (10, 20)."""
    return {"image_id": image, "category_id": 1, "bbox": [10, 20, 20, 10], **other}


CAR = [[10.0, 20.0], [30.0, 20.0], [30.0, 30.0], [10.0, 30.0]]


def boxes_by_image(samples: Samples) -> dict[str, list[tuple[str, list[list[float]]]]]:
    """Return class and corners of the objects of each image that is one tile."""
    return {
        key: [
            (samples.card.classes[label], np.round(corners, 3).tolist())
            for label, corners in zip(target.labels.tolist(), target.corners.numpy(), strict=True)
        ]
        for key, target in ((k, samples.target(i)) for i, k in enumerate(samples.groups))
    }
