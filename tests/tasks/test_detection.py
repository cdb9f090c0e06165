from __future__ import annotations

import importlib
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from skybench.analysis.intervals import uncertainty
from skybench.boxes.detections import Detections
from skybench.boxes.geometry import to_corners
from skybench.checks import metric_self_test
from skybench.core import Boxes, CannotRun, Recipe, Task, registry
from skybench.metrics.horizontal_boxes import CocoBoxes
from skybench.metrics.rotated_boxes import RotatedBoxes

merged_tiles: Any = importlib.import_module("skybench.tasks._recipes.merged_tiles")
box_tiles: Any = importlib.import_module("skybench.datasets._readers.box_tiles")
CLASSES = ("ship", "car")
PAIRS = [
    ("horizontal_detection", "dior"),
    ("oriented_detection", "dior_r"),
    ("oriented_detection", "fair1m"),
]


def task_of(name: str) -> Task:
    task: Task = registry.load("tasks", name).TASK
    return task


def boxes(rows: list[tuple[float, ...]], labels: list[int], side: int = 100) -> Boxes:
    """Objects of a tile from (cx, cy, w, h, angle)."""
    corners = to_corners(torch.tensor(rows, dtype=torch.float32).reshape(-1, 5))
    label = torch.tensor(labels, dtype=torch.int64)
    return Boxes(corners, label, torch.zeros(len(label), dtype=torch.bool), (side, side))


def says(target: Boxes, scores: list[float]) -> Detections:
    return Detections(target.corners.numpy(), np.array(scores), target.labels.numpy())


def merged() -> Any:
    return merged_tiles.MergedTiles(RotatedBoxes(CLASSES), 0.1)


@pytest.mark.parametrize(("task", "dataset"), PAIRS)
def test_recipes_name_splits_of_the_dataset(task: str, dataset: str) -> None:
    card = registry.load("datasets", dataset).CARD
    (real,), (demo,) = (task_of(task).recipes(card, "frozen", demo) for demo in (False, True))
    assert {real.train, real.test} <= {*card.splits}
    assert (real.train, real.test) == (
        ("train", "val") if dataset == "fair1m" else ("trainval", "test")
    )
    assert real.size or real.tile == 1024
    assert demo.width < real.width == 256
    assert demo.epochs < real.epochs == 12
    assert (demo.train, demo.test) == (real.train, real.test)


@pytest.mark.parametrize(("task", "dataset"), PAIRS)
def test_a_model_without_maps_cannot_run(task: str, dataset: str) -> None:
    model, card = (
        registry.load("baselines", "image_stats").CARD,
        registry.load("datasets", dataset).CARD,
    )
    with pytest.raises(CannotRun, match="no feature maps"):
        task_of(task).head(Recipe("frozen", width=8), model, card)
    model = registry.load("baselines", "imagenet").CARD
    assert task_of(task).head(Recipe("frozen", width=8), model, card) is not None


def test_the_truth_in_tiles_of_fair1m_scores_100(tmp_path: Path) -> None:
    dataset = registry.load("datasets", "fair1m")
    dataset.write_demo(tmp_path)
    opened = dataset.open(tmp_path, "val", 128, scales="multi")
    metric: Any = task_of("oriented_detection").metric(opened.card)
    targets = [(sample.key, sample.target) for sample in opened]
    metric_self_test.check_metric(metric, targets)
    trial, plain = metric.fresh(), RotatedBoxes(opened.card.classes)
    for key, target in targets:
        trial.update(plain.perfect(target), target, key)  # detections, which are suppressed
    assert trial.scores()["ap50_voc07"] == 100
    whole = trial._merged()
    assert len(whole.true) == 6 < len(targets)
    assert sum(len(t.labels) for t in whole.true) < sum(len(t.labels) for _, t in targets)


