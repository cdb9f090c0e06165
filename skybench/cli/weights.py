"""The commands of `skybench weights`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from skybench.cli.results import Json


def weights_list(as_json: Json = False) -> None:
    """Lists checkpoints: found or not, licence, how to get them."""
    from skybench.cli import catalogue, output

    output.show_rows(catalogue.weights_rows(), as_json)


def weights_download(
    name: str,
    variant: Annotated[
        str, typer.Option(help="A published variant; default: all that 'full' stands for.")
    ] = "full",
    as_json: Json = False,
) -> None:
    """Downloads a model's weights, resumed and checked; if not allowed, says how to get them."""
    from skybench.cli import output
    from skybench.cli.progress import Bar
    from skybench.weights import manage as commands

    published = commands.published_files(name, variant)
    for _, card, source in published:
        output.say(commands.licence_notice(card, source))
    with Bar() as bar:
        rows = [commands.download_weights(one, bar) for one in published]
    output.show_rows(rows, as_json)


def weights_verify(
    name: Annotated[str, typer.Argument(help="A model; default: all that are found.")] = "",
    as_json: Json = False,
) -> None:
    """Checks the hash of each found checkpoint, and that it loads; exit code 1 if not."""
    from skybench.cli import output
    from skybench.cli.progress import Bar
    from skybench.weights import manage as commands

    with Bar() as bar:
        rows = commands.verify_weights(name, bar)
    if not rows:
        output.say("No checkpoint is here; `skybench weights list` says how to get them.")
    output.show_rows(rows, as_json)
    raise typer.Exit(int(any(row["state"] == "bad" for row in rows)))


def weights_import(
    file: Path,
    model: Annotated[str, typer.Option(help="Whose it is, where several share a network.")] = "",
    variant: Annotated[str, typer.Option(help="Which of the model's.")] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace another file there.")] = False,
    as_json: Json = False,
) -> None:
    """Identifies a checkpoint by its keys and copies it to where it is looked for."""
    from skybench.cli import output
    from skybench.weights import manage as commands

    output.show_facts(commands.import_weights(file, model, variant, force), as_json)
