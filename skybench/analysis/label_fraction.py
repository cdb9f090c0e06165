"""Label-fraction curves: how a score grows with the share of the training data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from skybench.analysis import comparable
from skybench.analysis.comparable import Ground
from skybench.core import Record, UsageError
from skybench.records.labels import settings

Row = dict[str, Any]


def points(records: Iterable[Record], model: str = "", task: str = "") -> list[Row]:
    """The points of every curve, one after another, by rising fraction.

    A curve is what differs in the recipe's `fraction` alone, the newest record for each; model,
    task: "" for all. Raises UsageError where no curve has two points.
    """
    curves: dict[tuple[str, tuple[str, ...], Ground], dict[float, Record]] = {}
    for record in sorted(records, key=lambda r: r.made):
        if record.main and model in ("", record.model) and task in ("", record.task):
            ground = comparable.ground_of(_whole(record))
            own = curves.setdefault((record.model, comparable.words_of(record), ground), {})
            own[record.recipe.get("fraction", 1.0)] = record
    rows = [
        _row(own[fraction], fraction)
        for _, own in sorted(curves.items()) if len(own) > 1
        for fraction in sorted(own)
    ]  # fmt: skip
    if not rows:
        raise UsageError(
            "No records differ in the fraction of the training data alone; `skybench run "
            "--fraction 0.1` (then 0.3, 1) with one folder of results makes them."
        )
    return rows


def _whole(record: Record) -> Record:
    return replace(record, recipe={**record.recipe, "fraction": 1.0})


def _row(record: Record, fraction: float) -> Row:
    metric, score = record.main or ("", 0.0)
    low, high = record.intervals.get(metric, (None, None))
    variant, weights, *_ = comparable.words_of(record)
    return {
        "model": record.model, "variant": variant, "weights": weights, "task": record.task,
        "dataset": record.dataset, "label": record.recipe.get("label", ""),
        "protocol": record.recipe["protocol"], "data": record.data, "sensors": record.sensors,
        "settings": settings(_whole(record)), "fraction": fraction,
        "train": record.samples.get("train"), "metric": metric, "score": score,
        "spread": record.spread.get(metric), "low": low, "high": high,
        "flags": list(record.flags),
    }  # fmt: skip
