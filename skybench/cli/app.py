"""The command line: reads options, calls the core, prints. Heavy imports stay inside commands."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from skybench.cli import bench
from skybench.cli import results as cli_results
from skybench.cli import weights as cli_weights
from skybench.cli.bench import Data
from skybench.cli.results import Json, Results
from skybench.core import SkybenchError, UsageError
from skybench.core.version import __version__

app = typer.Typer(
    name="skybench", no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False,
    rich_markup_mode=None,  # a help page drawn by rich takes twice as long to appear
    help="Benchmarks remote-sensing foundation models: one command from data to table.",
)  # fmt: skip
data_app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Datasets: what is here, demo copies, checks."
)
weights_app = typer.Typer(
    rich_markup_mode=None, no_args_is_help=True, help="Checkpoints: what is here, how to get them."
)
app.add_typer(data_app, name="data")
bench_app = typer.Typer(rich_markup_mode=None, no_args_is_help=True, help="Speed, beside peers.")
app.add_typer(weights_app, name="weights")
app.add_typer(bench_app, name="bench")

Options = Annotated[
    list[str], typer.Option(help="NAME=VALUE of a dataset; see `skybench show` (may be repeated).")
]


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


def _pairs(texts: list[str], option: str) -> dict[str, str]:
    """Comma-separated or repeated NAME=VALUE; a value without a name stands under ""."""
    found = {}
    for text in texts:
        # The value of a dataset's option may be a list; augmentations and views have numbers.
        is_whole = option == "--option" or text.startswith(("augment=", "views="))
        for part in [text] if is_whole else _split(text):
            name, equals, value = part.partition("=")
            found[name if equals else ""] = value if equals else name
    if option != "--weights" and "" in found:
        raise UsageError(f"Expected {option} NAME=VALUE, but got {found['']!r}.")
    return found


@app.command()
def run(
    model: Annotated[str, typer.Option(help="Ids, 'all', or 'paper' (SkySense and the 18).")],
    task: Annotated[str, typer.Option(help="Ids or 'all'.")] = "all",
    dataset: Annotated[
        str, typer.Option(help="Ids, or folder:PATH; default: all of the task.")
    ] = "",
    protocol: Annotated[str, typer.Option(help="knn, linear, frozen or finetune.")] = "frozen",
    data: Data = "",
    weights: Annotated[
        list[str], typer.Option(help="auto, random, PATH, or MODEL=PATH (may be repeated).")
    ] = ["auto"],  # noqa: B006
    variant: Annotated[
        str,
        typer.Option(help="full, tiny, a name, or MODEL=NAME; default: full, on demo data tiny."),
    ] = "",
    sensors: Annotated[str, typer.Option(help="Only these sensors of the dataset.")] = "",
    arch: Annotated[
        list[str], typer.Option(help="NAME=VALUE of a network, as gsd=0.3 (see docs/models.md).")
    ] = [],  # noqa: B006
    option: Options = [],  # noqa: B006
    fraction: Annotated[float, typer.Option(help="Share of the training split.")] = 1.0,
    seeds: Annotated[int, typer.Option(help="Repeat with this many seeds.")] = 1,
    limit: Annotated[int, typer.Option(help="At most this many samples of each split.")] = 0,
    size: Annotated[
        int,
        typer.Option(
            help="Side of the input images in pixels, 0 as read; default: the recipe's.",
            show_default=False,
        ),
    ] = -1,
    set_: Annotated[
        list[str], typer.Option("--set", help="FIELD=VALUE of the recipe, as epochs=5.")
    ] = [],  # noqa: B006
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    results: Results = None,
    force: Annotated[bool, typer.Option("--force", help="Run cells that are done again.")] = False,
    devices: Annotated[
        int, typer.Option(help="GPUs (or processes) that fine-tune one network together.")
    ] = 1,
    nodes: Annotated[int, typer.Option(help="Machines with so many devices each.")] = 1,
    micro_batch: Annotated[
        int,
        typer.Option(
            help="Samples in a forward pass of training; default: a batch, or what fits.",
            show_default=False,
        ),
    ] = 0,
    recompute: Annotated[
        bool, typer.Option("--recompute", help="Activations twice, to fine-tune in less memory.")
    ] = False,
    keep_weights: Annotated[
        bool, typer.Option("--keep-weights", help="Keep what was trained beside the record.")
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Logs for TensorBoard too.")
    ] = False,
    gpu: Annotated[
        str, typer.Option(help="For --dry-run of finetune: its memory and time, as h100-80.")
    ] = "",
    draw: Annotated[
        int,
        typer.Option(
            help="PNGs of so many predictions, beside the record; default: 4 when fine-tuning.",
            show_default=False,
        ),
    ] = -1,
    predictions: Annotated[
        bool,
        typer.Option("--predictions/--no-predictions", help="Keep them for rescore and compare."),
    ] = True,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop at the first cell that fails.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="What a guard finds wrong makes a cell fail.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the cells, run nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Runs cells and prints their table; cells that are done are not run again."""
    from skybench.cli import output
    from skybench.plan.request import Request

    overrides = _pairs(set_, "--set") | ({"size": str(size)} if size != -1 else {})
    request = Request(
        models=_split(model), tasks=_split(task), datasets=_split(dataset), protocol=protocol,
        data=data, weights=_pairs(weights, "--weights"), variant=variant, sensors=_split(sensors),
        options=_pairs(option, "--option"), fraction=fraction, seeds=seeds, limit=limit,
        overrides=overrides, arch=_pairs(arch, "--arch"), results=results, device=device,
        force=force, draw=draw, predictions=predictions, strict=strict, devices=devices,
        nodes=nodes, micro=micro_batch, recompute=recompute, keep_weights=keep_weights,
        tensorboard=tensorboard,
    )  # fmt: skip
    if dry_run:
        output.show_plan(request, as_json, gpu)
        return
    raise typer.Exit(output.run(request, fail_fast, as_json))


