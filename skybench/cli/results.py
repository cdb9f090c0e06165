"""The commands that read records only: no model, no data, no torch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer


def results_folder(text: str) -> Path:
    """Return a folder of records, which may be given by an address of fsspec."""
    from skybench.core.folders import results_at

    return results_at(text)


Results = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the records, or an address as s3://BUCKET/runs.",
        parser=results_folder, metavar="FOLDER",
    ),
]  # fmt: skip
Json = Annotated[bool, typer.Option("--json", help="One JSON document on stdout.")]
OfTask = Annotated[str, typer.Option("--task", help="Only this task.")]
OfProtocol = Annotated[str, typer.Option("--protocol", help="Only this protocol.")]
Plot = Annotated[Path | None, typer.Option(help="A PNG to draw it to.")]


def table(
    results: Results = None,
    task: Annotated[str, typer.Option(help="Only this task.")] = "",
    paper: Annotated[
        bool, typer.Option("--paper", help="The paper's tables: reported scores, ours beside.")
    ] = False,
    form: Annotated[str, typer.Option("--format", help="text, md, latex, csv or json.")] = "text",
) -> None:
    """Prints the records as tables."""
    from skybench.cli import output_results
    from skybench.records.index import without_collection

    with without_collection():
        output_results.show_table(results, task, form, paper)


def rescore(
    metric: Annotated[
        str, typer.Option(help="A score by its name, as miou_true; default: every one.")
    ] = "",
    results: Results = None,
    task: Annotated[str, typer.Option(help="Only this task.")] = "",
    as_json: Json = False,
) -> None:
    """Scores kept predictions again by any variant of their metric, without model and data."""
    from skybench.cli import output_results

    raise typer.Exit(output_results.show_rescored(results, task, metric, as_json))


def reproduce(
    cell: Annotated[str, typer.Argument(help="The first digits of a record's fingerprint.")],
    results: Results = None,
    as_json: Json = False,
) -> None:
    """Shows a record beside the paper's score, with recipe differences and the command."""
    from skybench.cli import output

    output.show_reproduction(cell, results, as_json)


def export(
    cell: Annotated[str, typer.Argument(help="The first digits of a record's fingerprint.")],
    out: Annotated[Path, typer.Option(help="Folder to write to.")],
    results: Results = None,
) -> None:
    """Writes a cell's detections in the format of FAIR1M's server, or of DOTA's."""
    from skybench.cli import output

    output.export_record(cell, out, results)


def merge(
    folders: Annotated[
        list[Path],
        typer.Argument(help="Folders of records of other machines.", parser=results_folder),
    ],
    results: Results = None,
    as_json: Json = False,
) -> None:
    """Copies records with their predictions into one folder; conflicts are listed, not resolved."""
    from skybench.cli import output

    raise typer.Exit(output.merge_records(folders, results, as_json))


def claims(
    model: Annotated[
        str, typer.Option(help="A model measured here: its mean gain over each other one.")
    ] = "",
    results: Results = None,
    as_json: Json = False,
) -> None:
    """Recomputes the average gains that papers claim, from their published cells."""
    from skybench.cli import output
    from skybench.report import claims as module

    made = (
        module.measured_claims(*output.measured(model, results)) if model else module.paper_claims()
    )
    print(json.dumps([c.row() for c in made], indent=1) if as_json else module.claims_text(made))


def compare(
    first: Annotated[
        str, typer.Argument(help="A model; where several of it were measured, as galileo/tiny.")
    ],
    second: Annotated[str, typer.Argument(help="Another, or the same as imagenet/random.")],
    task: OfTask = "",
    protocol: OfProtocol = "",
    results: Results = None,
    as_json: Json = False,
) -> None:
    """Compares two models on their common cells, by paired tests over the test images."""
    from skybench.cli import output_results

    output_results.show_comparison((first, second), task, protocol, results, as_json)


def curve(
    model: Annotated[str, typer.Option(help="Only this model.")] = "",
    task: OfTask = "",
    plot: Plot = None,
    results: Results = None,
    as_json: Json = False,
) -> None:
    """Shows scores by the fraction of the training data (`skybench run --fraction`)."""
    from skybench.cli import output_results

    output_results.show_curve(model, task, plot, results, as_json)


def rank(
    models: Annotated[str, typer.Option(help="As for compare; default: all with weights.")] = "",
    task: OfTask = "",
    protocol: OfProtocol = "",
    impute: Annotated[str, typer.Option(help="Missing scores: worst or floor.")] = "",
    plot: Plot = None,
    results: Results = None,
    as_json: Json = False,
) -> None:
    """Ranks models on the cells that all of them have, with intervals and significance groups."""

    from skybench.cli import output_results

    made = output_results.read_ranking(
        [m for m in models.split(",") if m], task, protocol, impute, results
    )
    output_results.show_ranking(made, plot, as_json)
