"""The command line: reads options, calls the core, prints. Heavy imports stay inside commands."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from skybench.cli import bench, cache, interrupts, records
from skybench.cli import data as cli_data
from skybench.cli import jobs as cli_jobs
from skybench.cli import results as cli_results
from skybench.cli import weights as cli_weights
from skybench.cli.data import Data, Options, parsed_pairs
from skybench.cli.results import Json, Results

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
bench_app = typer.Typer(
    rich_markup_mode=None, cls=bench.Groups,
    help="Speed beside peers: `skybench bench [GROUP,...] [--size short|full] [--json]`.",
)  # fmt: skip
app.add_typer(weights_app, name="weights")
app.add_typer(cache.app, name="cache")
app.add_typer(records.app, name="records")
app.add_typer(bench_app, name="bench")


def _split(text: str) -> list[str]:
    return [part.strip() for part in text.split(",") if part.strip()]


@app.command()
def run(
    model: Annotated[str, typer.Option(help="Ids, 'all', or 'paper' (SkySense and the 18).")],
    task: Annotated[str, typer.Option(help="Ids or 'all'.")] = "all",
    dataset: Annotated[
        str, typer.Option(help="Ids, or folder:PATH; default: all of the task.")
    ] = "",
    protocol: Annotated[str, typer.Option(help="knn, linear, frozen, finetune …")] = "frozen",
    recipe: Annotated[
        list[str],
        typer.Option(help="Recipes by name: aid:rvsa, frozen:pangaea (see list recipes)."),
    ] = [],  # noqa: B006
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
    precision: Annotated[
        str,
        typer.Option(
            help="auto, float32, tf32, fp16 or bf16; auto: the fastest that is near float32, as "
            "measured. Default: the recipe's.",
            show_default=False,
        ),
    ] = "",
    results: Results = None,
    force: Annotated[bool, typer.Option("--force", help="Run cells again that are done.")] = False,
    devices: Annotated[
        int, typer.Option(help="GPUs (or processes) that fine-tune one network together.")
    ] = 1,
    jobs: Annotated[
        int,
        typer.Option(
            help="Processes that run cells beside each other, 0: one a core; default: one a GPU.",
            show_default=False,
        ),
    ] = -1,
    timeout: cli_jobs.Timeout = "0",
    budget: cli_jobs.Budget = "0",
    shard: cli_jobs.Shard = "",
    executor: cli_jobs.Executor = "",
    resources: cli_jobs.Resources = "",
    nodes: Annotated[int, typer.Option(help="Machines, each with that many devices.")] = 1,
    micro_batch: Annotated[
        int,
        typer.Option(
            help="Samples of a forward pass in training; default: the batch, or what fits.",
            show_default=False,
        ),
    ] = 0,
    recompute: Annotated[
        bool,
        typer.Option("--recompute", help="Activation checkpointing, to save memory."),
    ] = False,
    keep_weights: Annotated[
        bool, typer.Option("--keep-weights", help="Keep the trained weights beside the record.")
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Logs for TensorBoard too.")
    ] = False,
    gpu: Annotated[
        str, typer.Option(help="For --dry-run: hours on it, of fine-tuning also memory: h100-80.")
    ] = "",
    draw: Annotated[
        int,
        typer.Option(
            help="Test samples to draw as PNGs; default: 4 when fine-tuning.",
            show_default=False,
        ),
    ] = -1,
    predictions: Annotated[
        bool,
        typer.Option(
            "--predictions/--no-predictions", help="Keep predictions for rescore and compare."
        ),
    ] = True,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop at the first cell that fails.")
    ] = False,
    strict: Annotated[
        bool, typer.Option("--strict", help="Flags that point to a fault make a cell fail.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the cells, run nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Runs cells and prints their table; cells that are done are not run again."""
    from skybench.cli import output
    from skybench.plan.arguments import seconds_of
    from skybench.plan.request import Request
    from skybench.training.launch import hushed_helper

    with hushed_helper(devices * nodes):
        output.warn_broken_plugins([*_split(model), *_split(task), *_split(dataset)])
    overrides = parsed_pairs(set_, "--set") | ({"size": str(size)} if size != -1 else {})
    request = Request(
        models=_split(model), tasks=_split(task), datasets=_split(dataset), protocol=protocol,
        recipes=recipe, data=data, weights=parsed_pairs(weights, "--weights"),
        variant=variant, sensors=_split(sensors),
        options=parsed_pairs(option, "--option"), fraction=fraction, seeds=seeds, limit=limit,
        overrides=overrides, arch=parsed_pairs(arch, "--arch"), results=results, device=device,
        precision=precision,
        force=force, draw=draw, predictions=predictions, strict=strict, devices=devices,
        nodes=nodes, micro=micro_batch, recompute=recompute, keep_weights=keep_weights,
        tensorboard=tensorboard, jobs=jobs, shard=shard,
        timeout=seconds_of(timeout, "--timeout"), budget=seconds_of(budget, "--budget"),
        executor=executor, resources=parsed_pairs([resources], "--resources"),
    )  # fmt: skip
    if dry_run:
        output.show_plan(request, as_json, gpu)
        return
    raise typer.Exit(output.run_request(request, fail_fast, as_json))


