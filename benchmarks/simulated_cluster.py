"""A plan of many models on many datasets, and its placement on a cluster that loses jobs.

`python benchmarks/simulated_cluster.py [MODELS DATASETS GPUS]`: plans made models and datasets by
the real planner, bundles them and hands them out as `skybench run` does, and plays the run on
simulated GPUs, some of which fail or are taken away. Prints what planning takes in time and memory,
and how long the run takes beside the lower bound. Nothing is trained.
"""

from __future__ import annotations

import heapq
import json
import random
import resource
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any, cast

from skybench.core import registry
from skybench.core.dataset import Samples
from skybench.data.demo_folder import demo_root
from skybench.executors.bundles import Bundle, bundles
from skybench.executors.estimates import guessed_seconds
from skybench.executors.schedule import Waiting
from skybench.plan.planner import Planner
from skybench.plan.request import Request

HOUR = 3600.0
MEAN = HOUR / 3  # seconds of a bundle; models differ about 3 times, datasets about 10 times
SPREADS = {"model": 0.6, "dataset": 1.2, "truth": 0.5}  # sigma of logarithms; truth / estimate
LOAD = 60.0  # seconds to start a process and load a network


@dataclass(frozen=True)
class Losses:
    """How GPUs are lost to a run, in seconds."""

    failure: float = 480 * HOUR  # mean time between failures of a GPU's node
    taken: float = 12 * HOUR  # mean time until a job is pre-empted
    back: float = 900.0  # until another one is there
    part: float = 300.0  # of work between two checkpoints


@dataclass(frozen=True)
class Outcome:
    """What a simulated run came to, in seconds."""

    makespan: float
    bound: float  # no schedule ends earlier
    losses: int
    repeated: float  # GPU seconds of work that was lost
    loads: int  # of networks


def made_plugins(models: int, datasets: int) -> None:
    """Let the registry have made models and datasets, all on the demo images of EuroSAT."""
    real, data = registry.model("imagenet"), registry.dataset("eurosat")
    root = demo_root("eurosat")
    opened: dict[str, Samples] = {}

    def open_split(_: Path, split: str, *__: Any, **___: Any) -> Samples:
        if split not in opened:
            opened[split] = data.open(root, split, 0)
        return opened[split]

    known: dict[str, dict[str, Any]] = {"baselines": {}, "datasets": {}, "tasks": {}}
    for number in range(models):
        name = f"model{number:04d}"
        known["baselines"][name] = SimpleNamespace(
            **{**vars(real), "CARD": replace(real.CARD, name=name)}
        )
    for number in range(datasets):
        name = f"data{number:03d}"
        card = replace(data.CARD, name=name)
        known["datasets"][name] = SimpleNamespace(CARD=card, open=open_split)
    known["tasks"]["scene_classification"] = registry.load("tasks", "scene_classification")
    names = {kind: tuple(plugins) for kind, plugins in known.items()}
    registry.own = lambda kind: names[kind]
    registry.load = lambda kind, name: cast(ModuleType, known[kind][name])


def planned_bundles(request: Request) -> tuple[list[Bundle], dict[str, float]]:
    """Return the bundles of a request, the longest first, and what planning took."""
    start = time.process_time()
    cells = Planner(request).cells()
    planned = time.process_time()
    made = bundles(request, cells, guessed_seconds)
    made.sort(key=lambda bundle: -(bundle.seconds or 0.0))
    facts = {
        "cells": len(cells),
        "bundles": len(made),
        "planning_s": planned - start,
        "bundling_s": time.process_time() - planned,
        "peak_MB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3,
    }
    return made, facts


def with_made_times(made: Sequence[Bundle], seed: int) -> tuple[list[Bundle], dict[str, float]]:
    """Return bundles with made estimates, the longest first, and their true seconds by name."""
    draw = random.Random(seed)
    factors: dict[str, float] = {}
    timed, truth = [], {}
    for bundle in made:
        for name, kind in ((bundle.model, "model"), (bundle.dataset, "dataset")):
            factors.setdefault(name, draw.lognormvariate(-(SPREADS[kind] ** 2) / 2, SPREADS[kind]))
        seconds = MEAN * factors[bundle.model] * factors[bundle.dataset]
        timed.append(replace(bundle, seconds=seconds))
        truth[bundle.fingerprints[0]] = seconds * draw.lognormvariate(0, SPREADS["truth"])
    return sorted(timed, key=lambda bundle: -(bundle.seconds or 0.0)), truth


