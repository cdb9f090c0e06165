"""Tiles of a user's own images with boxes: every object whole in one, and told where not."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from skybench.core import registry
from skybench.metrics.horizontal_boxes import CocoBoxes

from ._box_folders import HEIGHT, WIDTH, car, coco, opened, picture, written

TOML = 'boxes = "boxes.json"\n[splits]\ntrain = ["*"]\n'


def one_object(root: Path, side: int, bbox: list[int]) -> Path:
    picture(root / "a.png", size=(side, side))
    path = coco(root / "boxes.json", ["a.png"], [car(bbox=bbox)], ("car",))
    path.write_text(path.read_text().replace(f'"height": {HEIGHT}, "width": {WIDTH}', '"x": 1'))
    written(root / "skybench.toml", TOML)
    return root


def shares(root: Path, tile: int = 0) -> list[int]:
    """Return for each tile how many objects lie whole in it."""
    samples = opened(root, tile=tile)
    side = samples.card.tile
    corners = [samples.target(i).corners.numpy() for i in range(len(samples))]
    return [int(((c >= 0) & (c <= side)).all((1, 2)).sum()) for c in corners]


@pytest.mark.parametrize(
    ("length", "side"), [(100, 512), (200, 512), (300, 608), (500, 1024), (700, 1024)]
)
def test_tiles_follow_the_longest_object(tmp_path: Path, length: int, side: int) -> None:
    for at in (0, 333, 1100 - length):
        samples = opened(one_object(tmp_path, 1100, [at, 500, length, 40]))
        assert samples.card.tile == side
        whole = max(shares(tmp_path))
        assert whole == (1 if length <= 512 or at != 333 else whole)


def test_small_images_keep_small_tiles(tmp_path: Path) -> None:
    samples = opened(one_object(tmp_path, 100, [5, 5, 90, 90]))
    assert samples.card.tile == 128
    assert len(samples) == 1


def test_objects_longer_than_a_tile_are_told(tmp_path: Path) -> None:
    samples = opened(one_object(tmp_path, 1300, [10, 10, 1280, 1280]))
    assert samples.card.tile == 1024
    assert [len(samples.target(i).labels) for i in range(len(samples))] == [0] * 4
    first, second = samples.notes
    assert first == "1 x object is whole in no tile of 1024 pixels: boxes.json, annotation 1"
    assert second.startswith("1 x object has less than 70% of its area in every tile")


def test_an_object_over_the_edge_of_the_image_is_whole_enough(tmp_path: Path) -> None:
    samples = opened(one_object(tmp_path, 100, [-10, 5, 50, 20]))
    assert samples.notes == ()
    assert samples.target(0).corners[0, 0].tolist() == [-10, 5]


def test_a_chosen_tile_overlaps_by_the_longest_object(tmp_path: Path) -> None:
    assert max(shares(one_object(tmp_path, 300, [70, 70, 45, 10]), 96)) == 1


def test_grey_images_are_repeated_and_transparent_ones_cut(tmp_path: Path) -> None:
    one_object(tmp_path, 100, [5, 5, 20, 20])
    ramp = np.arange(100, dtype=np.uint8)[None].repeat(100, 0)
    Image.fromarray(ramp).save(tmp_path / "a.png")
    image = opened(tmp_path)[0].images["hr"]
    assert image.shape == (1, 3, 128, 128)
    assert (image[0, :, :100, :100] == image[0, 0, 0, :100]).all()
    rgba = np.dstack([ramp, ramp + 1, ramp + 2, 0 * ramp])
    Image.fromarray(rgba).save(tmp_path / "a.png")
    assert opened(tmp_path)[0].images["hr"][0, :, 0, 50].tolist() == [50, 51, 52]


def test_corrected_boxes_change_the_identity_of_the_labels_only(tmp_path: Path) -> None:
    before = opened(one_object(tmp_path, 100, [5, 5, 20, 20])).content()
    after = opened(one_object(tmp_path, 100, [5, 5, 21, 20])).content()
    assert (before.images == after.images, before.labels == after.labels) == (True, False)


def test_the_truth_in_tiles_scores_100_with_long_objects_and_crowds(tmp_path: Path) -> None:
    picture(tmp_path / "a.png", size=(700, 900))
    objects = [[10, 10, 300, 40], [400, 300, 30, 30], [560, 200, 60, 290], [870, 660, 30, 40]]
    annotations = [car(bbox=bbox) for bbox in objects]
    coco(tmp_path / "boxes.json", ["a.png"], [*annotations, car(bbox=[0, 0, 900, 700], iscrowd=1)])
    text = (tmp_path / "boxes.json").read_text()
    (tmp_path / "boxes.json").write_text(text.replace('"height": 60, "width": 80', '"x": 1'))
    written(tmp_path / "skybench.toml", TOML)
    samples = opened(tmp_path)
    metric: Any = registry.load("tasks", "horizontal_detection").TASK.metric(samples.card)
    for index, key in enumerate(samples.keys):
        target = samples.target(index)
        metric.update(
            CocoBoxes(samples.card.classes).perfect(target.where(~target.crowds)), target, key
        )
    assert len(samples) > 1
    assert metric.scores()["ap50"] == 100
    (whole,) = metric._merged().true
    assert len(whole.labels) - int(np.sum(whole.crowd)) == len(objects)
