"""In a user's own folder each sample tells its own image files, and all together tell all."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from skybench.core.dataset import Samples

from ._box_folders import car, coco, picture
from ._folders import described, masked, opened, photo

pytestmark = pytest.mark.usefixtures("own_cache")


def class_folders(root: Path) -> Samples:
    for number in range(8):
        photo(root / "ab"[number % 2] / f"{number}.png", value=number)
    return opened(root)


def masks(root: Path) -> Samples:
    described(root, 'classes = ["land", "water"]')
    return opened(masked(root, *[np.eye(40, dtype=np.uint8)] * 4), tile=32)


def series(root: Path) -> Samples:
    described(root, 'classes = ["same", "changed"]\nchange = true\n')
    masked(root, *[np.eye(40, dtype=np.uint8)] * 4)
    for part in ("train", "test"):
        for path in [*(root / part / "images").iterdir()]:
            for day in ("2001-01-01", "2002-01-01"):
                photo(path.with_suffix("") / f"{day}.png", (40, 40))
            path.unlink()
    return opened(root, tile=32)


def regions(root: Path) -> Samples:
    shape = [[10, 20, 30, 20, 30, 30, 10, 30]]
    names = [picture(root / f"{n}.png").name for n in range(3)]
    coco(root / "boxes.json", names, [car(n + 1, segmentation=shape) for n in range(3)])
    described(
        root, 'masks = "boxes.json"\nclasses = ["land", "car", "bus"]\n[splits]\ntrain = ["*"]\n'
    )
    return opened(root, tile=32)


def boxes(root: Path) -> Samples:
    names = [picture(root / part / f"{part}{n}.png").name for part in ("train", "test")
             for n in range(2)]  # fmt: skip
    for part in ("train", "test"):
        mine = [name for name in names if name.startswith(part)]
        coco(root / part / "_annotations.coco.json", mine, [car(1), car(2)])
    return opened(root, tile=32)


@pytest.mark.parametrize("make", [class_folders, masks, series, regions, boxes])
def test_the_files_of_all_samples_are_those_of_the_split(
    make: Callable[[Path], Samples], tmp_path: Path
) -> None:
    samples = make(tmp_path)
    told = [set(samples.image_files(index)) for index in range(len(samples))]
    assert set().union(*told) == set(samples.files)
    images: dict[str, set[Path]] = {}
    for group, files in zip(samples.groups or samples.keys, told, strict=True):
        assert images.setdefault(group, files) == files
    assert len(samples.image_contents()) == len(samples)
    assert sum(map(len, images.values())) == len(samples.files)
