"""What both detectors do; what is of one kind of box only is in the tests of that kind."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any, cast

import numpy as np
import pytest
import torch
from torch import Tensor

from skybench.core import DataError, FitContext, Recipe, SkybenchError
from skybench.heads import _detector
from skybench.heads.dense import Levels
from skybench.heads.faster_rcnn import HorizontalKind, faster_rcnn
from skybench.heads.oriented_rcnn import OrientedKind, oriented_rcnn
from skybench.metrics.horizontal_boxes import CocoBoxes
from skybench.metrics.rotated_boxes import RotatedBoxes
from skybench.training.lockstep import run_in_lockstep

from ._scenes import CLASSES, FOUR, ONE, RECIPE, Live, Memory, boxes, scenes

Build = Callable[[Levels, int, Recipe], _detector.Detector]
BOTH = pytest.mark.parametrize("build", [faster_rcnn, oriented_rcnn])


@pytest.fixture(autouse=True)
def few_proposals(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks that have learned little find something everywhere, which takes its time."""
    for kind in (HorizontalKind, OrientedKind):
        settings = dataclasses.replace(kind.settings, post_nms=(200, 60))
        monkeypatch.setattr(kind, "settings", settings)


def fitted(
    build: Build, source: Memory, levels: Levels = FOUR, recipe: Recipe = RECIPE, seed: int = 0
) -> tuple[_detector.Detector, dict[str, Any]]:
    head = build(levels, len(CLASSES), recipe)
    return head, dict(head.fit(source, None, FitContext(seed)))


@pytest.mark.parametrize(
    ("build", "metric", "levels"),
    [
        (faster_rcnn, CocoBoxes, FOUR),
        (oriented_rcnn, RotatedBoxes, FOUR),
        (faster_rcnn, CocoBoxes, ONE),
    ],
)
def test_two_images_are_learned_by_heart(
    build: Build, metric: Callable[..., CocoBoxes], levels: Levels
) -> None:
    source = Memory(scenes(metric is RotatedBoxes), levels, 96)
    recipe = dataclasses.replace(RECIPE, epochs=50, lr=4e-3, width=32)
    head, chosen = fitted(build, source, levels, recipe)
    counted = metric(CLASSES)
    for i, found in enumerate(head.predict(source)):
        counted.update(found, source.target(i))
    assert counted.scores()["ap50"] > 90
    assert chosen["loss"][-1] < chosen["loss"][0] / 3
    assert chosen["steps"] == 50
    assert chosen["parameters"] == sum(p.numel() for p in head.network.parameters())


@BOTH
def test_two_rates_in_step_learn_as_each_alone(build: Build) -> None:
    """Flips come from the training's own generator, samples of regions from torch's."""
    source = Memory(scenes(build is oriented_rcnn), FOUR, 96)
    recipes = [dataclasses.replace(RECIPE, lr=lr, width=8) for lr in (1e-3, 1e-2)]
    heads = [build(FOUR, len(CLASSES), recipe) for recipe in recipes]
    run_in_lockstep([head.fit_stepwise(source, None, FitContext(0)) for head in heads], "cpu")
    for head, recipe in zip(heads, recipes, strict=True):
        alone, _ = fitted(build, source, recipe=recipe)
        for name, value in alone.network.state_dict().items():
            assert torch.equal(head.network.state_dict()[name], value), name


class Weights(torch.nn.Module):
    """Some tensors as the parameters of a backbone."""

    def __init__(self, weights: Any) -> None:
        super().__init__()
        self.weights = weights

    def parameters(self, recurse: bool = True) -> Any:
        return iter(self.weights)


@BOTH
def test_a_backbone_learns_along_with_the_head(build: Build) -> None:
    source = Live(scenes(build is oriented_rcnn), side=96)
    before = [w.detach().clone() for w in source.weights]
    recipe = dataclasses.replace(RECIPE, epochs=6, lr=4e-3, width=32)
    head = build(FOUR, len(CLASSES), recipe)
    chosen = head.fit(source, None, FitContext(0, backbone=cast(Any, Weights(source.weights))))
    assert chosen["loss"][-1] < chosen["loss"][0]
    for now, old in zip(source.weights, before, strict=True):
        # Adam moves each number by about the rate, which is a tenth of the head's.
        moved = (now - old).abs().mean() / (6 * recipe.lr / 10)
        assert 0.05 < moved < 1
    frozen = Live(scenes(build is oriented_rcnn), side=96)
    build(FOUR, len(CLASSES), recipe).fit(frozen, None, FitContext(0))
    for now, old in zip(frozen.weights, before, strict=True):
        assert torch.equal(now, old)


@BOTH
def test_the_seed_decides_the_result(build: Build) -> None:
    source = Memory(scenes(True), side=96)
    first, again, other = (
        [*fitted(build, source, seed=seed)[0].predict(source)] for seed in (0, 0, 1)
    )
    for one, same, different in zip(first, again, other, strict=True):
        np.testing.assert_array_equal(one.corners, same.corners)
        np.testing.assert_array_equal(one.scores, same.scores)
        assert not np.array_equal(one.scores, different.scores)


@BOTH
def test_fitting_leaves_the_global_generator_alone(build: Build) -> None:
    torch.manual_seed(5)
    expected = torch.rand(1)
    torch.manual_seed(5)
    fitted(build, Memory(scenes(True), side=96), recipe=dataclasses.replace(RECIPE, epochs=1))
    assert torch.equal(torch.rand(1), expected)


