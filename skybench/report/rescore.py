"""A record looked at again: scored by another variant of its metric, or set out for a repeat."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from skybench.core import DataError, Record, UsageError, registry
from skybench.records import labels

Row = dict[str, Any]


def rescored(
    records: Iterable[Record], results: Path, metric: str = ""
) -> tuple[list[Row], list[str]]:
    """Every score, or one, of every record that kept its predictions; and what is missing."""
    rows: list[Row] = []
    missing: list[str] = []
    for record in records:
        try:
            rows += _scores(record, results)
        except (DataError, UsageError) as error:  # UsageError: a plugin that is not installed
            missing.append(str(error))
    names = sorted({row["metric"] for row in rows})
    if metric and metric not in names:
        raise UsageError(registry.unknown("score of kept predictions", metric, names or ["none"]))
    return [row for row in rows if metric in ("", row["metric"])], missing


def _scores(record: Record, results: Path) -> Iterator[Row]:
    from skybench.analysis import bootstrap
    from skybench.records import predictions

    kept = predictions.load(record, results)
    every = [m.scores() for m in kept.metrics]
    bands = bootstrap.intervals(kept.metrics, len(kept.keys))
    for name in every[0]:
        band = bands.get(name)
        yield {
            "task": record.task, "dataset": record.dataset,
            "label": record.recipe.get("label", ""), "data": record.data,
            "model": record.model, "variant": record.used.get("variant", ""),
            "weights": labels.weights_of(record), "sensors": record.sensors,
            "protocol": record.recipe["protocol"], "settings": labels.settings(record),
            "metric": name,
            "score": round(sum(s[name] for s in every) / len(every), 4),
            "low": round(band.low, 4) if band else None,
            "high": round(band.high, 4) if band else None,
            "recorded": record.scores.get(name), "images": len(kept.keys),
            "flags": list(record.flags), "fingerprint": record.fingerprint[:8],
        }  # fmt: skip
