"""Training by gradient descent: of heads, and of a backbone along with its head."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skybench.core import IGNORE, Head, Recipe, Setting, Source
from skybench.training.loop import Loop, Trained
from skybench.training.lr_schedules import Schedule, rate, scheduled
from skybench.training.step import Job

AUXILIARY = 0.4  # weight of the auxiliary loss; mmsegmentation's UPerNet configurations


def divisor(mean: Tensor, deviation: Tensor) -> Tensor:
    """What centred features are divided by: their deviation, but 1 for a constant channel.

    A channel that is constant in training and not in the test would otherwise be blown up, and
    decide every prediction there.
    """
    return torch.where(deviation > 1e-6 * mean.abs().clamp(min=1), deviation, 1.0)


def cross_entropy(logits: Tensor, masks: Tensor) -> Tensor:
    """Mean over the pixels that count; 0 where none does.

    logits: [B, K, h, w], brought to the masks' size; masks: [B, H, W] uint8, 255 = ignore. Of
    masks [B, T, H, W] each date has logits, [B * T, K, h, w].
    """
    masks = masks.flatten(0, -3)
    logits = F.interpolate(logits, masks.shape[1:], mode="bilinear")
    total = F.cross_entropy(logits, masks.long(), ignore_index=IGNORE, reduction="sum")
    return total / (masks != IGNORE).sum().clamp(min=1)


def train(
    head: nn.Module,
    count: int,
    recipe: Recipe,
    setting: Setting,
    job: Job,
) -> Trained:
    """The loop of every head: AdamW over `count` samples in the seed's order, for all steps.

    A backbone that learns is in training mode meanwhile, and in evaluation mode afterwards. With
    a folder to keep them in, training goes on from its last checkpoint.
    Raises SkybenchError when the loss is not finite, or a single sample is too much for memory.
    """
    return Loop(head, count, recipe, setting, job).run()


def scorer(
    head: Head, val: Source | None, recipe: Recipe, setting: Setting
) -> Callable[[], float] | None:
    """How a head is scored between epochs, None where the recipe does not ask for it."""
    judge = setting.judge
    if not recipe.validate or val is None or judge is None:
        return None
    return functools.partial(judge, head, val)


def predicted(count: int, most: int, answers: Callable[[int, int], Sequence[Any]]) -> Iterator[Any]:
    """What `answers` gives for samples from a first one on, at most so many; for all in turn.

    Where memory is short half as many are asked for from then on. Raises torch.OutOfMemoryError
    where one is too much.
    """
    start = 0
    while start < count:
        try:
            found = answers(start, most)
        except torch.OutOfMemoryError:
            if most == 1:
                raise
            torch.cuda.empty_cache()
            most //= 2
        else:
            yield from found
            start += len(found)


def train_dense(
    head: nn.Module,
    source: Source,
    recipe: Recipe,
    setting: Setting,
    score: Callable[[], float] | None = None,
) -> Trained:
    """Trains a head whose forward gives a list of logits: the answer, then auxiliary ones."""

    def loss_of(indices: list[int], rng: np.random.Generator) -> Tensor:
        levels = [x.to(setting.device) for x in source.pyramid(indices)]
        masks = torch.from_numpy(np.stack([source.target(i) for i in indices])).to(setting.device)
        answer, *auxiliary = head(levels)
        loss = cross_entropy(answer, masks)
        for logits in auxiliary:
            loss = loss + AUXILIARY * cross_entropy(logits, masks)
        return loss

    job = Job(loss_of, scheduled(recipe, Schedule(rate)), score)
    return train(head, len(source), recipe, setting, job)