class Simulation:
    """A run of bundles on GPUs, event by event."""

    def __init__(
        self, truth: dict[str, float], gpus: int, losses: Losses | None, seed: int
    ) -> None:
        """truth: seconds of each bundle, by its first fingerprint. losses: None for none."""
        self.left, self.losses, self.draw = dict(truth), losses, random.Random(seed)
        self.loaded = [""] * gpus
        self.running: dict[int, tuple[Bundle, float]] = {}  # by GPU, with the work that will count
        self.events: list[tuple[float, int]] = [(0.0, gpu) for gpu in range(gpus)]
        self.idle: list[int] = []
        self.lost = self.loads = 0
        self.repeated = 0.0

    def play(self, waiting: Waiting) -> Outcome:
        """Run all bundles; a GPU that is free takes the next."""
        total, longest = sum(self.left.values()), max(self.left.values())
        now = end = 0.0
        while self.events:
            now, gpu = heapq.heappop(self.events)
            if gpu in self.running and self._is_lost(gpu, now, waiting):
                continue
            end = now if gpu in self.running else end
            self.running.pop(gpu, None)
            elsewhere = {self.loaded[other] for other in self.running}
            bundle = waiting.take(self.loaded[gpu], elsewhere)
            if bundle is None:
                self.idle.append(gpu)
            else:
                self._start(gpu, bundle, now)
        bound = max(total / len(self.loaded), longest)
        return Outcome(end, bound, self.lost, self.repeated, self.loads)

    def _start(self, gpu: int, bundle: Bundle, now: float) -> None:
        load = 0.0 if self.loaded[gpu] == bundle.model else LOAD
        self.loads += load > 0
        self.loaded[gpu] = bundle.model
        work = self.left[bundle.fingerprints[0]]
        span, kept = load + work, work
        if self.losses is not None:
            rate = 1 / self.losses.failure + 1 / self.losses.taken
            alive = self.draw.expovariate(rate)
            if alive < span:
                done = max(0.0, alive - load)
                span, kept = alive, done // self.losses.part * self.losses.part
                self.repeated += done - kept
        self.running[gpu] = bundle, kept
        heapq.heappush(self.events, (now + span, gpu))

    def _is_lost(self, gpu: int, now: float, waiting: Waiting) -> bool:
        """Whether a GPU was lost now; then the rest of its bundle waits for another."""
        bundle, kept = self.running[gpu]
        name = bundle.fingerprints[0]
        self.left[name] -= kept
        if self.losses is None or self.left[name] <= 0:
            return False
        del self.running[gpu]
        self.lost += 1
        self.loaded[gpu] = ""
        waiting.put_back(replace(bundle, seconds=self.left[name]))
        heapq.heappush(self.events, (now + self.losses.back, gpu))
        if self.idle:
            heapq.heappush(self.events, (now, self.idle.pop()))
        return True


def main(models: int = 1000, datasets: int = 100, gpus: int = 512) -> None:
    """Print planning and placement as JSON."""
    made_plugins(models, datasets)
    with tempfile.TemporaryDirectory() as results:
        request = Request(
            models=["all"], protocol="knn", variant="tiny", weights={"": "random"}, device="cpu",
            results=Path(results), data=results,
        )  # fmt: skip
        made, facts = planned_bundles(request)
    timed, truth = with_made_times(made, seed=0)
    untimed = [replace(bundle, seconds=None) for bundle in made]
    found: dict[str, Any] = {"planning": facts}
    for name, order, losses in (
        ("plan order", untimed, None), ("longest first", timed, None),
        ("longest first, losses", timed, Losses()),
    ):  # fmt: skip
        start = time.process_time()
        outcome = Simulation(truth, gpus, losses, seed=0).play(Waiting(order, gpus))
        found[name] = {
            "hours": outcome.makespan / HOUR,
            "over the bound": outcome.makespan / outcome.bound,
            "losses": outcome.losses,
            "lost GPU hours": outcome.repeated / HOUR,
            "loads": outcome.loads,
            "seconds to hand out all": time.process_time() - start,
        }
    print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