def crowd(turned: bool) -> Boxes:
    """Objects all over an image of 300 x 260 pixels, at its edges too."""
    rng = np.random.default_rng(0)
    x, y = (axis.ravel() for axis in np.meshgrid(np.arange(12, 300, 34), np.arange(9, 260, 34)))
    angle = rng.uniform(-2, 2, len(x)) * turned
    sides = rng.uniform([10, 6], [24, 14], (len(x), 2))
    rows = np.column_stack([x, y, sides, angle])
    return boxes(list(map(tuple, rows)), rng.integers(0, 2, len(x)).tolist())


@pytest.mark.parametrize("rates", [(1.0,), (2.0,), (0.4,), (0.5, 1.0, 1.5)])
@pytest.mark.parametrize(("kind", "nms"), [(CocoBoxes, 0.5), (RotatedBoxes, 0.1)])
def test_the_truth_through_tiles_of_several_scales_scores_100(
    rates: tuple[float, ...], kind: type[CocoBoxes], nms: float, tmp_path: Path
) -> None:
    Image.new("L", (300, 260)).save(tmp_path / "a.png")
    item = box_tiles.boxes.AnnotatedImage("a", tmp_path / "a.png", None)
    cut, whole = box_tiles.Tiling(100, 40, rates), crowd(kind is RotatedBoxes)
    metric, shifted = (merged_tiles.MergedTiles(kind(CLASSES), nms) for _ in range(2))
    rng, count = np.random.default_rng(1), 0
    for tile in box_tiles.tile_image(item, cut):
        target = box_tiles.boxes_within(whole, tile.window, cut.side)
        key = f"a_{tile.rate}_{tile.window.y}_{tile.window.x}"
        said = says(target, rng.uniform(0.1, 1, len(target.labels)).tolist())
        metric.update(said, target, key)
        half = (said.corners[:, 1] - said.corners[:, 0])[:, None] / 2
        shifted.update(replace(said, corners=said.corners + half), target, key)
        count += len(target.labels)
    (true,), (found,) = metric._merged().true, metric._merged().said
    assert len(true.labels) == len(found.labels) == len(whole.labels) < count
    assert metric.scores() == pytest.approx(dict.fromkeys(metric.scores(), 100.0))
    assert shifted.scores()["ap50"] < 20


def test_what_is_drawn_are_images_and_not_their_tiles() -> None:
    metric, one = merged(), boxes([(50, 40, 20, 10, 0.3)], [0])
    for x in (0, 60, 120):
        metric.update(says(one, [0.9]), one, f"a_1.0_0_{x}")
    assert uncertainty([metric], ["a"] * 3).intervals == {}
    images = "bcdefg"
    for image in images:
        metric.update(says(one, [0.9]), one, f"{image}_1.0_0_0")
    found = uncertainty([metric], ["a"] * 3 + [*images])
    assert found.units == 7
    low, high, error = found.intervals["ap50_voc07"]
    assert low == pytest.approx(100 * 7 / (7 + 1.96**2), abs=0.1)
    assert (high, error) == (100.0, 0.0)


def test_tiles_of_any_scale_are_put_where_they_lie() -> None:
    metric = merged()
    one = boxes([(50, 40, 20, 10, 0.3)], [0])
    metric.update(says(one, [0.9]), one, "part-3_a_1.0_30_60")
    half = boxes([((110 - 20) / 2, (70 - 10) / 2, 10, 5, 0.3)], [0])  # the same object
    metric.update(says(half, [0.8]), half, "part-3_a_0.5_10_20")
    other = boxes([(50, 40, 20, 10, 0.3)], [0])
    metric.update(says(other, [0.7]), other, "part-4_a_1.0_30_60")
    whole = metric._merged()
    assert [len(t.labels) for t in whole.true] == [len(d.scores) for d in whole.said] == [1, 1]
    np.testing.assert_allclose(whole.said[0].corners.mean(1), [[110, 70]], rtol=1e-6)
    np.testing.assert_allclose(whole.true[0].corners.mean(1), [[110, 70]], rtol=1e-6)
    assert metric.scores() == dict.fromkeys(metric.scores(), 100.0)


