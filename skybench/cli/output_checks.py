"""What `skybench check-model` prints."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

from skybench.cli.output import show_rows

if TYPE_CHECKING:
    from skybench.checks.model_check import CheckResult


def show_model_checks(name: str, variant: str, weights: str, as_json: bool) -> int:
    """Print the checks of a model; return the exit code, 1 where one fails."""
    from skybench.checks.model_check import run_model_checks
    from skybench.weights.load import load_model

    results = run_model_checks(load_model(name, weights, variant))
    failed = sum(r.verdict == "FAIL" for r in results)
    if as_json:
        print(json.dumps([r._asdict() for r in results], indent=1))
    else:
        _show_table(results)
        print(f"{len(results)} checks, {failed} failed. Changes are relative to the features.")
    return 1 if failed else 0


def _show_table(results: Sequence[CheckResult]) -> None:
    """The results as a table that fits 80 columns, with numbered notes below it."""
    notes = [*dict.fromkeys(r.note for r in results if r.note)]
    rows = [
        {
            "check": r.check,
            "input": r.input,
            "largest change": "" if r.change is None else f"{r.change:.2g}",
            "verdict": f"{r.verdict} ({notes.index(r.note) + 1})" if r.note else r.verdict,
        }
        for r in results
    ]
    show_rows(rows, as_json=False)
    for number, note in enumerate(notes, 1):
        print(f"({number}) {note}")
