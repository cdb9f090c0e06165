"""L-BFGS for several independent smooth convex problems at once, on any device."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

HISTORY = 20
ARMIJO = 1e-4

Objective = Callable[[Tensor], tuple[Tensor, Tensor]]  # [P, n] -> values [P], gradients [P, n]
Problems = Callable[[Tensor], Objective]  # indices of problems -> their objective
InverseHessian = Callable[[Tensor, Tensor], Tensor]  # indices [P], vectors [P, n] -> vectors [P, n]


class Curvature:
    """The last steps of P problems, and how their gradients changed along them.

    A pair of zeros has no effect.
    """

    def __init__(self, x: Tensor) -> None:
        """Know nothing of the problems of which x [P, n] are points."""
        self._kept = x.new_empty(2, len(x), 2 * HISTORY, x.shape[1])
        self._count = 0

    @property
    def steps(self) -> Tensor:  # [P, m, n]
        return self._kept[0, :, max(0, self._count - HISTORY) : self._count]

    @property
    def changes(self) -> Tensor:  # [P, m, n]
        return self._kept[1, :, max(0, self._count - HISTORY) : self._count]

    def add(self, step: Tensor, change: Tensor) -> None:
        """Add a step [P, n]; only those along which there is curvature count."""
        if self._count == self._kept.shape[2]:
            self._kept[:, :, : HISTORY - 1] = self._kept[:, :, 1 - HISTORY :].clone()
            self._count = HISTORY - 1
        flat = (step * change).sum(1, keepdim=True) <= 1e-10 * step.square().sum(1, keepdim=True)
        for kept, new in zip(self._kept, (step, change), strict=True):
            kept[:, self._count] = new.masked_fill(flat, 0)
        self._count += 1

    def of(self, problems: Tensor) -> Curvature:
        """Return what is known of some of the problems."""
        part = copy.copy(self)
        part._kept = self._kept[:, problems]
        return part

    def put(self, problems: Tensor, known: Curvature) -> None:
        """Set what is known of some of the problems; all others know at most as many steps."""
        if len(problems) == self._kept.shape[1]:
            self._kept, self._count = known._kept, known._count
            return
        many = known.steps.shape[1]
        self._count = HISTORY
        self._kept[:, problems, :HISTORY] = 0
        self._kept[0, problems, HISTORY - many : HISTORY] = known.steps
        self._kept[1, problems, HISTORY - many : HISTORY] = known.changes


class Solution(NamedTuple):
    """The minimum of each problem, and the curvature seen on the way there."""

    x: Tensor  # [P, n]
    curvature: Curvature


def _times(pairs: Tensor, x: Tensor) -> Tensor:
    """The products [P, m] of pairs [P, m, n] with vectors [P, n]."""
    return torch.bmm(pairs, x[:, :, None])[:, :, 0]


def _direction(gradient: Tensor, seen: Curvature, metric: Callable[[Tensor], Tensor]) -> Tensor:
    """The L-BFGS direction of each problem, [P, n].

    The two loops of the usual recursion are two triangular systems in the products of steps and
    changes, so that vectors are only read in matrix products. metric: of two vectors a problem,
    [2 P, n].
    """
    if not seen.steps.shape[1]:
        return -metric(torch.cat([gradient, gradient]))[: len(gradient)]
    products = torch.bmm(seen.steps, seen.changes.mT).triu()  # [P, m, m]
    diagonal = products.diagonal(dim1=1, dim2=2)
    diagonal += diagonal == 0  # of pairs of zeros
    solve = torch.linalg.solve_triangular
    first = solve(products, _times(seen.steps, gradient)[:, :, None], upper=True)
    q = gradient - _times(seen.changes.mT, first[:, :, 0])
    last = seen.changes[:, -1]
    q, near = metric(torch.cat([q, last])).chunk(2)
    scale = (seen.steps[:, -1] * last).sum(1) / (last * near).sum(1)
    q = q * torch.where(scale > 0, scale, 1)[:, None]
    right = diagonal * first[:, :, 0] - _times(seen.changes, q)
    second = solve(products.mT, right[:, :, None], upper=False)
    return -(q + _times(seen.steps.mT, second[:, :, 0]))


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
    problems: Problems,
    start: Tensor,
    tolerance: float,
    seen: Curvature | None = None,
    metric: InverseHessian | None = None,
    iterations: int = 500,
) -> Solution:
    """Minimise P independent smooth convex problems at once by L-BFGS.

    start: [P, n]; seen: curvature known before; metric: an approximation of the inverse Hessians
    times vectors, by default of the identity, scaled down to steps of length 1 at the start. A
    problem has converged, and is no longer computed, when its largest gradient entry is at most
    `tolerance` or its value stops falling.
    """
    result, x, left = start.clone(), start, torch.arange(len(start), device=start.device)
    known, ended = seen or Curvature(start), Curvature(start)
    objective = problems(left)
    value, gradient = objective(x)
    live = gradient.abs().amax(1) > tolerance
    for _ in range(iterations):
        if not live.any() and len(left) == len(start):
            return Solution(result, known)  # nothing is copied
        if not live.all():
            ended.put(left[~live], known.of(~live))
            left, x, value, gradient = left[live], x[live], value[live], gradient[live]
            known = known.of(live)
            if not len(left):
                break
            objective = problems(left)
        longest = gradient.norm(dim=1, keepdim=True).clamp(min=1)
        usual = functools.partial(torch.div, other=torch.cat([longest, longest]))
        near = functools.partial(metric, torch.cat([left, left])) if metric else usual
        direction = _direction(gradient, known, near)
        descends = (direction * gradient).sum(1, keepdim=True) < 0
        direction = torch.where(descends, direction, -gradient / longest)
        new, new_value, new_gradient = _search(objective, x, (value, gradient), direction)
        known.add(new - x, new_gradient - gradient)
        fell = value - new_value > 1e-9 * value.abs()
        x, value, gradient = new, new_value, new_gradient
        result[left] = x
        live = fell & (gradient.abs().amax(1) > tolerance)
    else:
        ended.put(left, known)
    return Solution(result, ended)
