"""The simulated cluster: what it plays can be counted by hand, and no work is lost for good."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

from skybench.executors.schedule import Waiting
from tests.skybench.executors._fates import bundle

SCRIPT = str(Path(__file__).parents[2] / "benchmarks" / "simulated_cluster.py")


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(SCRIPT)


def play(script: dict[str, Any], losses: Any, seconds: dict[str, float], gpus: int) -> Any:
    truth = {f"{name}-0": value for name, value in seconds.items()}
    every = [bundle(name, f"{name}-0", seconds=value) for name, value in seconds.items()]
    return script["Simulation"](truth, gpus, losses, seed=0).play(Waiting(every, gpus))


def test_a_run_without_losses_ends_when_the_last_gpu_is_through(script: dict[str, Any]) -> None:
    outcome = play(script, None, {"a": 1000.0, "b": 600.0, "c": 500.0}, 2)
    load = script["LOAD"]
    assert outcome.makespan == 600 + 500 + 2 * load
    assert outcome.bound == 2100 / 2
    assert (outcome.losses, outcome.repeated, outcome.loads) == (0, 0.0, 3)


def test_a_network_is_loaded_once_for_all_of_its_bundles(script: dict[str, Any]) -> None:
    every = [bundle("m", f"x-{n}", seconds=9.0) for n in range(5)]
    truth = {f"x-{n}": 9.0 for n in range(5)}
    outcome = script["Simulation"](truth, 1, None, seed=0).play(Waiting(every, 1))
    assert (outcome.loads, outcome.makespan) == (1, 45.0 + script["LOAD"])


def test_lost_work_is_done_again_and_nothing_else(script: dict[str, Any]) -> None:
    losses = script["Losses"](failure=3000.0, taken=3000.0, back=100.0, part=300.0)
    seconds = {f"m{n}": 2000.0 + n for n in range(20)}
    simulation = script["Simulation"]({f"{n}-0": s for n, s in seconds.items()}, 4, losses, seed=1)
    every = [bundle(n, f"{n}-0", seconds=s) for n, s in seconds.items()]
    outcome = simulation.play(Waiting(every, 4))
    assert max(simulation.left.values()) == 0
    assert outcome.losses > 5
    assert 0 < outcome.repeated < 300 * outcome.losses
    assert outcome.makespan > outcome.bound


def test_made_times_are_the_same_for_one_seed(script: dict[str, Any]) -> None:
    every = [bundle(f"m{n % 3}", f"x-{n}") for n in range(9)]
    one, other = (script["with_made_times"](every, seed=5) for _ in range(2))
    assert one == other
    seconds = [b.seconds for b in one[0]]
    assert seconds == sorted(seconds, reverse=True)
    assert len(one[1]) == 9
