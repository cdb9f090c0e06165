"""The commands of `skybench records`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from skybench.cli.results import Json, Results

app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="The stored records.")


@app.callback()
def _only() -> None:
    """The stored records: one JSON file a cell, with predictions and replicates beside it."""


@app.command("check")
def records_check(
    files: Annotated[
        list[Path], typer.Argument(help="Records below the folder; default: all.")
    ] = [],  # noqa: B006
    results: Results = None,
    as_json: Json = False,
) -> None:
    """Reads records, predictions and replicates; exit code 1 where one is damaged or missing."""
    from skybench.cli.output_records import show_record_damage

    raise typer.Exit(show_record_damage(files, results, as_json))
