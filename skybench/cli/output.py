"""Output of commands: results go to stdout, progress and notices to stderr."""

from __future__ import annotations

import json
import sys
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skybench.cli.catalogue import broken_plugins
from skybench.cli.progress import Bar, Watch
from skybench.cli.terminal import Red, narrowest, paragraph, plain, shows_colour, terminal_width
from skybench.core import Record, UsageError, folders, registry, remote_store
from skybench.core.revision import revision
from skybench.core.version import __version__
from skybench.records import store
from skybench.records.identity import place_label, with_identity

if TYPE_CHECKING:
    from skybench.executors.schedule import RunSchedule
    from skybench.plan.cell import Cell
    from skybench.plan.disk_forecast import Disk
    from skybench.plan.request import Request


def say(text: str) -> None:
    """Print a line on stderr."""
    print(text, file=sys.stderr, flush=True)


def show_rows(rows: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    """Print rows as a table no wider than the terminal, or as JSON.

    Where words would have to be broken for that, each row is a paragraph.
    """
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    if (width := terminal_width()) and narrowest(rows) > width:
        print("\n".join(paragraph(row, width) for row in rows))
        return
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name in rows[0] if rows else ():
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(plain(v), "red" if isinstance(v, Red) else "") for v in row.values()))
    Console(width=None if sys.stdout.isatty() else 160, markup=False, highlight=False).print(table)


def show_facts(facts: Mapping[str, Any], as_json: bool) -> None:
    """Print names and values, one a line, or as JSON."""
    if as_json:
        print(json.dumps(facts, indent=1))
        return
    width, most = max(map(len, facts)), terminal_width()
    for name, value in facts.items():
        lines = plain(value).strip().split("\n")
        if most > 2 * width:
            lines = [
                part
                for line in lines
                for part in textwrap.wrap(line, most - width - 2, break_on_hyphens=False) or [""]
            ]
        print(f"{name.ljust(width)}  " + f"\n{' ' * (width + 2)}".join(lines))


def show_plan(request: Request, as_json: bool, gpu: str = "") -> None:
    """Print the cells of a request, with reasons, and the disk that they will take.

    For fine-tuning also memory and time on a GPU of `skybench.plan.gpus`; "": the present one.
    """
    from skybench.cli import plan_forecasts
    from skybench.executors.schedule import make_schedule, shard_of_cells
    from skybench.plan.cell import to_record
    from skybench.plan.disk_forecast import add_disk
    from skybench.plan.planner import Planner

    planner = Planner(request)
    if not as_json:  # which has nothing but faults on stderr
        write_demo_data(request)
    made = shard_of_cells(planner.cells(), request.shard)
    known = with_identity([to_record(cell) for cell in made])
    cells = [c.describe() | {"label": place_label(r)} for c, r in zip(made, known, strict=True)]
    disk = add_disk(cells, made, planner)
    rests_on = plan_forecasts.add_forecasts(cells, made, planner, gpu)
    foreseen = plan_forecasts.forecast_seconds(cells)
    schedule = make_schedule(replace(request, shard=""), made, lambda c: foreseen[c.fingerprint])
    if as_json:
        print(json.dumps(cells, indent=1))
        return
    reasons = [*dict.fromkeys(c["reason"] for c in cells if c["reason"])]
    show_rows([_plan_row(c, reasons, bool(rests_on)) for c in cells], as_json=False)
    for number, reason in enumerate(reasons, 1):
        print(f"({number}) {reason}")
    print(_plan_summary(cells, rests_on))
    _show_disk(made, disk)
    if request.executor == "slurm":
        from skybench.cli import submission

        submission.show_submission(request, schedule)
    elif schedule.bundles or schedule.later:
        print(schedule.describe(request.budget))
    if request.demo:
        print("Demo data are simulated; their scores are no results.")


def _plan_summary(cells: Sequence[Mapping[str, Any]], rests_on: str) -> str:
    """A line on the cells of a plan; rests_on: the note on forecasts."""
    states = [c["status"] for c in cells]
    counts = ", ".join(f"{states.count(s)} {s}" for s in dict.fromkeys(states))
    return f"{len(cells)} cells: {counts}. {rests_on}".strip()


def _show_disk(cells: Sequence[Cell], forecasts: Sequence[Disk]) -> None:
    """Print what a plan writes of each dataset, and in all."""
    from skybench.plan.disk_forecast import disk_table, disk_total

    if rows := disk_table(cells, forecasts):
        show_rows(rows, as_json=False)
        print("\n".join(textwrap.wrap(disk_total(forecasts), terminal_width() or 160)))


def write_demo_data(request: Request) -> None:
    """Write the demo data that a request needs and that are not there yet, with a bar."""
    if not request.demo:
        return
    from skybench.data.demo_folder import missing_copies, write_copies
    from skybench.plan.request import pick_datasets, pick_tasks

    tasks = [registry.task(name) for name in pick_tasks(request.tasks)]
    names = [name.partition(":")[0] for t in tasks for name in pick_datasets(request.datasets, t)]
    if missing := missing_copies(names):
        with Bar() as bar:
            write_copies(missing, bar)


def _plan_row(cell: Mapping[str, Any], reasons: Sequence[str], forecasts: bool) -> dict[str, Any]:
    """A cell's row in the table of a plan; forecasts: memory and time in the place of disk."""
    measured = _disk(cell)
    if forecasts:
        from skybench.cli import plan_forecasts

        measured = plan_forecasts.forecast_columns_of(cell.get("forecast"))
    return {
        "model": f"{cell['model']} ({cell['variant']}, {cell['weights'][:8]})",
        "task": cell["task"],
        "dataset": f"{cell['dataset']} {cell['label']}".strip(),
        "protocol": ":".join(filter(None, [cell["protocol"], cell["recipe"]])),
        "status": cell["status"],
        "images": sum(cell["samples"].values()) or "",
        **measured,
        "reason": f"({reasons.index(cell['reason']) + 1})" if cell["reason"] else "",
    }


