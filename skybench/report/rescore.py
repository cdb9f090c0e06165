"""Rescoring: every variant of a metric, computed from kept predictions."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from skybench.analysis.score_text import round_score
from skybench.core import Record, UsageError, registry, score_info
from skybench.core.errors import error_text
from skybench.records import labels
from skybench.records.identity import place_label

Row = dict[str, Any]


def rescored(
    records: Iterable[Record], results: Path, metric: str = ""
) -> tuple[list[Row], list[str]]:
    """Score kept predictions again; return the rows, and why others have none.

    metric: one score by name; "" for all.
    """
    rows: list[Row] = []
    missing: list[str] = []
    for record in records:
        try:
            rows += [*_scores(record, results)]
        except Exception as error:  # a damaged file or a plugin that is gone costs its record alone
            missing.append(f"{record.model} on {record.dataset}: {error_text(error)}")
    names = sorted({row["metric"] for row in rows})
    if metric and metric not in names:
        raise UsageError(registry.unknown("score of kept predictions", metric, names or ["none"]))
    return [row for row in rows if metric in ("", row["metric"])], missing


def _scores(record: Record, results: Path) -> Iterator[Row]:
    from skybench.analysis.intervals import uncertainty
    from skybench.records import predictions

    kept = predictions.load_predictions(record, results)
    every = [m.scores() for m in kept.metrics]
    bands = uncertainty(kept.metrics, kept.groups, kept.keys).intervals
    for name in every[0]:
        band, info = bands.get(name), score_info(kept.metrics[0], name)
        yield {
            "task": record.task, "dataset": record.dataset,
            "label": place_label(record), "data": record.data,
            "model": record.model, "variant": record.used.get("variant", ""),
            "weights": labels.weights_label(record), "sensors": record.sensors,
            "protocol": record.recipe["protocol"], "settings": labels.settings_label(record),
            "metric": name,
            "score": round_score(sum(s[name] for s in every) / len(every), info),
            "low": round_score(band.low, info) if band else None,
            "high": round_score(band.high, info) if band else None,
            "unit": info.unit, "higher_is_better": info.higher_is_better,
            "recorded": record.scores.get(name), "images": len(kept.keys),
            "flags": list(record.flags), "fingerprint": record.fingerprint[:8],
        }  # fmt: skip
