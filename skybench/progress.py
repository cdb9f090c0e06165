"""Progress on stderr: bars on a terminal, else a line for each step."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

    from skybench import records
    from skybench.cells import Cell


def bars() -> Progress:
    """Nothing is drawn where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn
    from rich.progress import TimeRemainingColumn as Left

    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
    ]
    return Progress(
        *columns, TimeElapsedColumn(), TextColumn("left"), Left(),
        console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty(),
    )  # fmt: skip


class Bar:
    """One bar for whatever is being done, see core.Report."""

    def __init__(self) -> None:
        self.live = bars()
        self.task = self.live.add_task("", total=1)
        self.what = ""

    def __enter__(self) -> Bar:
        self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.live.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        self.live.update(self.task, description=what, completed=done, total=max(1, total))
        if what != self.what and self.live.disable:
            print(what, file=sys.stderr, flush=True)
        self.what = what


class Watch:
    """Progress of a run on stderr: a bar with time left on a terminal, else a line a cell."""

    def __init__(self, cells: int) -> None:
        self.live = bars()
        self.cells, self.done = cells, 0
        self.whole = self.live.add_task("cells", total=max(1, cells))
        self.part = self.live.add_task("", total=1)
        self.start = time.perf_counter()

    def report(self, cell: Cell, stage: str, done: int, total: int) -> None:
        """Shows how far a cell is."""
        text = f"{cell.model.name} / {cell.dataset_id} {cell.recipe.label}: {stage}"
        self.live.update(self.part, description=text, completed=done, total=total)
        self.live.update(self.whole, completed=self.done + min(0.99, done / max(1, total)))

    def finished(self, cell: Cell, record: records.Record) -> None:
        """Says how a cell ended."""
        self.done += 1
        self.live.update(self.whole, completed=self.done)
        what = f"{record.main[0]} {record.main[1]:.2f}" if record.main else record.note
        name = f"{record.dataset} {record.recipe['label']}".strip()
        line = f"[{self.done}/{self.cells}] {record.model} on {name}, {record.recipe['protocol']}"
        spent = time.perf_counter() - self.start
        self.live.console.print(
            f"{line}: {record.status}: {what} ({spent:.0f} s)",
            markup=False, highlight=False, soft_wrap=True,
        )  # fmt: skip
