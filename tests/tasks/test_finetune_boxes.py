"""Objects of augmented images lie where their boxes say, and are mirrored once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from skybench.core import UINT8, Batch, Boxes, Features, ModelCard, Recipe, Sensor, match
from skybench.core.model import Model
from skybench.features import online
from skybench.features.extractor import Extractor
from skybench.heads import _detector
from skybench.heads._two_stage import TwoStage

from ._finetune import Objects, card_of, learn, painted, task_of

STRIDE = 4
RGB = Sensor("hr", ("red", "green", "blue"), 0.0, UINT8)
LEVELS = ((3, STRIDE), (3, 2 * STRIDE))
CARD = ModelCard("mosaic", "Mosaic", "extra", (RGB,), 3, LEVELS, "ours", "ours", "none")
BOTH = pytest.mark.parametrize(
    ("name", "dataset"), [("horizontal_detection", "dior"), ("oriented_detection", "dior_r")]
)


class Mosaic(Model):
    """Images made smaller: what a detector sees can be compared with what it is told."""

    def __init__(self) -> None:
        super().__init__(CARD)

    def forward(self, batch: Batch) -> Features:
        x = batch.images["hr"][:, 0] / 255
        return Features(x.mean((2, 3)), tuple(F.avg_pool2d(x, s) for _, s in LEVELS))


class Shown(NamedTuple):
    """An image of a training step as the detector got it: [3, h, w] in 0..1."""

    image: Tensor
    target: Boxes


def shown(
    name: str, dataset: str, augment: tuple[str, ...], patch: pytest.MonkeyPatch
) -> list[Shown]:
    """All images of a training, as the network gets them."""
    seen: list[Shown] = []
    scales: list[Any] = []
    forward, start = TwoStage.forward, _detector.detector_training

    def noted(self: TwoStage, levels: Sequence[Tensor], targets: Sequence[Boxes]) -> Any:
        mean, deviation = scales[0].get_buffer("mean0"), scales[0].get_buffer("deviation0")
        images = levels[0].detach() * deviation + mean
        seen.extend(Shown(*pair) for pair in zip(images, targets, strict=True))
        return forward(self, levels, targets)

    def started(network: Any, scale: Any, *given: Any) -> Any:
        scales.append(scale)
        return start(network, scale, *given)

    patch.setattr(TwoStage, "forward", noted)
    patch.setattr(_detector, "detector_training", started)
    task, samples = task_of(name), Objects(card_of(dataset), name)
    (recipe,) = task.recipes(samples.card, "finetune", True)
    recipe = replace(recipe, size=0, epochs=8, augment=augment, width=4)
    learn(task, recipe, Mosaic(), samples)
    assert len(seen) == 8 * len(samples)
    return seen


def pooled(target: Boxes) -> Tensor:
    return F.avg_pool2d(painted(target), STRIDE)


def turns(seen: Sequence[Shown], samples: Objects) -> list[str]:
    """How each image is mirrored: "", "x", "y" or "xy"; each must be one of the samples'."""
    originals = [pooled(samples.read(i).target) for i in range(len(samples))]
    mirrors = {"": (), "x": (-1,), "y": (-2,), "xy": (-1, -2)}
    found = []
    for image, _ in seen:
        away = {
            how: min((image - original.flip(axes)).abs().mean().item() for original in originals)
            for how, axes in mirrors.items()
        }
        best = min(away, key=lambda how: away[how])
        assert away[best] < 0.01
        found.append(best)
    return found


@BOTH
@pytest.mark.parametrize(
    ("augment", "ways"),
    [
        (("flip",), {"", "x"}),
        (("vflip",), {"", "y"}),  # so the head does not mirror by itself, neither along x
        (("flip", "vflip"), {"", "x", "y", "xy"}),
        (("crop=96",), {""}),  # which moves nothing here
    ],
)
def test_mirrored_images_and_boxes_agree(
    name: str, dataset: str, augment: tuple[str, ...], ways: set[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    seen = shown(name, dataset, augment, monkeypatch)
    for image, target in seen:
        assert (image - pooled(target)).abs().mean() < 0.01
    assert {*turns(seen, Objects(card_of(dataset), name))} == ways


@BOTH
def test_without_augmentation_the_head_mirrors_maps_and_boxes(
    name: str, dataset: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen = shown(name, dataset, (), monkeypatch)
    for image, target in seen:
        assert (image - pooled(target)).abs().mean() < 0.01
    ways = {"", "x"} if name == "horizontal_detection" else {"", "x", "y", "xy"}
    assert {*turns(seen, Objects(card_of(dataset), name))} == ways


@BOTH
def test_images_are_seen_as_they_are_when_nothing_learns(name: str, dataset: str) -> None:
    samples, model = Objects(card_of(dataset), name), Mosaic().eval()
    extractor = Extractor(model, match(CARD, samples.card.sensors), "fuse", 0, "cpu")
    source = online.OnlineFeatures(
        extractor, samples, Recipe("finetune", augment=("flip", "vflip"))
    )
    for epoch in range(6):
        source.set_epoch(epoch)
        maps, _ = source.pyramid([0, 1])
        for index, x in enumerate(maps):
            assert (x - pooled(samples.read(index).target)).abs().mean() < 0.01
            assert torch.equal(source.target(index).corners, samples.read(index).target.corners)
