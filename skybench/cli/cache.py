"""The commands of `skybench cache`: what lies there, removal, and a look at the checksums."""

from __future__ import annotations

from typing import Annotated

import typer

from skybench.cli.results import Json

app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True,
    help="The cache: features, decoded images, demo data and what else can be made again.",
)  # fmt: skip
Models = Annotated[str, typer.Option("--model", help="Only what is of these models.")]
Datasets = Annotated[str, typer.Option("--dataset", help="Only what is of these data sets.")]


@app.command("ls")
def cache_ls(model: Models = "", dataset: Datasets = "", as_json: Json = False) -> None:
    """Lists the entries with their sizes, last use, and whether a running process uses them."""
    from skybench.cli.output_cache import list_cache

    list_cache(model, dataset, as_json)


@app.command("gc")
def cache_gc(
    model: Models = "",
    dataset: Datasets = "",
    older_than: Annotated[
        str, typer.Option(help="Only what was not used for that long, as 30d or 12h.")
    ] = "",
    max_size: Annotated[
        str, typer.Option(help="The least recently used, until this is left: 100GB.")
    ] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say it, remove nothing.")] = False,
    as_json: Json = False,
) -> None:
    """Removes entries, and what killed processes left; without options only the latter.

    What a running process uses stays, and so do results and downloads: split lists and weights.
    """
    from skybench.cli.output_cache import collect_cache

    collect_cache(model, dataset, (older_than, max_size), dry_run, as_json)


@app.command("verify")
def cache_verify(
    model: Models = "",
    dataset: Datasets = "",
    repair: Annotated[
        bool, typer.Option("--repair", help="Remove what is damaged: it is made again.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Reads all entries and compares their checksums; exit code 1 where damage is left."""
    from skybench.cli.output_cache import verify_cache

    raise typer.Exit(verify_cache(model, dataset, repair, as_json))