def test_a_better_detection_of_another_tile_suppresses_within_its_class() -> None:
    metric = merged()
    left = boxes([(90, 50, 20, 10, 0), (92, 50, 20, 10, 0)], [0, 1])
    metric.update(says(left, [0.3, 0.5]), left, "a_1.0_0_0")
    right = boxes([(12, 50, 20, 10, 0)], [0])
    metric.update(says(right, [0.4]), right, "a_1.0_0_80")
    (found,) = metric._merged().said
    assert sorted(found.scores.tolist()) == [0.4, 0.5]


def test_objects_that_overlap_in_one_tile_are_not_merged() -> None:
    metric = merged()
    twice = boxes([(50, 50, 20, 10, 0), (50, 50, 20, 10, 0), (54, 50, 20, 10, 0)], [0, 0, 0])
    shifted = replace(twice, corners=twice.corners - torch.tensor([30.0, 0.0]))
    targets = [("a_1.0_0_0", twice), ("a_1.0_0_30", shifted)]
    metric_self_test.check_metric(metric, targets)
    for key, target in targets:
        metric.update(says(target, [0.9, 0.9, 0.9]), target, key)
    assert len(metric._merged().true[0].labels) == 3
    assert metric.scores()["ap50_voc07"] < 100  # of the three one suppresses the others
    (note,) = metric.notes()
    assert note.startswith("1 object repeats the box and class of another")
    assert metric.attainable() == pytest.approx(700 / 11)  # two of three are found


def test_the_truth_with_doubles_in_tiles_scores_what_is_attainable() -> None:
    metric = merged()
    twice = boxes([(50, 50, 20, 10, 0), (50, 50, 20, 10, 0)], [0, 0])
    for key, x in (("a_1.0_0_0", 0.0), ("a_1.0_0_30", 30.0)):
        target = replace(twice, corners=twice.corners - torch.tensor([x, 0.0]))
        metric.update(target, target, key)
    scores = metric.scores()
    assert scores["ap50_voc07"] == metric.attainable() == pytest.approx(600 / 11)
    assert scores["ap50_voc07_doubles"] == scores["ap50"] == 100


def test_images_are_weighed_by_their_first_tile() -> None:
    metric = merged()
    right, wrong = boxes([(50, 40, 20, 10, 0)], [0]), boxes([(20, 80, 20, 10, 0)], [0])
    metric.update(says(right, [0.9]), right, "a_1.0_0_0")
    metric.update(says(boxes([], []), []), boxes([], []), "a_1.0_0_50")
    metric.update(says(wrong, [0.9]), right, "b_1.0_0_0")
    weights = np.array([[1.0, 0, 0], [0, 1, 1], [1, 5, 1]])
    first, second, both = metric.scores(weights)["ap50_voc12"]
    assert (first, second) == (100, 0)
    assert both == metric.scores()["ap50_voc12"] == 50  # one of two is found
    assert metric.per_class()["ship"]["ap50_voc12"] == 50
    assert (metric.chance(), metric.fresh().count) == (0, 0)


def test_a_crowd_region_of_several_tiles_is_one_and_belongs_to_each() -> None:
    corners = torch.tensor([[[20.0, 0], [180, 0], [180, 90], [20, 90]]])
    flags = torch.tensor([0]), torch.tensor([False])
    whole = Boxes(corners, *flags, size=(100, 200), crowd=torch.tensor([True]))
    metric = merged_tiles.MergedTiles(CocoBoxes(CLASSES), 0.5)
    for x in (0, 100):
        tile = box_tiles.boxes_within(whole, box_tiles.decode.Window(0, x, 100, 100), 100)
        assert tile.crowd.tolist() == [True]  # less than 70 % of it lies in the tile
        found = boxes([(60, 50, 10, 10, 0), (60, 20, 9, 9, 0)], [0, 0])
        metric.update(says(found, [0.9, 0.8]), tile, f"a_1.0_0_{x}")
    assert metric._merged().true[0].crowd.tolist() == [True]
    one = boxes([(50, 50, 10, 10, 0)], [0])
    metric.update(says(one, [0.1]), one, "a_1.0_0_200")
    assert metric.scores()["ap50"] == 100
    assert metric.fresh().restored(metric.state()).scores() == metric.scores()
