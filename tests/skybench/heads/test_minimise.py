"""The solver of many problems at once."""

from __future__ import annotations

import torch
from torch import Tensor

from skybench.heads import logistic
from skybench.heads.logistic import minimise


def test_minimise_solves_quadratics_of_very_different_scale_at_once() -> None:
    made = torch.Generator().manual_seed(0)
    goals = torch.randn(4, 6, generator=made)
    curvature = torch.logspace(-1, 1, 6) * torch.tensor([[0.1], [1.0], [10.0], [100.0]])
    asked: list[int] = []

    def problems(index: Tensor) -> logistic.Objective:
        asked.append(len(index))
        goal, steep = goals[index], curvature[index]
        return lambda x: ((steep * (x - goal) ** 2).sum(1) / 2, steep * (x - goal))

    found = minimise(problems, torch.zeros(4, 6), 1e-5)
    torch.testing.assert_close(found, goals, atol=1e-2, rtol=0)
    assert asked[0] == 4
    assert asked == sorted(asked, reverse=True)  # what is done is no longer computed


def test_minimise_starts_at_the_solution_without_harm() -> None:
    def flat(x: Tensor) -> tuple[Tensor, Tensor]:
        return (x**2).sum(1), 2 * x

    found = minimise(lambda index: flat, torch.zeros(2, 3), 1e-4)
    assert torch.equal(found, torch.zeros(2, 3))
