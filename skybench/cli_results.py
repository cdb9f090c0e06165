"""The commands that read results: no model, no data, no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

Results = Annotated[Path | None, typer.Option(help="Folder of the records.")]
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]


def table(
    results: Results = None,
    task: Annotated[str, typer.Option(help="Only this task.")] = "",
    paper: Annotated[
        bool, typer.Option("--paper", help="The paper's tables: reported scores, ours beside.")
    ] = False,
    form: Annotated[str, typer.Option("--format", help="text, md, latex, csv or json.")] = "text",
) -> None:
    """Prints the records as tables."""
    from skybench import console

    console.show_table(results, task, form, paper)


def claims(
    model: Annotated[
        str, typer.Option(help="A model measured here: its mean gain over each other one.")
    ] = "",
    results: Results = None,
    as_json: Json = False,
) -> None:
    """Recomputes the averages that the papers claim, from their published cells."""
    from skybench import claims as module
    from skybench import console

    made = module.of_model(*console.measured(model, results)) if model else module.claims()
    print(json.dumps([c.row() for c in made], indent=1) if as_json else module.text(made))