def _disk(cell: Mapping[str, Any]) -> dict[str, str]:
    kept = cell["feature_bytes"]
    return {"features": f"{kept / 1e6:.1f} MB" if kept else ""}


def run_request(request: Request, fail_fast: bool, as_json: bool) -> int:
    """Run a request with progress and print its table; return the exit code."""
    from skybench.executors.execute import execute
    from skybench.executors.schedule import make_schedule
    from skybench.plan.planner import Planner
    from skybench.report import tables
    from skybench.report.stacked import text_tables
    from skybench.report.versions import kept_note
    from skybench.training import launch

    if request.executor != "slurm":  # which starts them in its jobs
        launch.require_processes(request.devices, request.nodes)
    with launch.hushed_helper(request.devices * request.nodes) as hushed:
        planner = Planner(request)
        write_demo_data(request)
        schedule = make_schedule(request, planner.cells())
        if hushed:
            made = execute(request, schedule, fail_fast=fail_fast)
            return 1 if any(r.status == "failed" for r in made) else 0
    made = _with_progress(request, schedule, fail_fast)
    done = {c.fingerprint for c in schedule.cells if c.status == "done"}
    kept = [r for r in made if r.fingerprint in done]
    if note := kept_note(kept, len(schedule.cells), __version__, revision()):
        say(note)
    if as_json:
        print(tables.to_json(made))
    else:
        grids = tables.record_grids(made, request.results or folders.results())
        print(text_tables(grids, terminal_width(), shows_colour()))
    say(f"Records: {(request.results or folders.results()).resolve()}")
    if request.budget and len(made) < len(schedule.cells):
        left = len(schedule.cells) - len(made)
        say(f"{left} cells are left for another time; the same command goes on with them.")
    return 1 if any(r.status == "failed" for r in made) else 0


def _with_progress(request: Request, schedule: RunSchedule, fail_fast: bool) -> list[Record]:
    """The records of all cells; what runs is shown."""
    from skybench.executors.estimates import TimeLeft
    from skybench.executors.execute import execute

    if request.executor == "slurm":
        from skybench.cli import submission

        return submission.submit_and_tell(request, schedule, fail_fast)
    later = sum(len(bundle.fingerprints) for bundle in schedule.later)
    count = sum(c.status != "done" for c in schedule.cells) - later
    watch = Watch(count, TimeLeft(schedule.seconds, schedule.slots))
    if later:
        say(schedule.describe(request.budget))
    with watch.live:
        return execute(request, schedule, watch.report, watch.finished, fail_fast)


def measured(model: str, results: Path | None) -> tuple[str, list[Record]]:
    """Return a model's id and all records. Raises UsageError where it has no score."""
    name, found = registry.resolve("baselines", model), _records(results)
    if not any(r.model == name and r.main for r in found):
        folder = (results or folders.results()).resolve()
        raise UsageError(f"Nothing of {name} was measured in {folder}; `skybench run` does that.")
    return name, found


def _records(results: Path | None) -> list[Record]:
    from skybench.plan.former_recipes import with_recipes

    found, skipped = store.read_records(results or folders.results())
    for path, reason in skipped:
        say(f"skipped {path}: {reason}")
    return with_recipes(found)


def merge_records(others: Sequence[Path], results: Path | None, as_json: bool) -> int:
    """Copy the records of other folders; return the exit code, 1 where two of a cell differ."""
    from skybench.records import merge as merging

    target = results or folders.results()
    with remote_store.synchronised(target):
        done = merging.merge_results(others, target)
    for path, reason in done.skipped:
        say(f"skipped {path}: {reason}")
    rows = [{"cell": str(c.path), "kept": c.kept, "other": c.other} for c in done.conflicts]
    if as_json:
        counts = {"copied": done.copied, "same": done.same, "completed": done.completed}
        print(json.dumps({**counts, "conflicts": rows}, indent=1))
    else:
        show_rows(rows, as_json=False) if rows else None
        lacking = f" ({done.completed} lacked predictions or pictures)" if done.completed else ""
        print(f"{done.copied} copied, {done.same} there already{lacking}, {len(rows)} in conflict.")
    return 1 if rows else 0


def export_record(cell: str, out: Path, results: Path | None) -> None:
    """Write a cell's detections as a server takes them; print the files."""
    from skybench.report.export import export_boxes
    from skybench.report.reproduce import pick_record

    record = pick_record(_records(results), cell)
    for path in export_boxes(record, results or folders.results(), out):
        print(path)


def show_reproduction(cell: str, results: Path | None, as_json: bool) -> None:
    """Print how to make a record again, and the paper's score of its cell."""
    from skybench.report.reproduce import pick_record, reproduction

    show_facts(reproduction(pick_record(_records(results), cell)), as_json)


def bench_data(names: Sequence[str], data: str, seconds: float, as_json: bool) -> None:
    """Print the speed of the readers."""
    from skybench.bench import readers
    from skybench.plan.planner import Planner
    from skybench.plan.request import Request

    root = Planner(Request(data=data)).root
    known = registry.names("datasets")
    every = [n for n in known if data == "demo" or not registry.dataset(n).CARD.user_data]
    show_rows([s._asdict() for s in readers.bench_readers(names or every, root, seconds)], as_json)


def warn_broken_plugins(named: Sequence[str] = ()) -> None:
    """Say on stderr which plugins of other packages cannot be used, a line for each.

    named: names that the user asked for; that these cannot be used is an error of its own.
    """
    for message in broken_plugins(named):
        say(f"skybench: cannot use the {message}")
