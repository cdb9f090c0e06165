"""The interface of a model, and the one place where models without time meet series."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from skybench.core.cards import ModelCard
from skybench.core.errors import CannotRun
from skybench.core.loaded import LoadInfo
from skybench.core.sample import Batch, Features, Time


class Model(nn.Module, abc.ABC):
    """An adapter: raw sensor units in, features out. It normalises; it never fits a head."""

    loaded: LoadInfo = LoadInfo("none")  # set by skybench.weights.load.load_model

    def __init__(self, card: ModelCard) -> None:
        super().__init__()
        self.card = card  # `dim` and `levels` are those of this variant

    @abc.abstractmethod
    def forward(self, batch: Batch) -> Features:
        """Normalises and extracts.

        batch.images: some of `card.inputs` by name, [B, 1, C, H, W] ([B, T, C, H, W] where
        `card.temporal`), float32 in the input's unit; H, W as `card.min_pixels` and
        `card.multiple`, or `card.sides`, ask.
        """

    def levels_of(self, inputs: Mapping[str, int]) -> tuple[tuple[int, int], ...]:
        """(channels, stride) of the pyramid that these inputs give; input -> number of dates."""
        return self.card.levels

    def layers(self) -> Sequence[nn.Module]:
        """From stem to last block, for layer-wise learning-rate decay.

        Positions and tokens go in the stem; what belongs to no layer, such as output norms, learns
        at the head's rate.
        """
        return tuple(self.children())


def encode(model: Model, batch: Batch, time: Time) -> list[Features]:
    """One Features for each kept date; `batch` is already selected for the model."""
    lengths = {x.shape[1] for x in batch.images.values()} | {1}
    if time == "fuse" and (model.card.temporal or lengths == {1}):
        return [model(batch)]
    if len(lengths) > 2:
        raise CannotRun(f"{model.card.name} has no time, and the series differ: {sorted(lengths)}")
    seen = _seen(model.card.name, batch, max(lengths))
    each: list[Features] = [model(batch.at(t)) for t in range(max(lengths))]
    if time == "keep":
        return each
    share = (seen / seen.sum(1, keepdim=True)).T  # [T, B]
    fused = [
        torch.einsum("tb...,tb->b...", torch.stack(levels), share)
        for levels in zip(*((f.pooled, *f.pyramid) for f in each), strict=True)
    ]
    return [Features(fused[0], tuple(fused[1:]))]


def _seen(name: str, batch: Batch, length: int) -> Tensor:
    """Which dates are there, float [B, T]; a sample whose series differ in length is refused."""
    series = torch.stack([s for s in batch.seen.values() if s.shape[1] == length])
    uneven = (series != series[0]).any(0).any(1).tolist()
    if True in uneven:
        key = batch.keys[uneven.index(True)]
        raise CannotRun(f"{name} has no time, and the series of {key} differ in length")
    return series[0].float()
