"""Output of `skybench bench`: a table of 80 columns, or one JSON document."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from skybench.cli.progress import Bar
from skybench.core import UsageError

if TYPE_CHECKING:
    from skybench.bench.timing import Timing

WIDTH = 80
NOTE = (
    "s: {clock} on one thread, medians of rounds in turn with the peer. ratio: ours over the "
    "peer's where it must be small (<=), else the peer's over ours."
)


def show_benchmarks(groups: Sequence[str], size: str, as_json: bool) -> None:
    """Run groups of benchmarks with progress, and print their rows. Raises UsageError."""
    from skybench.bench import groups as benchmarks
    from skybench.bench.timing import FORMS

    form = next((known for known in FORMS if known == size), None)
    if form is None:
        raise UsageError(f"Expected --size to be one of {', '.join(FORMS)}, but got {size!r}.")
    names = benchmarks.chosen_groups(groups)
    with Bar() as bar:
        rows = [*benchmarks.run_groups(names, form, bar)]
    facts = benchmarks.machine_facts(form)
    if as_json:
        print(json.dumps({"machine": facts, "rows": [row._asdict() for row in rows]}, indent=1))
        return
    _print_table(rows)
    machine = f"{facts['processor']}, {facts['cores']} cores, {facts['device']}"
    made = f"{facts['date']}, {machine}, torch {facts['torch']}, size {form}."
    print("\n".join(textwrap.wrap(f"{NOTE.format(clock=facts['clock'])} {made}", WIDTH)))


def _print_table(rows: Sequence[Timing]) -> None:
    """Print a section for each group; words fold, so that no line is wider than 80 columns."""
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, width=WIDTH, padding=(0, 1, 0, 0))
    table.add_column("what", ratio=3, overflow="fold")
    table.add_column("ours", justify="right", min_width=7)
    table.add_column("peer", ratio=2, overflow="fold")
    table.add_column("s", justify="right", min_width=5)
    table.add_column("ratio", justify="right", min_width=5)
    table.add_column("must", min_width=7)
    table.add_column("holds", min_width=6, overflow="fold")
    group = ""
    for row in rows:
        if row.group != group:
            group = row.group
            table.add_section()
            table.add_row(Text(group, "bold"))
        table.add_row(*map(Text, _words(row)))
    Console(width=WIDTH, markup=False, highlight=False).print(table)


def _words(row: Timing) -> list[str]:
    ours = f"{row.ours:g}" if row.unit == "s" else f"{row.ours:g} {row.unit}"
    return [
        row.what, ours, row.peer, *("" if x is None else f"{x:g}" for x in (row.theirs, row.ratio)),
        row.must, row.holds,
    ]  # fmt: skip


def as_markdown(document: dict[str, Any]) -> list[str]:
    """Return the lines of a stored JSON document as a table for docs/performance.md."""
    facts = document["machine"]
    lines = [
        f"{facts['date']}, {facts['processor']}, {facts['cores']} cores, {facts['device']}, torch "
        f"{facts['torch']}, Python {facts['python']}; {facts['clock']} in seconds on one thread, "
        f"`skybench bench --size {facts['size']}`. A ratio is ours over the peer's where it must "
        "be small, else the peer's over ours.", "",
        "| group | what | ours | peer | s | ratio | must | holds |",
        "|---|---|---|---|---|---|---|---|",
    ]  # fmt: skip
    for row in document["rows"]:
        ours = f"{row['ours']:g}" + ("" if row["unit"] == "s" else f" {row['unit']}")
        theirs, ratio = ("" if row[n] is None else f"{row[n]:g}" for n in ("theirs", "ratio"))
        cells = (row["group"], row["what"], ours, row["peer"], theirs, ratio, row["must"])
        lines.append(f"| {' | '.join(cells)} | {row['holds']} |")
    return lines
