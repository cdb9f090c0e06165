"""Trainings in lockstep: a step of each in turn, so that they can share the batches they read."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from typing import TypeVar

from skybench.core import Diverged
from skybench.training.checkpoints import fork_rng, rng_states, set_rng_states

T = TypeVar("T")
Stepwise = Generator[None, None, T]  # a training that pauses after each step, and its outcome


def finish(training: Stepwise[T]) -> T:
    """Run a training to its end; return its outcome."""
    while True:
        try:
            next(training)
        except StopIteration as end:
            outcome: T = end.value
            return outcome


def run_in_lockstep(trainings: Sequence[Stepwise[T]], device: str) -> list[T | Diverged]:
    """Take a step of each training in turn until all have ended; return their outcomes in order.

    Each has the states of torch's random generators to itself, and begins with those of the caller:
    the outcomes are as if each had run alone. That of a training whose loss diverges is its error.
    """
    outcomes: dict[int, T | Diverged] = {}
    with fork_rng(device), contextlib.ExitStack() as stack:
        for training in trainings:
            stack.callback(training.close)
        states = [rng_states()] * len(trainings)
        while len(outcomes) < len(trainings):
            for number, training in enumerate(trainings):
                if number in outcomes:
                    continue
                set_rng_states(states[number])
                try:
                    next(training)
                except StopIteration as end:
                    outcomes[number] = end.value
                except Diverged as error:
                    outcomes[number] = error
                states[number] = rng_states()
    return [outcomes[number] for number in range(len(trainings))]