@app.command("list")
def list_(
    kind: Annotated[str, typer.Argument(help="models, datasets, tasks, protocols or recipes.")],
    as_json: Json = False,
) -> None:
    """Lists what skybench knows, without loading any of it."""
    from skybench.cli import catalogue, output

    output.show_rows(catalogue.rows(kind), as_json)


@app.command()
def show(name: str, as_json: Json = False) -> None:
    """Prints all facts about a model, dataset, task or recipe (isaid:finetune)."""
    from skybench.cli import catalogue, output

    output.show_facts(catalogue.facts(name), as_json)


app.command()(cli_results.table)
app.command()(cli_results.claims)
app.command()(cli_results.rescore)
app.command()(cli_results.reproduce)
app.command()(cli_results.export)
app.command()(cli_results.merge)
app.command()(cli_results.compare)
app.command()(cli_results.curve)
app.command()(cli_results.rank)


@data_app.command("list")
def data_list(data: Data = "", as_json: Json = False) -> None:
    """Lists the datasets, and which are found."""
    from skybench.cli import catalogue, output

    output.show_rows(catalogue.data_rows(data), as_json)


@data_app.command("demo")
def data_demo(
    names: Annotated[list[str], typer.Argument(help="Ids; default: all.")] = [],  # noqa: B006
    out: Annotated[
        Path | None, typer.Option(help="Folder to write to, one folder a dataset; default: cache.")
    ] = None,
) -> None:
    """Writes the simulated demo data in the official layouts."""
    from skybench.cli import output

    output.write_demo(out, names)


@data_app.command("verify")
def data_verify(
    name: str,
    data: Data = "",
    option: Options = [],  # noqa: B006
    as_json: Json = False,
) -> None:
    """Checks layout, counts, splits and a sample of files; exit code 1 where something is wrong."""
    from skybench.cli import output

    raise typer.Exit(output.verify(name, data, _pairs(option, "--option"), as_json))


@data_app.command("download")
def data_download(name: str, data: Data = "") -> None:
    """Downloads a dataset, resumed and checked; where that may not be done, says how to get it."""
    from skybench.cli import output

    output.download(name, data)


@data_app.command("splits")
def data_splits(
    name: str,
    source: Annotated[
        Path | None,
        typer.Option("--from", help="A folder with the list files; else they are downloaded."),
    ] = None,
) -> None:
    """Gets the papers' split lists of a dataset and checks them."""
    from skybench.cli import output

    output.fetch_splits(name, source)


weights_app.command("list")(cli_weights.list_)
weights_app.command("download")(cli_weights.download)
weights_app.command("verify")(cli_weights.verify)
weights_app.command("import")(cli_weights.import_)


bench_app.command("data")(bench.data)
bench_app.command("boxes")(bench.boxes)
bench_app.command("finetune")(bench.finetune)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Prints what is in force: versions, device, folders and why, what is found."""
    from skybench.cli import catalogue, output

    output.show_facts(catalogue.health(), as_json)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"skybench {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """Reads the options that stand before a command."""


def main() -> None:
    """Runs the command line: one clear message for a user's error, a traceback with --debug."""
    # OpenMP threads that spin while they wait take the cores from the thread they wait for: on a
    # shared 2-core machine a Swin forward pass took 4 times as long (docs/log.md, 2026-11-22).
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    getattr(sys.stdout, "reconfigure", lambda **_: None)(errors="replace")  # letters it lacks
    debug = "--debug" in sys.argv
    sys.argv = [a for a in sys.argv if a != "--debug"]
    try:
        app()
    except BrokenPipeError:  # the reader of our output has gone, as in `skybench list | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except (SkybenchError, OSError) as error:  # a full disk, a folder that may not be written to
        if debug:
            raise
        print(f"skybench: {error}", file=sys.stderr)
        sys.exit(2)
    except (KeyboardInterrupt, SystemExit) as end:  # typer makes the second of the first
        if isinstance(end, SystemExit) and end.code != 130:
            raise
        print("skybench: stopped; the same command goes on where it stopped.", file=sys.stderr)
        sys.exit(130)
