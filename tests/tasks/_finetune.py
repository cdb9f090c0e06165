"""Made samples that any network can learn by heart, and the training of a task on them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple, cast

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from skybench.boxes.geometry import to_corners
from skybench.core import (
    DB,
    REFLECTANCE,
    S2_DISPLAY,
    UINT8,
    Boxes,
    DatasetCard,
    FitContext,
    Head,
    Recipe,
    Sample,
    Task,
    match,
    registry,
)
from skybench.core.dataset import Samples, Split
from skybench.core.model import Model
from skybench.features import online
from skybench.features.extractor import Extractor
from skybench.features.sources import SourceSubset, StreamedFeatures
from skybench.training.step import Stepper

RANGES = {UINT8: (0, 255), S2_DISPLAY: (0, 255), REFLECTANCE: (200, 4000), DB: (-25, -5)}
FEW, SHOWN = 5, 3  # classes in all images, and in one
BLOCK, ACROSS = 4, 4  # pixels of a block, and blocks of an image
SIDE = 96  # pixels of an image with objects
# Of two images: each object's (cx, cy, w, h), then their classes.
OBJECTS = (
    (((20, 20, 32, 24), (40, 72, 24, 32), (68, 32, 44, 24)), (0, 2, 1)),
    (((68, 72, 32, 28), (24, 60, 24, 40), (60, 24, 48, 28)), (0, 1, 2)),
)


def task_of(name: str) -> Task:
    return cast(Task, registry.load("tasks", name).TASK)


def card_of(name: str) -> DatasetCard:
    return cast(DatasetCard, registry.load("datasets", name).CARD)


class Made(Samples):
    """Samples made of a dataset's card alone."""

    split = Split("train", "ours", "", False)

    def __init__(self, card: DatasetCard, task: str, count: int) -> None:
        self.card, self.task = card, task
        self.keys = tuple(f"made{i}" for i in range(count))


class Blocks(Made):
    """Images of blocks, each of one of a few classes that have colours of their own."""

    def __init__(self, card: DatasetCard, task: str, count: int, dates: int) -> None:
        super().__init__(card, task, count)
        rng = np.random.default_rng(0)
        shape = (dates if task == "change_detection" else 1, ACROSS, ACROSS)
        masks = [rng.permutation(FEW)[:SHOWN][rng.integers(SHOWN, size=shape)] for _ in self.keys]
        self.masks = [np.broadcast_to(m, (dates, ACROSS, ACROSS)) for m in masks]
        if self.is_classification and not card.multilabel:
            self.masks = [np.full_like(m, i % FEW) for i, m in enumerate(self.masks)]
        self.colours = {
            s.name: rng.uniform(*RANGES[s.unit], (FEW, len(s.bands))) for s in card.sensors
        }

    @property
    def is_classification(self) -> bool:
        return self.task.endswith("classification")

    def read(self, index: int) -> Sample:
        masks = self.masks[index].repeat(BLOCK, 1).repeat(BLOCK, 2)  # [T, H, W]
        images = {}
        for sensor in self.card.sensors:
            x = self.colours[sensor.name][masks].transpose(0, 3, 1, 2)  # [T, C, H, W]
            bytes_ = RANGES[sensor.unit] == (0, 255)
            images[sensor.name] = torch.from_numpy(x.astype(np.uint8 if bytes_ else np.float32))
        return Sample(self.keys[index], images, self._target(masks))

    def _target(self, masks: NDArray[Any]) -> Any:
        if self.is_classification:
            there = np.isin(np.arange(len(self.card.classes)), masks)
            found = torch.from_numpy(there.astype(np.uint8))
            return found if self.card.multilabel else int(masks[0, 0, 0])
        if self.task != "change_detection":
            masks = masks[0]
        elif self.card.setup(self.task).target is None:  # pairs, whose change is the target
            masks = masks[0] != masks[1]
        return torch.from_numpy(masks.astype(np.uint8))


