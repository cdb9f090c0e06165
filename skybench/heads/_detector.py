"""Detection on features that are already there: training, and the head around it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skybench.boxes.geometry import flip
from skybench.core import Boxes, Recipe, Setting, Source
from skybench.heads._roi_stages import Kind
from skybench.heads._two_stage import TwoStage
from skybench.heads.dense import Levels, Scale
from skybench.training.fit import scorer, train
from skybench.training.loop import Trained
from skybench.training.lr_schedules import Schedule, drops, scheduled
from skybench.training.step import Job

CHUNK = 4  # images in one forward pass of prediction
CLIP = 35.0  # norm of the gradient; mmrotate's schedules
WARM_UP = (1000, 0.1)  # steps of mmdetection's schedule for DIOR, but this share of all at most


def rate(step: int, steps: int) -> float:
    """The factor on the learning rate: linear warm-up, then two drops."""
    warm = max(1, min(WARM_UP[0], math.ceil(WARM_UP[1] * steps)))
    return min(1.0, (step + 1) / warm) * drops(step, steps, warm)


def mirrored(
    levels: Sequence[Tensor],
    targets: Sequence[Boxes],
    axes: Sequence[int],
    rng: np.random.Generator,
) -> tuple[list[Tensor], list[Boxes]]:
    """Half of the images, drawn for each axis (0: x, 1: y), with maps and boxes mirrored."""
    maps, boxes = list(levels), list(targets)
    for axis in axes:
        drawn = rng.random(len(boxes)) < 0.5
        chosen = torch.from_numpy(drawn).to(maps[0].device)[:, None, None, None]
        maps = [torch.where(chosen, x.flip(-1 - axis), x) for x in maps]
        for i in np.flatnonzero(drawn):
            side = boxes[i].size[1 - axis]
            boxes[i] = replace(boxes[i], corners=flip(boxes[i].corners, side, axis))
    return maps, boxes


def train_detector(
    network: TwoStage,
    scale: Scale,
    source: Source,
    recipe: Recipe,
    setting: Setting,
    score: Callable[[], float] | None = None,
) -> Trained:
    """Trains a detector on a source's maps; the order of samples and mirroring follow the seed.

    Images without objects are learned from too; mmdetection and mmrotate leave them out.
    """

    def loss_of(indices: list[int], rng: np.random.Generator) -> Tensor:
        levels = scale([x.to(setting.device) for x in source.pyramid(indices)])
        targets = [source.target(i) for i in indices]
        # A backbone that learns sees mirrored images instead: skybench.augment.apply.
        axes = () if recipe.augment else network.kind.rules.flips
        maps, boxes = mirrored(levels, targets, axes, rng)
        return torch.stack([*network(maps, boxes).values()]).sum()

    job = Job(loss_of, scheduled(recipe, Schedule(rate, CLIP)), score)
    return train(network, len(source), recipe, setting, job)


class Detector:
    """A two-stage detector trained for the recipe's fixed schedule; the last state counts.

    Targets are `core.Boxes` with sizes, predictions `Detections`, both in pixels of the images.
    """

    def __init__(self, kind: Kind, levels: Levels, classes: int, recipe: Recipe) -> None:
        self.kind, self.levels, self.classes, self.recipe = kind, levels, classes, recipe

    def fit(self, train: Source, val: Source | None, setting: Setting) -> Mapping[str, Any]:
        self.device = setting.device
        with torch.random.fork_rng():
            torch.manual_seed(setting.seed)
            network = TwoStage(self.kind, self.levels, self.classes, self.recipe.width)
            self.network, self.scale = network.to(self.device), Scale(train).to(self.device)
            score = scorer(self, val, self.recipe, setting)
            trained = train_detector(self.network, self.scale, train, self.recipe, setting, score)
        parameters = sum(p.numel() for p in self.network.parameters())
        return {**trained.facts(), "parameters": parameters}

    @torch.no_grad()
    def predict(self, test: Source) -> Iterator[Any]:
        for start in range(0, len(test), CHUNK):
            indices = range(start, min(start + CHUNK, len(test)))
            levels = self.scale([x.to(self.device) for x in test.pyramid(indices)])
            yield from self.network.detect(levels, [test.target(i).size for i in indices])
