"""Guards against numbers that are wrong without saying so.

A broken contract refuses to run (`core.match`, `weights.load_into`, `check_metric`); what may
be right but must be seen becomes a flag of the record (`alarms.judged`), and every table shows
flags. Under `--strict` a flag of FAULTS makes the cell fail.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from skybench.core import Found, Metric, SkybenchError
from skybench.records.store import Record

# flag -> what it means for a reader; tables print the short name and this as a footnote.
FLAGS = {
    "random weights": "the network is not trained: no statement about the published model",
    "tiny variant": "a reduced network, not the published size",
    "chance": "not above the best constant answer by 3 standard errors",
    "nominal units": "display values and reflectance were mapped to each other by convention",
    "own split": "no official split list was found: a seeded split of the same ratio",
    "limited": "on a part of the data only",
    "override": "a field of the recipe was changed on the command line",
    "seen in pre-training": "the model's pre-training data contain this dataset",
    "partial checkpoint": "parameters that the checkpoint lacks kept random initial values",
    "collapsed features": "the features hardly tell the images apart",
    "same features": "bit by bit those of another model, checkpoint or setting",
    "implausible values": "images cannot be of the unit that the dataset declares",
    "band order": "images fit another order of their bands clearly better",
    "train images in test": "test images are in the training set too",
    "incomplete split": "fewer or more samples than the official split has",
    "far from the paper": "further from the published score than repetitions are",
}
# Those that say that something is wrong, and not under which conditions a score was measured.
FAULTS = frozenset((
    "chance", "seen in pre-training", "partial checkpoint", "collapsed features", "same features",
    "implausible values", "band order", "train images in test", "incomplete split",
    "far from the paper",
))  # fmt: skip


def check_metric(metric: Metric, targets: Iterable[tuple[str, Any]]) -> None:
    """Feeds the truth, by key, as prediction: the main score must be 100.

    A metric whose perfect prediction is not the truth itself has a method `perfect(target)`.

    Raises SkybenchError where it is not: then no score of this metric can be believed.
    """
    trial = metric.fresh()
    answer = getattr(trial, "perfect", _without_ignored)
    for key, target in targets:
        trial.update(answer(target), target, key)
    name, score = next(iter(trial.scores().items()))
    if not math.isclose(score, 100.0, abs_tol=1e-9):
        raise SkybenchError(
            f"The metric's self-test failed: the truth as prediction gives {name} = {score}, "
            "expected 100. Check the targets (a test split without any labelled pixel?)."
        )


def _without_ignored(target: Any) -> Any:
    """A prediction equal to the truth; ignored pixels get class 0, which must not matter."""
    return target * (target != 255) if getattr(target, "ndim", 0) else target


def is_chance(score: float, error: float, chance: float) -> bool:
    """Whether a score in percent is within 3 standard errors of the best constant answer."""
    return score <= chance + 3 * error


def uses_convention(found: dict[str, Found]) -> bool:
    """Whether a unit conversion rests on a convention rather than on a definition."""
    return any(not f.conversion.exact for f in found.values())


def strict(record: Record) -> Record:
    """The record as failed, without its scores, where it carries a flag of FAULTS."""
    faults = [f for f in record.flags if f in FAULTS]
    if record.status != "measured" or not faults:
        return record
    details = record.used.get("alarms", {})
    reasons = "; ".join(f"{f} ({details.get(f) or FLAGS[f]})" for f in faults)
    return replace(
        record, status="failed", note=f"--strict: {reasons}", scores={}, spread={}, intervals={},
        per_class={}, seeds=[],
    )  # fmt: skip
