"""Training by gradient descent, of a head alone or of a backbone with its head."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skybench.core import IGNORE, FitContext, Head, Recipe, Source
from skybench.training.loop import TrainingLoop, TrainingResult
from skybench.training.lr_schedules import Schedule, linear_decay, recipe_schedule
from skybench.training.step import TrainingJob

AUXILIARY = 0.4  # weight of the auxiliary loss; mmsegmentation's UPerNet configurations


def divisor(mean: Tensor, deviation: Tensor) -> Tensor:
    """Return the divisor of centred features: their standard deviation, 1 if a channel is constant.

    A channel that is constant in training but not in the test would otherwise be scaled up
    without bound, and dominate every prediction.
    """
    return torch.where(deviation > 1e-6 * mean.abs().clamp(min=1), deviation, 1.0)


def resize_maps(maps: Tensor, size: Sequence[int]) -> Tensor:
    """Resize maps [..., C, h, w] bilinearly to (height, width); of that size they are returned.

    Interpolation to their own size gives the same values, at the cost of a copy and its gradient.
    """
    same = maps.shape[-2:] == tuple(size)
    return maps if same else F.interpolate(maps, tuple(size), mode="bilinear")


def cross_entropy(
    logits: Tensor,
    masks: Tensor,
    ignore: int = IGNORE,
    smoothing: float = 0.0,
    all_pixels: bool = False,
) -> Tensor:
    """Return the mean cross-entropy over labelled pixels; 0 if there is none.

    logits: [B, K, h, w], resized to the masks; masks: class ids [B, H, W], `ignore` where there
    is no label; or a mask for each date [B, T, H, W], with logits [B * T, K, h, w]. smoothing: of
    the labels. all_pixels: the mean over all pixels, to which those without a label add 0: what
    mmsegmentation's CrossEntropyLoss gives by default (avg_non_ignore=False).
    """
    masks = masks.flatten(0, -3)
    n = len(masks)
    # One map at a time stays in the processor's cache; the gradients are the same.
    sums = [
        F.cross_entropy(
            resize_maps(one, mask.shape[1:]), mask.long(), ignore_index=ignore, reduction="sum",
            label_smoothing=smoothing,
        )
        for one, mask in zip(logits.tensor_split(n), masks.tensor_split(n), strict=True)
    ]  # fmt: skip
    count = masks.numel() if all_pixels else (masks != ignore).sum().clamp(min=1)
    return torch.stack(sums).sum() / count


PixelLoss = Callable[[Tensor, Tensor], Tensor]


def train(
    head: nn.Module,
    count: int,
    recipe: Recipe,
    setting: FitContext,
    job: TrainingJob,
) -> TrainingResult:
    """Train a head, and `setting.backbone` if given, by gradient descent on `count` samples.

    The seed decides the order of samples. All modules end in evaluation mode. With
    `setting.folder`, training resumes from its last checkpoint.
    Raises SkybenchError if the loss is not finite, or if a single sample does not fit in memory.
    """
    return TrainingLoop(head, count, recipe, setting, job).run()


def validation_scorer(
    head: Head, val: Source | None, recipe: Recipe, setting: FitContext
) -> Callable[[], float] | None:
    """Return a function that scores a head on validation, None if the recipe asks for none.

    val: the test split where the recipe's state is "best-on-test".
    """
    scores = setting.validation_scores
    if not recipe.scored_every or val is None or scores is None:
        return None
    return lambda: scores([head], val)[0]


def predict_in_batches(
    count: int, most: int, answers: Callable[[int, int], Sequence[Any]]
) -> Iterator[Any]:
    """Yield predictions for all `count` samples, in order.

    answers(start, most): predictions of up to `most` samples from `start` on. Out of memory halves
    `most` from then on. Raises torch.OutOfMemoryError if a single sample does not fit.
    """
    start = 0
    while start < count:
        predictions: Sequence[Any] = ()
        try:
            predictions = answers(start, most)
        except torch.OutOfMemoryError:
            if most == 1:
                raise
        if len(predictions):
            yield from predictions
            start += len(predictions)
        else:  # outside of `except`, whose traceback still holds the batch's tensors
            torch.cuda.empty_cache()
            most //= 2


def dense_training(
    head: nn.Module,
    source: Source,
    recipe: Recipe,
    setting: FitContext,
    score: Callable[[], float] | None = None,
    pixel_loss: PixelLoss = cross_entropy,
) -> TrainingLoop:
    """Return the training of a head whose forward gives maps: the answer, then auxiliary ones.

    pixel_loss(maps [B, K, h, w], targets [B, H, W]) gives a scalar; by default cross-entropy.
    """

    def loss_of(indices: list[int], rng: np.random.Generator) -> Tensor:
        levels = [x.to(setting.device) for x in source.pyramid(indices)]
        masks = torch.from_numpy(np.stack([source.target(i) for i in indices])).to(setting.device)
        answer, *auxiliary = head(levels)
        loss = pixel_loss(answer, masks)
        for logits in auxiliary:
            loss = loss + AUXILIARY * pixel_loss(logits, masks)
        return loss

    schedule = recipe_schedule(recipe, Schedule(linear_decay), len(source))
    job = TrainingJob(loss_of, schedule, score)
    return TrainingLoop(head, len(source), recipe, setting, job)
