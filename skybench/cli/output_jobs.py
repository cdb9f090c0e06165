"""Output of jobs: what was submitted, and how far it is."""

from __future__ import annotations

import json
from pathlib import Path

from skybench.cli import output
from skybench.core import folders
from skybench.executors.jobs import JobReport, count_states, read_jobs

LISTED = 40  # bundles at most, of those that are not done
AGAIN = "The same `skybench run` command submits what is left of bundles that stopped or failed."


def show_jobs(results: Path | None, as_json: bool) -> None:
    """Print all submitted bundles: those that are not done, then how many there are of which."""
    reports = read_jobs(results or folders.results())
    if as_json:
        print(json.dumps([report._asdict() for report in reports], indent=1))
        return
    left = [report for report in reports if report.state != "done"]
    if left:
        output.show_rows([_row(report) for report in left[:LISTED]], as_json=False)
    if len(left) > LISTED:
        print(f"… and {len(left) - LISTED} more (--json lists all)")
    for run in dict.fromkeys(report.run for report in reports):
        print(f"{run}: {count_states([r for r in reports if r.run == run])}.")
    if not reports:
        print(f"Nothing was submitted from {(results or folders.results()).resolve()}.")
    if any(report.state in ("stopped", "failed") for report in reports):
        print(AGAIN)


def _row(report: JobReport) -> dict[str, str]:
    cells = f"{report.done}/{report.cells}"
    return {
        "job": report.job,
        "bundle": report.bundle,
        "state": report.state,
        "cells done": cells + (f", {report.failed} failed" if report.failed else ""),
        "where": report.where,
        "note": report.note,
    }
