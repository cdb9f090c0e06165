"""The commands of `skybench data`, and options that name data."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from skybench.cli.results import Json

Data = Annotated[str, typer.Option(help="Folder with one folder a dataset, or 'demo'.")]
Options = Annotated[
    list[str], typer.Option(help="NAME=VALUE of a dataset; see `skybench show` (may be repeated).")
]


def parsed_pairs(texts: list[str], option: str) -> dict[str, str]:
    """Parse comma-separated or repeated NAME=VALUE; a value without a name stands under ""."""
    from skybench.plan import arguments

    return arguments.parse_pairs(texts, option)


def data_list(data: Data = "", as_json: Json = False) -> None:
    """Lists the datasets, and whether they are found."""
    from skybench.cli import catalogue, output

    output.show_rows(catalogue.data_rows(data), as_json)


def data_demo(
    names: Annotated[list[str], typer.Argument(help="Ids; default: all.")] = [],  # noqa: B006
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to, one folder a dataset; default: cache.")
    ] = None,
) -> None:
    """Writes the simulated demo data in the official layouts."""
    from skybench.cli import output_data

    output_data.write_demo(out, names)


def data_verify(
    name: str,
    data: Data = "",
    option: Options = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Checks layout, counts, splits and a sample of files; exit code 1 where something is wrong."""
    from skybench.cli import output_data

    raise typer.Exit(output_data.verify_data(name, data, parsed_pairs(option, "--option"), as_json))


def data_download(name: str, data: Data = "") -> None:
    """Downloads a dataset, resumed and checked; if not allowed, says how to get it."""
    from skybench.cli import output_data

    output_data.download_data(name, data)


def data_splits(
    name: str,
    source: Annotated[
        Path | None,
        typer.Option("--from", help="A folder with the list files; else they are downloaded."),
    ] = None,
) -> None:
    """Fetches the papers' split lists of a dataset and checks them."""
    from skybench.cli import output_data

    output_data.fetch_splits(name, source)
