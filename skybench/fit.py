"""Training by gradient descent: of heads, and of a backbone along with its head."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skybench.core import Recipe, Setting, SkybenchError, Source, UsageError
from skybench.groups import parameter_groups
from skybench.metrics.segmentation import IGNORE

AUXILIARY = 0.4  # weight of the auxiliary loss; mmsegmentation's UPerNet configurations
WARM_UP = 0.1  # share of the steps


def divisor(mean: Tensor, deviation: Tensor) -> Tensor:
    """What centred features are divided by: their deviation, but 1 for a constant channel.

    A channel that is constant in training and not in the test would otherwise be blown up, and
    decide every prediction there.
    """
    return torch.where(deviation > 1e-6 * mean.abs().clamp(min=1), deviation, 1.0)


@dataclass(frozen=True)
class Trained:
    """What training saw."""

    steps: int
    losses: tuple[float, ...]  # mean of each epoch


class Schedule(NamedTuple):
    """How the learning rate goes, and how large a gradient may be."""

    rate: Callable[[int, int], float]  # step, steps -> the factor on the learning rate
    clip: float = 0.0  # norm of the gradient; 0: any


def rate(step: int, steps: int) -> float:
    """The factor on the learning rate: linear warm-up, then linear decay (poly, power 1) to 0."""
    warm = max(1, math.ceil(WARM_UP * steps))
    return (step + 1) / warm if step < warm else (steps - step) / max(1, steps - warm)


def scheduled(recipe: Recipe, usual: Schedule) -> Schedule:
    """The recipe's schedule, where it has one, else the head's own."""
    shapes: dict[str, Callable[[float], float]] = {
        "poly": lambda t: 1 - t,
        "cosine": lambda t: (1 + math.cos(math.pi * t)) / 2,
    }
    if not recipe.schedule:
        return usual
    if recipe.schedule not in shapes:
        known = ", ".join(shapes)
        raise UsageError(f"No schedule {recipe.schedule!r} of a recipe. Known: {known}.")
    shape = shapes[recipe.schedule]

    def factor(step: int, steps: int) -> float:
        warm = recipe.warm_up if recipe.warm_up >= 1 else math.ceil(recipe.warm_up * steps)
        warm = min(int(warm), steps // 2)
        if step < warm:
            return (step + 1) / warm
        return shape((step - warm) / max(1, steps - warm))

    return usual._replace(rate=factor)


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
    schedule: Schedule,
    loss_of: Callable[[list[int], np.random.Generator], Tensor],
) -> Trained:
    """The loop of every head: AdamW over `count` samples in the seed's order, for all steps.

    A backbone that learns is in training mode meanwhile, and in evaluation mode afterwards.
    loss_of: the mean loss of some samples by index, and the generator for what is random in it.
    Raises SkybenchError when the loss is not finite.
    """
    optimizer = torch.optim.AdamW(parameter_groups(head, recipe, setting.backbone), lr=recipe.lr)
    a_pass = math.ceil(count / recipe.batch)
    steps, step, losses = recipe.iterations or recipe.epochs * a_pass, 0, []
    rng = np.random.default_rng(setting.seed)
    learning = [m for m in (head, setting.backbone) if m is not None]
    for module in learning:
        module.train()
    for epoch in range(math.ceil(steps / a_pass)):
        total, seen = 0.0, 0
        for indices in np.array_split(rng.permutation(count), a_pass)[: steps - step]:
            for group in optimizer.param_groups:
                group["lr"] = recipe.lr * group["factor"] * schedule.rate(step, steps)
            loss = loss_of(indices.tolist(), rng)
            if not torch.isfinite(loss):
                raise SkybenchError(
                    f"The loss became {loss.item()} in epoch {epoch + 1}; give a smaller learning "
                    f"rate than {recipe.lr} with --set lr=..."
                )
            optimizer.zero_grad(set_to_none=True)
            torch.autograd.backward(loss)
            if schedule.clip:
                every = [p for group in optimizer.param_groups for p in group["params"]]
                nn.utils.clip_grad_norm_(every, schedule.clip)
            optimizer.step()
            total += loss.item() * len(indices)
            seen += len(indices)
            step += 1
            setting.report("head", step, steps)
        losses.append(round(total / seen, 5))
    for module in learning:
        module.eval()
    return Trained(steps, tuple(losses))


def train_dense(head: nn.Module, source: Source, recipe: Recipe, setting: Setting) -> Trained:
    """Trains a head whose forward gives a list of logits: the answer, then auxiliary ones."""

    def loss_of(indices: list[int], rng: np.random.Generator) -> Tensor:
        levels = [x.to(setting.device) for x in source.pyramid(indices)]
        masks = torch.from_numpy(np.stack([source.target(i) for i in indices])).to(setting.device)
        answer, *auxiliary = head(levels)
        loss = cross_entropy(answer, masks)
        for logits in auxiliary:
            loss = loss + AUXILIARY * cross_entropy(logits, masks)
        return loss

    schedule = scheduled(recipe, Schedule(rate))
    return train(head, len(source), recipe, setting, schedule, loss_of)
