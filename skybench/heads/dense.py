"""Dense heads on feature pyramids: trained under a recipe, for a class or a value per pixel."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from skybench.augment import test_time
from skybench.core import IGNORE, FitContext, Recipe, Source

# Tasks of other packages import these from here.
from skybench.heads.decoders import DateDifference as DateDifference
from skybench.heads.decoders import EachDate as EachDate
from skybench.heads.decoders import Levels as Levels
from skybench.heads.decoders import Linear as Linear
from skybench.heads.decoders import UNet as UNet
from skybench.heads.decoders import UPerNet as UPerNet
from skybench.heads.shared_features import SharedFeatures
from skybench.training.checkpoints import fork_rng
from skybench.training.fit import (
    PixelLoss,
    cross_entropy,
    dense_training,
    divisor,
    predict_in_batches,
    resize_maps,
    validation_scorer,
)
from skybench.training.lockstep import Stepwise, finish

SEEN = 256  # samples from which mean and deviation of the features are estimated
CHUNK = 8  # samples in a forward pass of prediction


class Standardise(nn.Module):
    """Standardises every channel of every level by its statistics on training data.

    Without it a learning rate would favour models whose features happen to have a certain scale.
    Shared features are standardised already, and stay as they are.
    """

    @torch.no_grad()
    def __init__(self, source: Source) -> None:
        super().__init__()
        self.count = 0
        if isinstance(source, SharedFeatures):
            return
        picked = range(0, len(source), max(1, -(-len(source) // SEEN)))
        sums: list[Tensor] = []
        for start in range(0, len(picked), CHUNK):
            for sample in zip(*source.pyramid(picked[start : start + CHUNK]), strict=True):
                moments = [_moments(x) for x in sample]
                sums = [a + b for a, b in zip(sums, moments, strict=True)] if sums else moments
        self.count = len(sums)
        for i, total in enumerate(sums):
            mean, square = total / len(picked)
            deviation = divisor(mean, (square - mean * mean).clamp(min=0).sqrt())
            self.register_buffer(f"mean{i}", mean.float()[:, None, None])
            self.register_buffer(f"deviation{i}", deviation.float()[:, None, None])

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        if not self.count:
            return [*levels]
        means = [self.get_buffer(f"mean{i}") for i in range(self.count)]
        deviations = [self.get_buffer(f"deviation{i}") for i in range(self.count)]
        return [(x - m).div_(d) for x, m, d in zip(levels, means, deviations, strict=True)]


def _moments(level: Tensor) -> Tensor:
    """The mean of each channel of a sample's maps [..., C, h, w] and of its squares: [2, C]."""
    # In float32 a mean much larger than the deviation would cancel it.
    x = level.double()[None].flatten(0, -4)  # [T, C, h, w]
    return torch.stack([x.mean((0, 2, 3)), (x * x).mean((0, 2, 3))])


class PixelAnswer(NamedTuple):
    """The loss of a dense head, and how its maps become a prediction."""

    loss: PixelLoss  # maps [B, K, h, w] and targets [B, H, W] -> scalar
    decide: Callable[[Tensor], Tensor]  # maps [T, K, H, W] -> prediction [T, H, W]
    activate: Callable[[Tensor], Tensor] = lambda maps: maps  # before maps of views are averaged


def classify(ignore: int = IGNORE, recipe: Recipe | None = None) -> PixelAnswer:
    """Return cross-entropy and argmax; mask pixels with the value `ignore` have no label.

    recipe: its label smoothing and its loss, "all-pixels" or the usual one (see `cross_entropy`).
    """
    smoothing = recipe.smoothing if recipe else 0.0
    every = recipe is not None and recipe.loss == "all-pixels"
    loss = functools.partial(cross_entropy, ignore=ignore, smoothing=smoothing, all_pixels=every)
    return PixelAnswer(loss, lambda maps: maps.argmax(1), lambda maps: maps.softmax(1))


CLASSIFY = classify()


class Dense:
    """A dense classifier, or with another `answer` a regressor, trained under a recipe.

    The last state counts, or the best on validation if the recipe asks for scores on it. The
    recipe's views are test-time augmentation, see `skybench.augment.test_time`.
    """

    def __init__(
        self, build: Callable[[Levels, int, int], nn.Module], levels: Levels, classes: int,
        recipe: Recipe, answer: PixelAnswer = CLASSIFY,
    ) -> None:  # fmt: skip
        self.build, self.levels, self.classes, self.recipe = build, levels, classes, recipe
        self.answer = answer

    def fit(self, train: Source, val: Source | None, setting: FitContext) -> Mapping[str, Any]:
        return finish(self.fit_stepwise(train, val, setting))

    def fit_stepwise(
        self, train: Source, val: Source | None, setting: FitContext
    ) -> Stepwise[Mapping[str, Any]]:
        """Train as `fit` does, with a pause after each step."""
        self.device = setting.device
        with fork_rng(setting.device):
            torch.manual_seed(setting.seed)
            body = self.build(self.levels, self.classes, self.recipe.width)
            self.head = nn.Sequential(Standardise(train), body).to(self.device)
            score = validation_scorer(self, val, self.recipe, setting)
            loop = dense_training(self.head, train, self.recipe, setting, score, self.answer.loss)
            trained = yield from loop.stepwise()
        parameters = sum(p.numel() for p in self.head.parameters())
        return {**trained.facts(), "parameters": parameters}

    @torch.inference_mode()
    def predict(self, test: Source) -> Iterator[Any]:
        yield from predict_in_batches(len(test), CHUNK, functools.partial(self._maps, test))

    def _maps(self, test: Source, start: int, most: int) -> list[Any]:
        """Predict up to `most` samples; with views a single one, `most` windows at a time."""
        indices = range(start, min(start + (1 if self.recipe.views else most), len(test)))
        answers = (
            self._averaged(test, start, most)
            if self.recipe.views
            else self._logits(test.pyramid(indices))
        )
        predictions = []
        for index, dates in zip(indices, answers.tensor_split(len(indices)), strict=True):
            shape = test.target(index).shape
            large = resize_maps(dates, shape[-2:])
            predictions.append(self.answer.decide(large).reshape(shape).cpu().numpy())
        return predictions

    def _averaged(self, test: Source, index: int, most: int) -> Tensor:
        """The mean maps [T, K, H, W] over all views of a sample, at its target's size."""
        batch, levels = cast(test_time.ViewSource, test).open_batch([index])
        shape = test.target(index).shape
        return test_time.average_views(
            test_time.parse_views(self.recipe.views),
            batch,
            lambda part: self._logits(levels(part)),
            most,
            (shape[-2], shape[-1]),
            self.answer.activate,
        )

    def _logits(self, levels: Sequence[Tensor]) -> Tensor:
        (logits,) = self.head([x.to(self.device) for x in levels])
        return cast(Tensor, logits).float()
