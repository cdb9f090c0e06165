"""Records as rows of plain values, one each, for CSV and pandas."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from skybench.analysis.score_text import spread_over_seeds
from skybench.core import Record
from skybench.records.identity import place_label
from skybench.records.labels import settings_label, weights_label

if TYPE_CHECKING:
    import pandas as pd


def long_rows(records: Sequence[Record]) -> list[dict[str, Any]]:
    """Return one row for each record, for CSV and pandas; None where there is no value."""
    rows = []
    for r in records:
        metric, score = r.main or (None, None)
        low, high = r.intervals.get(metric or "", (None, None))
        rows.append({
            "task": r.task, "dataset": r.dataset, "label": place_label(r),
            "protocol": r.recipe["protocol"], "model": r.model,
            "variant": r.used.get("variant", ""), "weights": weights_label(r), "data": r.data,
            "sensors": r.sensors, "settings": settings_label(r), "metric": metric, "score": score,
            "spread": spread_over_seeds(r, metric or ""), "low": low, "high": high,
            "seeds": len(r.seeds), "status": r.status, "flags": "; ".join(r.flags),
            "note": r.note, "fingerprint": r.fingerprint[:8],
        })  # fmt: skip
    return rows


def data_frame(records: Sequence[Record]) -> pd.DataFrame:
    """Return the rows of `long_rows` as a pandas DataFrame."""
    import pandas as pd

    return pd.DataFrame(long_rows(records))


def csv_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """Write rows of the same columns as CSV, without a final newline."""
    if not rows:
        return ""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().rstrip("\n")