@BOTH
@pytest.mark.parametrize("levels", [FOUR, ONE, FOUR[1:3]])
def test_images_without_objects_are_learned_from_and_predicted_for(
    build: Build, levels: Levels
) -> None:
    source = Memory([boxes([], []), *scenes(True)], levels)
    head, chosen = fitted(build, source, levels)
    assert np.isfinite(chosen["loss"]).all()
    assert chosen["steps"] == 4  # the last batch of each epoch holds one image
    assert len([*head.predict(source)]) == 3
    empty = Memory([boxes([], [])], levels)
    _, chosen = fitted(build, empty, levels)
    assert np.isfinite(chosen["loss"]).all()


@BOTH
def test_nothing_of_prediction_is_kept_for_gradients(build: Build) -> None:
    source = Memory(scenes(True))
    head, _ = fitted(build, source, recipe=dataclasses.replace(RECIPE, epochs=1))
    asked, real = [], source.pyramid

    def pyramid(indices: Sequence[int]) -> tuple[Tensor, ...]:
        asked.append(torch.is_grad_enabled())
        return real(indices)

    source.pyramid = pyramid  # type: ignore[method-assign]
    assert [*head.predict(source)]
    assert set(asked) == {False}


@BOTH
def test_predictions_are_within_limits(build: Build) -> None:
    source = Memory(scenes(True) * 3, side=96)
    head, _ = fitted(build, source)
    settings, predictions = head.kind.settings, [*head.predict(source)]
    assert len(predictions) == 6  # more than go through the network at once
    for found in predictions:
        assert 0 < len(found.scores) <= settings.max_detections
        assert found.corners.shape == (len(found.scores), 4, 2)
        assert (np.diff(found.scores) <= 0).all()
        assert found.scores.min() > 0.05
        assert found.scores.max() <= 1
        assert set(found.labels) <= {0, 1, 2}
        inside = found.corners if build is faster_rcnn else found.corners.mean(1)
        assert inside.min() > -1e-3
        assert inside.max() < 96.001


@BOTH
def test_no_more_detections_than_allowed(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    source = Memory(scenes(True), side=96)
    head, _ = fitted(build, source)
    every = [*head.predict(source)]
    fewer = dataclasses.replace(head.kind.settings, max_detections=3)
    monkeypatch.setattr(head.kind, "settings", fewer)
    for few, many in zip(head.predict(source), every, strict=True):
        np.testing.assert_array_equal(few.scores, many.scores[:3])


def test_boxes_without_a_size_are_refused() -> None:
    source = Memory([dataclasses.replace(scenes(False)[0], size=(0, 0))], side=96)
    with pytest.raises(DataError, match="size of their image"):
        fitted(faster_rcnn, source)


def test_a_loss_that_is_not_finite_is_an_error() -> None:
    source = Memory(scenes(False), side=96)
    source.levels[0][:] = math.nan
    with pytest.raises(SkybenchError, match="give a smaller learning rate"):
        fitted(faster_rcnn, source)


def test_the_learning_rate_warms_up_and_drops_twice() -> None:
    factors = [_detector.detector_schedule(step, 120) for step in range(120)]
    assert factors[0] == pytest.approx(1 / 12)
    assert factors[11:80] == [1.0] * 69
    assert factors[80] == pytest.approx(0.1)
    assert factors[110] == pytest.approx(0.01)
    assert (
        _detector.detector_schedule(998, 100_000) < 1 == _detector.detector_schedule(999, 100_000)
    )


def test_mirroring_moves_maps_and_boxes_together() -> None:
    rng = np.random.default_rng(0)
    targets = [dataclasses.replace(t, size=(80, 96)) for t in scenes(True) * 20]
    source = Memory(targets, side=96)
    whole = torch.stack([Memory.painted(t, 96)[:, :80] for t in targets])
    maps, turned = _detector.random_flips([whole], targets, (0, 1), rng)
    changed = 0
    for now, before, mirrored in zip(maps[0], targets, turned, strict=True):
        painted = Memory.painted(mirrored, 96)[:, :80]
        assert (painted != now).float().mean() < 0.01  # but for halves of pixels
        changed += not torch.equal(mirrored.corners, before.corners)
    assert 20 < changed < 40  # three of four
    assert len(source) == 40


@BOTH
def test_out_of_memory_halves_the_images_of_prediction(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Five images, of which two fit at once; the detections are those of one at a time."""
    source = Memory([boxes([(20, 20, 30, 24, 0)], [0])] * 5)
    head, _ = fitted(build, source, recipe=dataclasses.replace(RECIPE, epochs=1))
    expected = list(head.predict(source))
    asked = []
    detect = head.network.detect

    def little(levels: Sequence[Tensor], sizes: Sequence[tuple[int, int]]) -> list[Any]:
        asked.append(len(sizes))
        if len(sizes) > 2:
            raise torch.OutOfMemoryError
        return detect(levels, sizes)

    monkeypatch.setattr(head.network, "detect", little)
    found = list(head.predict(source))
    assert asked == [4, 2, 2, 1]
    assert len(found) == 5
    for one, same in zip(found, expected, strict=True):
        np.testing.assert_allclose(one.corners, same.corners, atol=1e-3)