@app.command("list")
def list_plugins(
    kind: Annotated[str, typer.Argument(help="models, datasets, tasks, protocols or recipes.")],
    as_json: Json = False,
) -> None:
    """Lists models, datasets, tasks, protocols or recipes."""
    from skybench.cli import catalogue, output

    output.warn_broken_plugins()
    rows = catalogue.catalogue_rows(kind)
    output.show_rows(rows if as_json else catalogue.terminal_rows(kind, rows), as_json)


@app.command()
def show(name: str, as_json: Json = False) -> None:
    """Prints the card of a model or dataset, a task, or a recipe (isaid:finetune)."""
    from skybench.cli import catalogue, output

    output.show_facts(catalogue.plugin_facts(name), as_json)


@app.command("check-model")
def check_model(
    name: Annotated[str, typer.Argument(help="A model, also of another package.")],
    variant: Annotated[str, typer.Option(help="full, tiny or a name.")] = "full",
    weights: Annotated[str, typer.Option(help="random, auto or PATH.")] = "random",
    as_json: Json = False,
) -> None:
    """Checks on noise that a model reads all of its input; exit code 1 if a check fails."""
    from skybench.cli import output_checks

    raise typer.Exit(output_checks.show_model_checks(name, variant, weights, as_json))


app.command()(cli_results.table)
app.command()(cli_results.claims)
app.command()(cli_results.rescore)
app.command()(cli_results.reproduce)
app.command()(cli_results.export)
app.command()(cli_results.merge)
app.command()(cli_results.compare)
app.command()(cli_results.curve)
app.command()(cli_results.rank)
app.command()(cli_jobs.jobs)


data_app.command("list")(cli_data.data_list)
data_app.command("demo")(cli_data.data_demo)
data_app.command("verify")(cli_data.data_verify)
data_app.command("download")(cli_data.data_download)
data_app.command("splits")(cli_data.data_splits)
weights_app.command("list")(cli_weights.weights_list)
weights_app.command("download")(cli_weights.weights_download)
weights_app.command("verify")(cli_weights.weights_verify)
weights_app.command("import")(cli_weights.weights_import)


bench_app.command("run")(bench.run_benchmarks)
bench_app.command("list")(bench.list_groups)
bench_app.command("data")(bench.time_own_readers)
bench_app.command("statistics")(bench.measure_statistics)


@app.command()
def doctor(as_json: Json = False) -> None:
    """Prints versions, device, folders and why they are used, what is found, broken plugins."""
    from skybench.cli import catalogue, output

    output.warn_broken_plugins()
    output.show_facts(catalogue.health(), as_json)


def _version(wanted: bool) -> None:
    if wanted:
        from skybench.core.version import __version__

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
        with interrupts.ended_by_sigterm():
            app()
    except BrokenPipeError:  # the reader of our output has gone, as in `skybench list | head -1`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(1)
    except Exception as error:
        from skybench.core import SkybenchError  # here, so that --help need not import it

        # OSError: a full disk, a folder that may not be written to.
        if debug or not isinstance(error, SkybenchError | OSError):
            raise
        print(f"skybench: {error}", file=sys.stderr)
        sys.exit(2)
    except (KeyboardInterrupt, SystemExit) as end:  # typer makes the second of the first
        code = end.code if isinstance(end, SystemExit) else 130
        if code not in interrupts.STOPPED:
            raise
        print("skybench: stopped; the same command goes on where it stopped.", file=sys.stderr)
        sys.exit(code)
