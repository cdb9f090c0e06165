from __future__ import annotations

import pytest
import torch

from skybench.core import Diverged
from skybench.training.lockstep import Stepwise, finish, run_in_lockstep


def drawing(
    seed: int, steps: int, log: list[tuple[int, int]] | None = None, bad: int = -1
) -> Stepwise[list[float]]:
    """Draws a number a step, as dropout does, and returns them; diverges at the step `bad`."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        drawn = []
        for step in range(steps):
            if step == bad:
                raise Diverged("the loss became nan")
            drawn.append(float(torch.rand(())))
            if log is not None:
                log.append((seed, step))
            yield
        return drawn


def test_steps_are_taken_in_turn_and_random_draws_are_as_alone() -> None:
    log: list[tuple[int, int]] = []
    alone = [finish(drawing(seed, steps)) for seed, steps in ((1, 3), (2, 2), (1, 3))]
    together = [drawing(1, 3, log), drawing(2, 2, log), drawing(1, 3)]
    assert run_in_lockstep(together, "cpu") == alone
    assert log == [(1, 0), (2, 0), (1, 1), (2, 1), (1, 2)]


def unseeded() -> Stepwise[float]:
    yield
    return float(torch.rand(()))


def test_each_begins_with_the_state_of_the_caller_which_stays() -> None:
    torch.manual_seed(5)
    expected = float(torch.rand(()))
    torch.manual_seed(5)
    assert run_in_lockstep([unseeded(), unseeded()], "cpu") == [expected, expected]
    assert float(torch.rand(())) == expected


def test_one_that_diverges_leaves_the_others_alone() -> None:
    outcomes = run_in_lockstep([drawing(1, 3, bad=1), drawing(2, 3)], "cpu")
    assert isinstance(outcomes[0], Diverged)
    assert outcomes[1] == finish(drawing(2, 3))


def test_another_error_ends_all_and_the_generator_is_as_before() -> None:
    closed: list[bool] = []

    def broken() -> Stepwise[list[float]]:
        yield
        raise ValueError("a fault")

    def waiting() -> Stepwise[list[float]]:
        try:
            return (yield from drawing(3, 9))
        finally:
            closed.append(True)

    torch.manual_seed(5)
    expected = torch.rand(2)
    torch.manual_seed(5)
    with pytest.raises(ValueError, match="a fault"):
        run_in_lockstep([waiting(), broken()], "cpu")
    assert closed == [True]
    assert torch.equal(torch.rand(2), expected)


def test_none_at_all_has_no_outcome() -> None:
    assert run_in_lockstep([], "cpu") == []
