"""How often intervals hold and tests err, on simulated test sets: `skybench bench statistics`."""

from __future__ import annotations

import math
import zlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from skybench.analysis import paired_tests
from skybench.analysis.intervals import named_interval
from skybench.analysis.replicates import known, make_replicates
from skybench.analysis.spread import spread_of
from skybench.bench import simulated_scores as simulated
from skybench.bench.simulated_scores import Shape

REPETITIONS = 1000
RESAMPLES = 200  # fewer than for records: repetitions make up for it
ENDLESS = 20_000  # samples whose score is taken for the truth
TRUTHS = 5  # such sets
INDEPENDENT = tuple(Shape(units) for units in (20, 50, 200))
CLUSTERS = tuple(Shape(14, 20, effect) for effect in ("mild", "strong"))
FEW = (Shape(30), *(Shape(10, 30, effect) for effect in ("mild", "strong")))
Simulate = Callable[[Shape, int, np.random.Generator], Sequence[Any]]


class Case(NamedTuple):
    """A score and the test sets on which it is simulated."""

    title: str
    score: str  # as the metric calls it
    simulate: Simulate
    shapes: Sequence[Shape]


CASES = (
    Case("OA of 80 %", "oa", simulated.accuracies(0.8), (*INDEPENDENT, *CLUSTERS)),
    Case("OA of 95 %", "oa", simulated.accuracies(0.95), (*INDEPENDENT, *CLUSTERS)),
    Case("OA of 99 %", "oa", simulated.accuracies(0.99), (Shape(100), Shape(200), Shape(1000))),
    Case("AA", "aa", simulated.accuracies(0.8), (*INDEPENDENT, *CLUSTERS)),
    Case("mIoU", "miou", simulated.segmentations, (*INDEPENDENT, *CLUSTERS)),
    Case("mF1", "mf1", simulated.segmentations, (*INDEPENDENT, *CLUSTERS)),
    Case("change F1", "f1", simulated.changes, (*INDEPENDENT, *FEW)),
    Case("AP50", "ap50", simulated.detections, (*INDEPENDENT, *CLUSTERS)),
    Case("micro mAP", "map_micro", simulated.multilabels, (*INDEPENDENT, *CLUSTERS)),
    Case("macro mAP", "map_macro", simulated.multilabels, (*INDEPENDENT, *CLUSTERS)),
)


class Rates(NamedTuple):
    """How often the 95 % interval holds, and p < 0.05 without a difference, in percent."""

    score: str
    units: int  # independent images
    samples: int  # tiles of each
    effect: str  # of images: none, mild, strong
    truth: float
    coverage: float
    coverage_error: float  # Monte Carlo, one standard error
    null: float
    null_error: float


def bench_statistics(
    repetitions: int = REPETITIONS, seed: int = 0, cases: Sequence[Case] = CASES
) -> Iterator[Rates]:
    """Yield the rates of every score and kind of test set.

    Each repetition draws a test set and two models that are equally good on average.
    """
    for case in cases:
        for shape in case.shapes:
            name = zlib.crc32(f"{case.title} {shape}".encode())
            rng = np.random.default_rng([seed, name])
            yield _rates(case, shape, repetitions, rng)


def _rates(case: Case, shape: Shape, repetitions: int, rng: np.random.Generator) -> Rates:
    truth = true_score(case, shape, rng)
    held = apart = 0
    for _ in range(repetitions):
        held_here, apart_here = _repetition(case, shape, truth, rng)
        held += held_here
        apart += apart_here
    shares = held / repetitions, apart / repetitions
    errors = [100 * math.sqrt(share * (1 - share) / repetitions) for share in shares]
    return Rates(
        case.title, shape.units, shape.samples, shape.effect, round(truth, 2),
        round(100 * shares[0], 1), round(errors[0], 1), round(100 * shares[1], 1),
        round(errors[1], 1),
    )  # fmt: skip


def true_score(case: Case, shape: Shape, rng: np.random.Generator) -> float:
    """Return the score of an endless test set, nearly: the mean over a few large ones."""
    large = shape._replace(units=ENDLESS // shape.samples * (4 if shape.samples > 1 else 1))
    return float(
        np.mean([case.simulate(large, 1, rng)[0].scores()[case.score] for _ in range(TRUTHS)])
    )


def _repetition(
    case: Case, shape: Shape, truth: float, rng: np.random.Generator
) -> tuple[bool, bool]:
    """Whether the interval holds the truth, and whether two equal models are told apart."""
    groups = shape.groups
    keys = groups if shape.samples == 1 else [f"{g}_{i}" for i, g in enumerate(groups)]
    metrics = case.simulate(shape, 2, rng)
    one, other = (make_replicates([m], case.score, keys, groups, RESAMPLES) for m in metrics)
    apart = paired_tests.paired_difference(one, other).p < paired_tests.LEVEL
    spread = spread_of(one.value, known(one.values), known(one.omitted), shape.units)
    if spread is None:  # a class is in one image only: no interval
        return True, apart
    low, high = named_interval([metrics[0]], case.score, one.value, spread, groups)
    return low <= truth <= high, apart
