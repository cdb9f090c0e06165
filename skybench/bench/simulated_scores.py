"""Simulated test sets of a known truth, with and without clusters: `skybench bench statistics`.

A unit (image, scene) has its own difficulty, its own mix of classes and its own luck with each
model; `effect` says how strong these are. Its samples (tiles) share them. The models of a set are
equal on average, and differ by chance.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skybench.core import Metric
from skybench.metrics.accuracy import Accuracy
from skybench.metrics.average_precision import COCO_RECALLS, Ranked, box_average_precision
from skybench.metrics.change import Change
from skybench.metrics.matching import Verdicts
from skybench.metrics.multilabel import MultiLabel
from skybench.metrics.segmentation import Segmentation, nan_mean

Floats = NDArray[np.float64]
Rng = np.random.Generator
CLASSES = ("a", "b", "c", "d", "e")
FREQUENT = np.array([4.0, 3.0, 2.0, 2.0, 1.0])  # relative frequency of the classes
EFFECTS = {"none": 0.0, "mild": 0.4, "strong": 1.2}


class Shape(NamedTuple):
    """The test set: its independent units, the samples of each, and the effects of units."""

    units: int
    samples: int = 1
    effect: str = "none"

    @property
    def groups(self) -> list[str]:
        """The unit of each sample."""
        return [f"unit{i // self.samples}" for i in range(self.units * self.samples)]


class UnitEffects(NamedTuple):
    """For each sample: its unit's difficulty, size, and luck of each model, [N] or [models, N]."""

    easy: Floats
    size: Floats
    luck: Floats


def unit_effects(shape: Shape, models: int, rng: Rng) -> UnitEffects:
    """Draw the effects of units, and repeat them for their samples."""
    strength = EFFECTS[shape.effect]
    easy, size = rng.normal(0, strength, (2, shape.units))
    luck = rng.normal(0, 0.6 * strength, (models, shape.units))
    each = (np.repeat(values, shape.samples, axis=-1) for values in (easy, size, luck))
    return UnitEffects(*each)


def _share(logit: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-logit)))


def accuracies(level: float) -> Callable[[Shape, int, Rng], list[Metric]]:
    """Return a simulator of single-label classification of this accuracy in easy images."""

    def simulate(shape: Shape, models: int, rng: Rng) -> list[Metric]:
        effects, count = unit_effects(shape, models, rng), shape.units * shape.samples
        true = rng.choice(len(CLASSES), count, p=FREQUENT / FREQUENT.sum())
        own = rng.normal(0, 0.5, count) + effects.easy
        found: list[Metric] = []
        for luck in effects.luck:
            right = rng.random(count) < _share(np.log(level / (1 - level)) + own + luck)
            metric = Accuracy(CLASSES)
            metric.true = true.tolist()
            metric.predicted = np.where(right, true, (true + 1) % len(CLASSES)).tolist()
            found.append(metric)
        return found

    return simulate


def segmentations(shape: Shape, models: int, rng: Rng) -> list[Metric]:
    """Simulate confusion matrices of tiles whose classes and errors depend on their image."""
    effects, count, classes = unit_effects(shape, models, rng), shape.units * shape.samples, 5
    even = 40.0 if shape.effect == "none" else 4.0 / EFFECTS[shape.effect]
    mix = rng.gamma(FREQUENT / FREQUENT.sum() * even, size=(shape.units, classes)) + 1e-6
    mix = np.repeat(mix / mix.sum(1, keepdims=True), shape.samples, axis=0)
    area = rng.gamma(mix * 8 + 1e-3) + 1e-9
    pixels = 4096 * area / area.sum(1, keepdims=True)
    own = rng.normal(0, 0.5, (count, 1)) + effects.easy[:, None]
    found: list[Metric] = []
    place = np.arange(classes)
    for luck in effects.luck:
        easy = np.array([1.8, 1.5, 1.2, 0.8, 0.4]) + own + luck[:, None]
        hit = pixels * _share(easy + rng.normal(0, 0.5, (count, classes)))
        matrices = np.zeros((count, classes, classes))
        matrices[:, place, place] = hit
        matrices[:, place, (place + 1) % classes] = 0.6 * (pixels - hit)
        matrices[:, place, (place - 1) % classes] = 0.4 * (pixels - hit)
        metric: Any = Segmentation(CLASSES, "miou")
        metric.matrices = [*matrices]
        found.append(metric)
    return found


