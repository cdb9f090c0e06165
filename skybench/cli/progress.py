"""Progress on stderr: bars on a terminal, else lines."""

from __future__ import annotations

import datetime
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress

    from skybench.core import Record
    from skybench.executors.estimates import TimeLeft
    from skybench.plan.cell import Cell

PAUSE = 60  # seconds without a line, after which one says how far a long part is


def bars() -> Progress:
    """Return a progress display that is disabled where stderr is no terminal."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = [
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f}%"),
    ]
    return Progress(
        *columns, TextColumn("{task.fields[clock]}"),
        console=Console(stderr=True), transient=True, disable=not sys.stderr.isatty(),
    )  # fmt: skip


class Clock:
    """Elapsed and remaining time, at the mean pace since the first report.

    Time between reports counts: the validations of a training are part of its pace.
    """

    def __init__(self, done: float, total: float) -> None:
        self.start = self.heard = time.perf_counter()
        self.first, self.done, self.total = done, done, total

    def set(self, done: float) -> None:
        """Set how much is done."""
        self.done, self.heard = done, time.perf_counter()

    @property
    def left(self) -> str:
        """Remaining time as 1:02:03, or - before there is a pace."""
        if self.done <= self.first:
            return "-"
        pace = (self.heard - self.start) / (self.done - self.first)
        since = time.perf_counter() - self.heard
        return _span(max(0.0, pace * (self.total - self.done) - since))

    def __str__(self) -> str:
        return f"{_span(time.perf_counter() - self.start)} left {self.left}"


class RunClock(Clock):
    """The time of a whole run, of which what is left is estimated cell by cell."""

    def __init__(self, cells: int, time_left: TimeLeft) -> None:
        super().__init__(0, cells)
        self.time_left = time_left

    @property
    def left(self) -> str:
        """Remaining time as 1:02:03, or - before a cell has ended."""
        seconds = self.time_left.left()
        return "-" if seconds is None else _span(seconds)


def _span(seconds: float) -> str:
    return str(datetime.timedelta(seconds=round(seconds)))


class Bar:
    """One bar for any step; called as a `Report`."""

    def __init__(self) -> None:
        self.live = bars()
        self.clock = Clock(0, 1)
        self.task = self.live.add_task("", total=1, clock=self.clock)
        self.what = ""

    def __enter__(self) -> Bar:
        self.live.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.live.stop()

    def __call__(self, what: str, done: int, total: int) -> None:
        if what != self.what:
            self.clock = Clock(done, total)
            if self.live.disable:
                print(what, file=sys.stderr, flush=True)
        self.what = what
        self.clock.set(done)
        self.live.update(
            self.task, description=what, completed=done, total=max(1, total), clock=self.clock
        )


class Watch:
    """Progress of a run on stderr: bars with time left on a terminal, else lines.

    A line says how a cell ended, and one a minute how far a longer part of it is.
    """

    def __init__(self, cells: int, time_left: TimeLeft | None = None) -> None:
        """time_left: of the cells that are to run; None: by the mean pace."""
        self.live = bars()
        self.cells, self.done = cells, 0
        self.time_left = time_left
        self.clock = Clock(0, cells) if time_left is None else RunClock(cells, time_left)
        self.clocks: dict[tuple[int, str], Clock] = {}  # of the parts of the cells that run
        self.noted: set[tuple[str, str]] = set()  # dataset and note, told already
        self.whole = self.live.add_task("cells", total=max(1, cells), clock=self.clock)
        self.part = self.live.add_task("", total=1, clock=self.clock)
        self.start = self.told = time.perf_counter()

    def report(self, cell: Cell, stage: str, done: int, total: int) -> None:
        """Show the progress of a cell; the part of a stage's name after a comma may change."""
        if self.time_left is not None:
            self.time_left.start(cell.fingerprint, stage)
        name = id(cell), stage.partition(",")[0]
        clock = self.clocks.get(name)
        if clock is None or done < clock.done or total != clock.total:
            clock = self.clocks[name] = Clock(done, total)
        clock.set(done)
        where = f"{cell.model.name} / {cell.dataset_id} {cell.recipe.label}".strip()
        text = f"{where}: {stage}"
        part = done / max(1, total)
        self.live.update(self.part, description=text, completed=done, total=total, clock=clock)
        self.live.update(self.whole, completed=self.done + min(0.99, part))
        if self.live.disable and time.perf_counter() - self.told >= PAUSE:
            self._say(f"{text}: {100 * part:.0f} %, left {clock.left}")

    def finished(self, cell: Cell, record: Record) -> None:
        """Print how a cell ended."""
        self.done += 1
        self.clock.set(self.done)
        if self.time_left is not None:
            self.time_left.finish(cell.fingerprint)
        self.clocks = {key: clock for key, clock in self.clocks.items() if key[0] != id(cell)}
        self.live.update(self.whole, completed=self.done)
        what = f"{record.main[0]} {record.main[1]:.2f}" if record.main else record.note
        name = f"{record.dataset} {record.recipe['label']}".strip()
        how = ":".join(filter(None, [record.recipe["protocol"], record.recipe.get("name", "")]))
        line = f"[{self.done}/{self.cells}] {record.model} on {name}, {how}"
        spent = time.perf_counter() - self.start
        known = self.time_left is not None and self.done < self.cells and self.clock.left != "-"
        left = f", {self.clock.left} left" if known else ""
        self._say(f"{line}: {record.status}: {what} ({spent:.0f} s{left})")
        for note in record.used.get("notes", ()):
            if (name, note) not in self.noted:  # once for all models
                self._say(f"  {name}: {note}")
                self.noted.add((name, note))

    def _say(self, line: str) -> None:
        self.live.console.print(line, markup=False, highlight=False, soft_wrap=True)
        self.told = time.perf_counter()
