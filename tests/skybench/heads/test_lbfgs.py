"""The solver of many problems at once."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from skybench.heads.lbfgs import HISTORY, Objective, minimise


def test_minimise_solves_quadratics_of_very_different_scale_at_once() -> None:
    made = torch.Generator().manual_seed(0)
    goals = torch.randn(4, 6, generator=made)
    curvature = torch.logspace(-1, 1, 6) * torch.tensor([[0.1], [1.0], [10.0], [100.0]])
    asked: list[int] = []

    def problems(index: Tensor) -> Objective:
        asked.append(len(index))
        goal, steep = goals[index], curvature[index]
        return lambda x: ((steep * (x - goal) ** 2).sum(1) / 2, steep * (x - goal))

    found = minimise(problems, torch.zeros(4, 6), 1e-5).x
    torch.testing.assert_close(found, goals, atol=1e-2, rtol=0)
    assert asked[0] == 4
    assert asked == sorted(asked, reverse=True)  # what is done is no longer computed


def test_minimise_starts_at_the_solution_without_harm() -> None:
    def flat(x: Tensor) -> tuple[Tensor, Tensor]:
        return (x**2).sum(1), 2 * x

    found = minimise(lambda index: flat, torch.zeros(2, 3), 1e-4).x
    assert torch.equal(found, torch.zeros(2, 3))


def counted(curvature: Tensor, goal: Tensor, asked: list[int]) -> Callable[[Tensor], Objective]:
    """Quadratics (curvature, goal [P, n]), with the number of points asked for."""

    def problems(index: Tensor) -> Objective:
        steep, end = curvature[index], goal[index]

        def objective(x: Tensor) -> tuple[Tensor, Tensor]:
            asked.append(len(x))
            return (steep * (x - end) ** 2).sum(1) / 2, steep * (x - end)

        return objective

    return problems


def test_the_inverse_hessian_as_metric_needs_one_step() -> None:
    asked: list[int] = []
    steep, goal = torch.logspace(-2, 2, 6)[None], torch.randn(1, 6)
    problems = counted(steep, goal, asked)
    found = minimise(problems, torch.zeros(1, 6), 1e-4, metric=lambda index, v: v / steep[index])
    torch.testing.assert_close(found.x, goal)
    assert asked == [1, 1]


def test_curvature_seen_before_saves_steps() -> None:
    made = torch.Generator().manual_seed(0)
    steep, goal = torch.logspace(-2, 2, 12).repeat(3, 1), torch.randn(3, 12, generator=made)
    asked: list[int] = []
    first = minimise(counted(steep, goal, asked), torch.zeros(3, 12), 1e-4)
    before = sum(asked)
    again = minimise(counted(steep, goal + 0.1, asked), first.x, 1e-4, first.curvature)
    torch.testing.assert_close(again.x, goal + 0.1, atol=2e-2, rtol=0)
    fresh: list[int] = []
    minimise(counted(steep, goal + 0.1, fresh), first.x, 1e-4)
    assert sum(asked) - before < 0.6 * sum(fresh)


def test_more_steps_than_are_remembered() -> None:
    made = torch.Generator().manual_seed(1)
    steep = torch.logspace(-2, 1, 80, dtype=torch.float64)[None]
    goal, asked = torch.randn(1, 80, generator=made).double(), list[int]()
    found = minimise(counted(steep, goal, asked), torch.zeros_like(goal), 1e-5)
    assert len(asked) > 2 * HISTORY + 5
    torch.testing.assert_close(found.x, goal, atol=2e-3, rtol=0)
    assert found.curvature.steps.shape == (1, HISTORY, 80)