def changes(shape: Shape, models: int, rng: Rng) -> list[Metric]:
    """Simulate change maps: 40 % of the tiles have no change, the others areas of any size."""
    effects, count = unit_effects(shape, models, rng), shape.units * shape.samples
    size = rng.lognormal(6.0 + effects.size, 0.9)
    area = np.where(rng.random(count) < 0.4, 0.0, size)
    own = rng.normal(0, 0.5, count) + effects.easy
    found: list[Metric] = []
    for luck in effects.luck:
        hit = area * _share(1.2 + own + luck + rng.normal(0, 0.6, count))
        false = rng.lognormal(4.1 + 0.5 * (effects.size - effects.easy - luck), 1.0)
        matrices = np.zeros((count, 2, 2))
        matrices[:, 1, 1], matrices[:, 1, 0] = hit, area - hit
        matrices[:, 0, 1], matrices[:, 0, 0] = false, 65536.0
        metric: Any = Change()
        metric.pixels.matrices = [*matrices]
        metric.keys = ["scene_0_0"] * count  # of `f1_image`, which is not looked at
        found.append(metric)
    return found


def multilabels(shape: Shape, models: int, rng: Rng) -> list[Metric]:
    """Simulate scores of five classes in images of different difficulty."""
    effects, count = unit_effects(shape, models, rng), shape.units * shape.samples
    true = rng.random((count, 5)) < [0.5, 0.4, 0.3, 0.2, 0.15]
    own = rng.normal(0, 0.5, (count, 1))
    found: list[Metric] = []
    for luck in effects.luck:
        clear = 1.5 + 0.5 * (effects.easy + luck)[:, None]
        scores = true * clear + own + rng.normal(0, 1, (count, 5))
        metric = MultiLabel(CLASSES, 0)
        metric.predicted, metric.true = [*scores], [*true]
        found.append(metric)
    return found


class RankedBoxes:
    """AP at one IoU of detections that are matched already; scores as a `Metric` has them."""

    def __init__(self, ranked: Sequence[Ranked]) -> None:
        self.ranked = ranked

    def scores(self, weights: Floats | None = None) -> dict[str, Any]:
        """Return `ap50` in percent: a float, or an array [B] for weights [B, N]."""
        w = np.ones((1, len(self.ranked[0].objects))) if weights is None else weights
        each = [box_average_precision(one, w, (COCO_RECALLS,))[0][:, 0] for one in self.ranked]
        found = nan_mean(np.stack(each, -1)) * 100
        return {"ap50": float(found[0]) if weights is None else found}


def detections(shape: Shape, models: int, rng: Rng) -> list[Any]:
    """Simulate detections of five classes: found objects and false alarms, with their scores."""
    effects, count = unit_effects(shape, models, rng), shape.units * shape.samples
    dense = rng.gamma(2, 0.5, count) * np.exp(0.7 * effects.size)
    found: list[list[Ranked]] = [[] for _ in range(models)]
    for rate in FREQUENT:
        objects = rng.poisson(rate * dense)
        image = np.repeat(np.arange(count), objects)
        seen = rng.normal(0.8, 0.7, len(image)) + effects.easy[image]
        for ranked, luck in zip(found, effects.luck, strict=True):
            hit = image[rng.random(len(image)) < _share(seen + luck[image])]
            alarms = rng.poisson(0.6 * rate * np.exp(-0.4 * (effects.easy + luck)))
            images = np.concatenate([hit, np.repeat(np.arange(count), alarms)])
            right = np.arange(len(images)) < len(hit)
            clear = 1.2 * right + 0.3 * (effects.easy + luck)[images]
            order = np.argsort(-rng.normal(clear, 1))
            verdict = Verdicts(right[order, None], np.zeros((len(images), 1), bool))
            ranked.append(Ranked(images[order], verdict, objects.astype(float)))
    return [RankedBoxes(ranked) for ranked in found]
