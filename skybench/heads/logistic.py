"""Logistic regression: all regularisation strengths of the sweep in one batched L-BFGS.

Multinomial if an image has one class, one-vs-rest if it may have several.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from skybench.core import FitContext, Source
from skybench.heads.validation_score import UNCHOSEN, selection_score
from skybench.training.fit import divisor

DEFAULT_LAMBDA = 1e-2  # without validation samples
LAMBDAS = tuple(10.0**e for e in (-6, -5, -4.5, -4, -3.5, -3, -2.5, -2, -1.5, -1, -0.5, 0, 1))
HISTORY = 10
ARMIJO = 1e-4
TOLERANCE = 1e-4  # of the gradient, scikit-learn's default

Objective = Callable[[Tensor], tuple[Tensor, Tensor]]  # [P, n] -> values [P], gradients [P, n]


def _direction(gradient: Tensor, steps: list[Tensor], changes: list[Tensor]) -> Tensor:
    """The L-BFGS direction of each problem, by two-loop recursion; all arguments [P, n]."""
    q, alphas = gradient.clone(), []
    rho = [1 / (s * y).sum(1, keepdim=True) for s, y in zip(steps, changes, strict=True)]
    for s, y, r in zip(reversed(steps), reversed(changes), reversed(rho), strict=True):
        alphas.append(r * (s * q).sum(1, keepdim=True))
        q -= alphas[-1] * y
    if steps:
        s, y = steps[-1], changes[-1]
        q *= (s * y).sum(1, keepdim=True) / (y * y).sum(1, keepdim=True)
    else:
        q /= gradient.norm(dim=1, keepdim=True).clamp(min=1)
    for s, y, r, a in zip(steps, changes, rho, reversed(alphas), strict=True):
        q += s * (a - r * (y * q).sum(1, keepdim=True))
    return -q


def _search(
    objective: Objective, x: Tensor, state: tuple[Tensor, Tensor], direction: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Backtracking line search for each problem; one whose value does not fall stays."""
    value, gradient = state
    slope = (gradient * direction).sum(1)
    t = torch.ones_like(slope)
    for _ in range(20):
        new = x + t[:, None] * direction
        new_value, new_gradient = objective(new)
        bad = ~(new_value <= value + ARMIJO * t * slope)
        if not bad.any():
            return new, new_value, new_gradient
        t = torch.where(bad, t / 2, t)
    new = x + torch.where(bad, 0, t)[:, None] * direction
    return new, *objective(new)


def minimise(
    problems: Callable[[Tensor], Objective], start: Tensor, tolerance: float, iterations: int = 500
) -> Tensor:
    """Minimise P independent smooth convex problems at once by L-BFGS; return [P, n].

    problems: indices of problems -> their objective; start: [P, n]. A problem has converged, and
    is no longer computed, when its largest gradient entry is at most `tolerance` or its value
    stops falling.
    """
    result, left, x = start.clone(), torch.arange(len(start)), start
    objective = problems(left)
    value, gradient = objective(x)
    steps: list[Tensor] = []
    changes: list[Tensor] = []
    for _ in range(iterations):
        direction = _direction(gradient, steps, changes)
        descends = (direction * gradient).sum(1, keepdim=True) < 0
        direction = torch.where(descends, direction, -gradient)
        new, new_value, new_gradient = _search(objective, x, (value, gradient), direction)
        s, y = new - x, new_gradient - gradient
        # Without curvature along a step the pair is useless: replace it by a harmless one.
        flat = ((s * y).sum(1) <= 1e-10 * (s * s).sum(1))[:, None]
        tiny = torch.full_like(s, 1e-8)
        steps = [*steps, torch.where(flat, tiny, s)][-HISTORY:]
        changes = [*changes, torch.where(flat, tiny, y)][-HISTORY:]
        fell = value - new_value > 1e-9 * value.abs()
        x, value, gradient = new, new_value, new_gradient
        result[left] = x
        live = fell & (gradient.abs().amax(1) > tolerance)
        if not live.all():
            left, x, value, gradient = left[live], x[live], value[live], gradient[live]
            steps, changes = [s[live] for s in steps], [y[live] for y in changes]
            if not len(left):
                break
            objective = problems(left)
    return result


