"""Label-fraction curves: the score against the share of the training data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from skybench.analysis import comparable
from skybench.analysis.comparable import ComparisonKey
from skybench.analysis.score_text import spread_over_seeds
from skybench.core import Record, UsageError
from skybench.records.identity import place_label
from skybench.records.labels import settings_label

Row = dict[str, Any]


def curve_points(records: Iterable[Record], model: str = "", task: str = "") -> list[Row]:
    """Return the points of all curves, by rising fraction within each.

    The records of a curve differ in the recipe's `fraction` alone; the newest of each counts.
    model, task: "" for all. Raises UsageError where no curve has two points.
    """
    curves: dict[tuple[str, tuple[str, ...], ComparisonKey], dict[float, Record]] = {}
    for record in sorted(records, key=lambda r: r.made):
        if record.main and model in ("", record.model) and task in ("", record.task):
            key = comparable.comparison_key(_whole(record))
            own = curves.setdefault((record.model, comparable.variant_words(record), key), {})
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
    info = record.score_info(metric)
    variant, weights, *_ = comparable.variant_words(record)
    return {
        "model": record.model, "variant": variant, "weights": weights, "task": record.task,
        "dataset": record.dataset, "label": place_label(record),
        "protocol": record.recipe["protocol"], "data": record.data, "sensors": record.sensors,
        "settings": settings_label(_whole(record)), "fraction": fraction,
        "train": record.samples.get("train"), "metric": metric, "score": score,
        "unit": info.unit, "higher_is_better": info.higher_is_better,
        "spread": spread_over_seeds(record, metric), "low": low, "high": high,
        "flags": list(record.flags),
    }  # fmt: skip
