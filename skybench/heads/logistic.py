"""Logistic regression: all regularisation strengths of the sweep along one path of solutions.

Multinomial if an image has one class, one-vs-rest if it may have several.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from skybench.core import FitContext, Source
from skybench.heads.lbfgs import Curvature, minimise
from skybench.heads.rows import FeatureRows
from skybench.heads.validation_score import UNCHOSEN, selection_score

DEFAULT_LAMBDA = 1e-2  # without validation samples
LAMBDAS = tuple(10.0**e for e in (-6, -5, -4.5, -4, -3.5, -3, -2.5, -2, -1.5, -1, -0.5, 0, 1))
TOLERANCE = 1e-4  # of the gradient, scikit-learn's default
RANK = 64  # principal directions in which the metric of the solver is known
SAMPLE = 1024  # rows from which they are estimated


class Spectrum(NamedTuple):
    """The largest principal directions of features, and the variance in all others at most."""

    variance: Tensor  # [r]
    directions: Tensor  # [D, r], orthonormal
    rest: Tensor


def principal(rows: FeatureRows) -> Spectrum:
    """Return the principal directions of features, by subspace iteration on some of them."""
    step = -(-len(rows) // SAMPLE)
    x = rows.sampled(step)  # [n, D]
    drawn = torch.randn(rows.width, min(RANK, *x.shape), generator=torch.Generator().manual_seed(0))
    basis = drawn.to(x.device)
    for _ in range(2):
        basis = torch.linalg.qr(x.T @ (x @ basis)).Q
    seen = x @ basis
    variance, turned = torch.linalg.eigh(seen.T @ seen / len(x))
    variance = variance.clamp(min=0)
    rest = variance[0] if basis.shape[1] < rows.width else variance.new_zeros(())
    return Spectrum(variance, basis @ turned, rest)


class LinearLoss:
    """The mean cross-entropy of linear classifiers on features, by chunks of these.

    labels: class ids [N], or [N, classes] of 0 and 1, then each class is a problem by itself.
    Weights are [classes, D + 1], the last column is the bias.
    """

    def __init__(self, rows: FeatureRows, labels: Tensor, classes: int) -> None:
        self.rows, self.several = rows, labels.ndim == 2
        self.labels = labels.to(rows.device, torch.bool if self.several else torch.int64)
        self.problems = classes if self.several else 1
        even = 1 / 2 if self.several else 1 / classes
        # The mean p (1 - p) of each class when last computed; at first that of weights of 0.
        self.spread = torch.full((classes, 1), even * (1 - even), device=rows.device)

    def __call__(self, w: Tensor, index: Tensor) -> tuple[Tensor, Tensor]:
        """Return values, float64 [P], and the gradient, of the problems `index` [P]."""
        values, gradient = torch.zeros(len(index), dtype=torch.float64), torch.zeros_like(w)
        values, spread = values.to(w.device), torch.zeros_like(w[:, :1])
        for chunk, x in self.rows:
            z = torch.addmm(w[:, -1:], w[:, :-1], x.T)  # [classes, n]
            # Summed in float64: rounding would hide the decrease of the last steps.
            if self.several:
                true = self.labels[chunk, index].T.to(w.dtype)
                values += (F.softplus(z) - z * true).sum(1, dtype=torch.float64)
                p = z.sigmoid()
                residual = p - true
            else:
                true = self.labels[chunk][None]
                log_p = z.log_softmax(0)
                values -= log_p.gather(0, true).sum(dtype=torch.float64)
                p = log_p.exp_()
                residual = p.scatter_add(0, true, p.new_tensor(-1).expand(true.shape))
            spread += p.sum(1, keepdim=True) - p.square().sum(1, keepdim=True)
            gradient[:, :-1].addmm_(residual, x)
            gradient[:, -1] += residual.sum(1)
        self.spread[index if self.several else slice(None)] = spread / len(self.rows)
        return values / len(self.rows), gradient / len(self.rows)


class Regularised:
    """The loss of a linear classifier + lambda / 2 * |weights|^2, and a metric for its solver."""

    def __init__(self, loss: LinearLoss, spectrum: Spectrum, strength: float) -> None:
        self.loss, self.strength, self.spectrum = loss, strength, spectrum
        self.spread = loss.spread.clamp(min=1e-6)

    def objective(self, index: Tensor, flat: Tensor) -> tuple[Tensor, Tensor]:
        """Return values [P] and gradients [P, n] at points [P, n] of problems `index`."""
        w = flat.view(-1, self.loss.rows.width + 1)
        values, gradient = self.loss(w, index)
        free = w[:, :-1]  # the bias is not penalised
        gradient[:, :-1] += self.strength * free
        penalty = free.square().sum(1, dtype=torch.float64).view(len(index), -1).sum(1)
        return values + self.strength / 2 * penalty, gradient.view_as(flat)

    def metric(self, index: Tensor, flat: Tensor) -> Tensor:
        """Multiply vectors [P, n] by about the inverse Hessian.

        The Hessian of the loss is about the features' covariance times the mean of p (1 - p), see
        Boehning 1992 for its upper bound of 1/4; in other than the principal directions the
        covariance is taken as that of the last of them.
        """
        v = flat.view(-1, self.loss.rows.width + 1)
        spread = self.spread.view(self.loss.problems, -1)[index].view(-1, 1)
        variance, directions, rest = self.spectrum
        usual = 1 / (spread * rest + self.strength)
        more = 1 / (spread * variance + self.strength) - usual
        w = v[:, :-1]
        found = torch.cat([w * usual, v[:, -1:] / spread], 1)
        found[:, :-1].addmm_((w @ directions) * more, directions.T)
        return found.view_as(flat)


def fit_logistic(rows: FeatureRows, labels: Tensor, classes: int, lambdas: Tensor) -> Tensor:
    """Fit a logistic regression for each lambda; return the weights [L, D + 1, classes].

    labels: [N] int64 for the multinomial model, or [N, classes] of 0 and 1 for one-vs-rest. The
    objective is the mean cross-entropy (summed over classes) + lambda / 2 * |weights|^2; the last
    row (the bias) is not penalised. Equal to scikit-learn's LogisticRegression(C=1 / (lambda *
    N)), one-vs-rest for several classes per image; for two exclusive classes, which have a single
    weight vector there, with C=2 / (lambda * N). The result is on the rows' device.
    """
    if len(rows) < rows.width:
        inner, basis = rows.in_row_space()
        w = _path(inner, labels, classes, lambdas)
        return torch.cat([basis @ w[:, :-1], w[:, -1:]], 1)
    return _path(rows, labels, classes, lambdas)


def _path(rows: FeatureRows, labels: Tensor, classes: int, lambdas: Tensor) -> Tensor:
    """The solutions from the largest lambda down, each begun where the last two point to.

    What was seen of the curvature stays known: a smaller lambda changes the gradient along a step
    by the difference times the step, but for the bias.
    """
    loss, spectrum = LinearLoss(rows, labels, classes), principal(rows)
    x = torch.zeros(loss.problems, classes // loss.problems * (rows.width + 1), device=rows.device)
    seen = Curvature(x)
    weights: dict[float, Tensor] = {}
    for strength in sorted(lambdas.tolist(), reverse=True):
        start, before = x, [*weights]
        if before:
            shape = (*seen.steps.shape[:2], -1, rows.width + 1)
            steps, changes = seen.steps.view(shape), seen.changes.view(shape)
            changes[..., :-1] -= (before[-1] - strength) * steps[..., :-1]
        if len(before) > 1:
            ahead = math.log(strength / before[-1]) / math.log(before[-1] / before[-2])
            start = x + ahead * (x - weights[before[-2]])
        problem = Regularised(loss, spectrum, strength)
        problems = functools.partial(functools.partial, problem.objective)
        x, seen = minimise(problems, start, TOLERANCE, seen, problem.metric)
        weights[strength] = x
    found = torch.stack([weights[strength] for strength in lambdas.tolist()])
    return found.view(len(lambdas), classes, rows.width + 1).mT


def logits(features: FeatureRows, weights: Tensor) -> Iterator[Tensor]:
    """Yield logits [..., n, classes] of chunks of features for weights [..., D + 1, classes]."""
    for _, x in features:
        yield x @ weights[..., :-1, :] + weights[..., -1:, :]


class Logistic:
    """A linear classifier on standardised pooled features; lambda is selected on validation.

    With `refit`, validation samples were held out of train, and the classifier is fitted again on
    both with the selected lambda.
    """

    uses_seed = False

    def __init__(self, classes: int, refit: bool) -> None:
        self.classes, self.refit = classes, refit

    def fit(self, train: Source, val: Source | None, setting: FitContext) -> Mapping[str, Any]:
        x, y, self.device = train.pooled(), train.labels(), setting.device
        if not val:  # too few samples of a class to hold any out
            self.weights = self._fitted(x, y, (DEFAULT_LAMBDA,))[0]
            return {"lambda": DEFAULT_LAMBDA, "val": None, "refitted": False, "note": UNCHOSEN}
        sweep = self._fitted(x, y, LAMBDAS)
        held, truth = val.pooled(), val.labels()
        scores = torch.cat([part.cpu() for part in logits(self._rows(held), sweep)], 1)
        score = [selection_score(of_lambda, truth) for of_lambda in scores]
        # Of equal scores the largest lambda: the simplest of the best models.
        best = max(range(len(LAMBDAS)), key=lambda i: (score[i], LAMBDAS[i]))
        self.weights = sweep[best]
        if self.refit:
            both = torch.cat([x, held]), torch.cat([y, truth])
            self.weights = self._fitted(*both, LAMBDAS[best : best + 1])[0]
        chosen = {"lambda": LAMBDAS[best], "val": score[best], "refitted": self.refit}
        return {**chosen, "sweep": dict(zip(map(str, LAMBDAS), score, strict=True))}

    def _fitted(self, x: Tensor, labels: Tensor, lambdas: tuple[float, ...]) -> Tensor:
        rows = FeatureRows(x, self.device).standardised()
        self.scale = rows.scale
        return fit_logistic(rows.resident(), labels, self.classes, torch.tensor(lambdas))

    def _rows(self, x: Tensor) -> FeatureRows:
        return FeatureRows(x, self.device, self.scale)

    def predict(self, test: Source) -> Iterator[Any]:
        for part in logits(self._rows(test.pooled()), self.weights):
            yield from part.cpu().numpy()