def fit_logistic(features: Tensor, labels: Tensor, classes: int, lambdas: Tensor) -> Tensor:
    """Fit a logistic regression for each lambda; return the weights [L, D + 1, classes].

    features: [N, D] float32; labels: [N] int64 for the multinomial model, or [N, classes] of 0
    and 1 for one-vs-rest. The objective is the mean cross-entropy (summed over classes) +
    lambda / 2 * |weights|^2; the last row (the bias) is not penalised. Equal to scikit-learn's
    LogisticRegression(C=1 / (lambda * N)), one-vs-rest for several classes per image; for two
    exclusive classes, which have a single weight vector there, with C=2 / (lambda * N).
    """
    n = len(features)
    x = F.pad(features, (0, 1), value=1.0)  # [N, D + 1]
    width = x.shape[1]
    penalty = torch.ones(width, 1)
    penalty[-1] = 0
    several = labels.ndim == 2
    hot = (labels if several else F.one_hot(labels, classes)).to(x.dtype)  # [N, K]
    lambdas = lambdas.to(x.dtype)

    def objective(index: Tensor, flat: Tensor) -> tuple[Tensor, Tensor]:
        count = len(index)
        w = flat.view(count, width, classes)
        z = (x @ w.permute(1, 0, 2).reshape(width, -1)).view(n, count, classes)
        shrunk = lambdas[index, None, None] * penalty * w
        # Summed in float64: rounding would hide the decrease of the last steps, and stop too early.
        if several:
            loss = (F.softplus(z) - z * hot[:, None]).sum((0, 2), dtype=torch.float64) / n
            p = z.sigmoid()
        else:
            log_p = z.log_softmax(-1)
            loss = -(log_p * hot[:, None]).sum((0, 2), dtype=torch.float64) / n
            p = log_p.exp()
        value = (shrunk * w).sum((1, 2), dtype=torch.float64) / 2 + loss
        residual = (p - hot[:, None]).view(n, -1) / n
        gradient = (x.T @ residual).view(width, count, classes).permute(1, 0, 2) + shrunk
        return value, gradient.reshape(count, -1)

    start = torch.zeros(len(lambdas), width * classes)
    solved = minimise(lambda index: functools.partial(objective, index), start, TOLERANCE)
    return solved.view(len(lambdas), width, classes)


def logits(features: Tensor, weights: Tensor) -> Tensor:
    """Return logits [..., N, classes] for features [N, D] and weights [..., D + 1, classes]."""
    return F.pad(features, (0, 1), value=1.0) @ weights


class Logistic:
    """A linear classifier on standardised pooled features; lambda is selected on validation.

    With `refit`, validation samples were held out of train, and the classifier is fitted again on
    both with the selected lambda.
    """

    def __init__(self, classes: int, refit: bool) -> None:
        self.classes, self.refit = classes, refit

    def fit(self, train: Source, val: Source | None, setting: FitContext) -> Mapping[str, Any]:
        x, y = train.pooled(), train.labels()
        self._standardise(x)
        if not val:  # too few samples of a class to hold any out
            default = torch.tensor([DEFAULT_LAMBDA])
            self.weights = fit_logistic(self._scale(x), y, self.classes, default)[0]
            return {"lambda": DEFAULT_LAMBDA, "val": None, "refitted": False, "note": UNCHOSEN}
        lambdas = torch.tensor(LAMBDAS)
        sweep = fit_logistic(self._scale(x), y, self.classes, lambdas)
        held, truth = self._scale(val.pooled()), val.labels()
        score = [selection_score(logits(held, weights), truth) for weights in sweep]
        # Of equal scores the largest lambda: the simplest of the best models.
        best = max(range(len(LAMBDAS)), key=lambda i: (score[i], LAMBDAS[i]))
        self.weights = sweep[best]
        if self.refit:
            x, y = torch.cat([x, val.pooled()]), torch.cat([y, val.labels()])
            self._standardise(x)
            self.weights = fit_logistic(self._scale(x), y, self.classes, lambdas[best, None])[0]
        chosen = {"lambda": LAMBDAS[best], "val": score[best], "refitted": self.refit}
        return {**chosen, "sweep": dict(zip(map(str, LAMBDAS), score, strict=True))}

    def _standardise(self, x: Tensor) -> None:
        # In float32 the mean of a constant column may differ from its value.
        self.mean = x.mean(0, dtype=torch.float64).float()
        variance = (x - self.mean).square().mean(0, dtype=torch.float64)
        self.std = divisor(self.mean, variance.sqrt().float())

    def _scale(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std

    def predict(self, test: Source) -> Iterator[Any]:
        yield from logits(self._scale(test.pooled()), self.weights).numpy()