class Objects(Made):
    """Two images with three objects each, red, green or blue by class; one may be turned."""

    def __init__(self, card: DatasetCard, task: str) -> None:
        super().__init__(card, task, len(OBJECTS))
        self.angle = 0.5 if task == "oriented_detection" else 0.0

    def read(self, index: int) -> Sample:
        rows, labels = OBJECTS[index]
        angles = [[0.0], [0.0], [self.angle]]
        rotated = torch.cat([torch.tensor(rows, dtype=torch.float32), torch.tensor(angles)], 1)
        none = torch.zeros(len(labels), dtype=torch.bool)
        target = Boxes(to_corners(rotated), torch.tensor(labels), none, (SIDE, SIDE))
        image = (255 * painted(target)).to(torch.uint8)
        return Sample(self.keys[index], {"hr": image[None]}, target)


def painted(target: Boxes) -> Tensor:
    """An image [3, SIDE, SIDE] in 0..1 of objects in the colour of their class."""
    image = torch.zeros(3, SIDE, SIDE)
    y, x = torch.meshgrid(*[torch.arange(SIDE) + 0.5] * 2, indexing="ij")
    for corners, label in zip(target.corners, target.labels.tolist(), strict=True):
        (cx, cy), (wx, wy), (hx, hy) = (
            corners.mean(0).tolist(),
            (corners[1] - corners[0]).tolist(),
            (corners[2] - corners[1]).tolist(),
        )
        w, h = math.hypot(wx, wy), math.hypot(hx, hy)
        along = ((x - cx) * wx + (y - cy) * wy).abs() / w
        across = ((x - cx) * hx + (y - cy) * hy).abs() / h
        image[label][(along < w / 2) & (across < h / 2)] = 1
    return image


class Learned(NamedTuple):
    """What a training left behind."""

    model: Model
    head: Head
    source: SourceSubset
    losses: Sequence[float]  # of each epoch
    loss: nn.Module  # whose parameters are those of "head" and "backbone"
    reached: dict[str, int]  # parameter -> the first step that gave it a gradient
    before: dict[str, Tensor]  # the model's state


def learn(task: Task, recipe: Recipe, model: Model, samples: Samples) -> Learned:
    """Trains a head, and the backbone with it where the recipe says so, on all samples."""
    recipe = replace(recipe, state="last", validate=0)  # nothing is held out
    found = match(model.card, samples.card.sensors)
    extractor = Extractor(model, found, task.time, recipe.size, "cpu")
    tuned = task.protocol(recipe.protocol).trains_backbone
    whole = (
        online.OnlineFeatures(extractor, samples, recipe, frozen=not tuned)
        if tuned or recipe.augment
        else StreamedFeatures(extractor, samples)
    )
    source = SourceSubset(whole, range(len(samples)))
    images = samples.read(0).images
    dates = {n: 1 if task.time == "keep" else len(images[f.sensor]) for n, f in found.items()}
    head = task.head(recipe, replace(model.card, levels=model.levels_of(dates)), samples.card)
    setting = FitContext(0, backbone=model if tuned else None)
    if isinstance(whole, online.OnlineFeatures):
        setting = setting._replace(on_epoch_start=whole.set_epoch, prefetch=source.prefetch)
    before = {name: x.clone() for name, x in model.state_dict().items()}
    reached: dict[str, int] = {}
    steppers: list[Stepper] = []
    real = Stepper.__call__

    def noted(self: Stepper, *given: Any) -> Tensor:
        loss = real(self, *given)
        steppers.append(self)
        for name, parameter in self.loss.named_parameters():
            if parameter.grad is not None and parameter.grad.any():
                reached.setdefault(name, len(steppers))
        return loss

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Stepper, "__call__", noted)
        losses = head.fit(source, None, setting)["loss"]
    return Learned(model, head, source, losses, steppers[0].loss, reached, before)


def score(task: Task, learned: Learned, samples: Samples) -> float:
    """The main score on what was learned from."""
    metric = task.metric(samples.card)
    with torch.inference_mode():
        for i, said in enumerate(learned.head.predict(learned.source)):
            metric.update(said, learned.source.target(i), samples.keys[i])
    return float(next(iter(metric.scores().values())))
