"""Forecasts of `run --dry-run`: of fine-tuning, or of extraction for a named GPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from skybench.plan.cell import Cell
    from skybench.plan.planner import Planner


def add_forecasts(
    rows: Sequence[dict[str, Any]], cells: Sequence[Cell], planner: Planner, gpu: str
) -> str:
    """Add forecasts to the rows of cells, of extraction only for a named GPU; return a note."""
    if any(c.recipe.protocol in c.task.protocols and c.protocol.trains_backbone for c in cells):
        from skybench.plan import forecast, gpus

        return forecast.add_estimates(rows, cells, planner, gpus.pick_gpu(gpu))
    if gpu:
        from skybench.plan import extraction_forecast, gpus

        return extraction_forecast.add_extraction(rows, cells, planner, gpus.pick_gpu(gpu))
    return ""


def forecast_seconds(rows: Sequence[Mapping[str, Any]]) -> dict[str, float | None]:
    """Return the forecast seconds of cells by fingerprint; None where they are not known."""
    found: dict[str, float | None] = {}
    for row in rows:
        told = row.get("forecast") or {}
        if "recompute" in told:
            told = told["recomputing" if told["recompute"] else "plain"]
        hours = told.get("hours")
        found[row["fingerprint"]] = None if hours is None else 3600 * hours
    return found


def forecast_columns_of(told: Mapping[str, Any] | None) -> dict[str, str]:
    """Return a forecast of fine-tuning, which has a GPU's utilisation, or of extraction."""
    from skybench.plan import extraction_forecast, forecast

    if told and "reached" in told:
        return extraction_forecast.extraction_columns(told)
    return forecast.forecast_columns(told)
