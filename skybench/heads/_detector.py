"""Detection heads: training and prediction of two-stage detectors on a source's features."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skybench.boxes.detections import Detections
from skybench.boxes.geometry import flip_corners
from skybench.core import Boxes, FitContext, Recipe, Source
from skybench.heads._roi_stages import BoxKind
from skybench.heads._two_stage import TwoStage
from skybench.heads.decoders import Levels
from skybench.heads.dense import Standardise
from skybench.training.checkpoints import fork_rng
from skybench.training.fit import predict_in_batches, validation_scorer
from skybench.training.lockstep import Stepwise, finish
from skybench.training.loop import TrainingLoop
from skybench.training.lr_schedules import DROPS, Moment, Schedule, multistep, recipe_schedule
from skybench.training.step import TrainingJob

CHUNK = 4  # images in a forward pass of prediction
WARM_UP = (1000, 0.1)  # steps, as mmdetection for DIOR, but at most this share of all steps


def detector_schedule(step: int, steps: int) -> float:
    """Return the factor on the learning rate: linear warm-up, then two step decays."""
    warm = max(1, min(WARM_UP[0], math.ceil(WARM_UP[1] * steps)))
    return min(1.0, (step + 1) / warm) * multistep(Moment(step, steps, warm, 0), DROPS)


def random_flips(
    levels: Sequence[Tensor],
    targets: Sequence[Boxes],
    axes: Sequence[int],
    rng: np.random.Generator,
) -> tuple[list[Tensor], list[Boxes]]:
    """Mirror the maps and boxes of random images, half of them along each axis (0: x, 1: y)."""
    maps, boxes = list(levels), list(targets)
    for axis in axes:
        drawn = rng.random(len(boxes)) < 0.5
        chosen = torch.from_numpy(drawn).to(maps[0].device)[:, None, None, None]
        maps = [torch.where(chosen, x.flip(-1 - axis), x) for x in maps]
        for i in np.flatnonzero(drawn):
            side = boxes[i].size[1 - axis]
            boxes[i] = replace(boxes[i], corners=flip_corners(boxes[i].corners, side, axis))
    return maps, boxes


def detector_training(
    network: TwoStage,
    scale: Standardise,
    source: Source,
    recipe: Recipe,
    setting: FitContext,
    score: Callable[[], float] | None = None,
) -> TrainingLoop:
    """Return a detector's training on feature maps; sample order and flips follow the seed.

    Images without objects are used too; mmdetection and mmrotate leave them out.
    """

    def loss_of(indices: list[int], rng: np.random.Generator) -> Tensor:
        levels = scale([x.to(setting.device) for x in source.pyramid(indices)])
        targets = [source.target(i) for i in indices]
        # With augmentation the backbone sees augmented images instead: skybench.augment.apply.
        axes = () if recipe.augment else network.kind.settings.flips
        maps, boxes = random_flips(levels, targets, axes, rng)
        return torch.stack([*network(maps, boxes).values()]).sum()

    schedule = recipe_schedule(recipe, Schedule(detector_schedule), len(source))
    job = TrainingJob(loss_of, schedule, score)
    return TrainingLoop(network, len(source), recipe, setting, job)


class Detector:
    """A two-stage detector trained under a recipe, by default up to the last epoch.

    Targets are `core.Boxes` with image sizes, predictions `Detections`, both in image pixels.
    """

    def __init__(self, kind: BoxKind, levels: Levels, classes: int, recipe: Recipe) -> None:
        self.kind, self.levels, self.classes, self.recipe = kind, levels, classes, recipe

    def fit(self, train: Source, val: Source | None, setting: FitContext) -> Mapping[str, Any]:
        return finish(self.fit_stepwise(train, val, setting))

    def fit_stepwise(
        self, train: Source, val: Source | None, setting: FitContext
    ) -> Stepwise[Mapping[str, Any]]:
        """Train as `fit` does, with a pause after each step."""
        self.device = setting.device
        with fork_rng(self.device):
            torch.manual_seed(setting.seed)
            network = TwoStage(self.kind, self.levels, self.classes, self.recipe.width)
            self.network, self.scale = network.to(self.device), Standardise(train).to(self.device)
            score = validation_scorer(self, val, self.recipe, setting)
            loop = detector_training(self.network, self.scale, train, self.recipe, setting, score)
            trained = yield from loop.stepwise()
        parameters = sum(p.numel() for p in self.network.parameters())
        return {**trained.facts(), "parameters": parameters}

    @torch.no_grad()
    def predict(self, test: Source) -> Iterator[Any]:
        yield from predict_in_batches(len(test), CHUNK, functools.partial(self._detect, test))

    def _detect(self, test: Source, start: int, most: int) -> list[Detections]:
        indices = range(start, min(start + most, len(test)))
        levels = self.scale([x.to(self.device) for x in test.pyramid(indices)])
        return self.network.detect(levels, [test.target(i).size for i in indices])
