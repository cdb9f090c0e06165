"""Runs bundles in processes of this machine, each with its share of the cores and a GPU.

A process that is killed, runs out of memory or hangs costs one cell, which is tried once more at
the end, alone; the others of its bundle go on in a new process. A process keeps its network from
bundle to bundle (see `worker`).
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from multiprocessing import connection

from skybench.core import Record, SkybenchError
from skybench.executors.bundles import Bundle, Events
from skybench.executors.child import Child, end_children
from skybench.executors.litter import remove_litter
from skybench.executors.schedule import Waiting
from skybench.executors.slots import Slot

POLL = 0.5  # seconds between looks at the clock, and at processes whose loaders hold their pipe
STARTS = 3  # of a process in a row that never became ready, after which something is wrong


@dataclass(frozen=True)
class Casualty:
    """A cell whose process was lost, and how."""

    bundle: Bundle  # of this cell alone
    what: str


def run_locally(
    placed: Sequence[Bundle],
    events: Events,
    fail_fast: bool,
    slots: Sequence[Slot],
    timeout: float = 0.0,
    deadline: float = float("inf"),
) -> None:
    """Run bundles as an `Executor` does, in a process a slot.

    timeout: seconds of a cell, after which it counts as hung; 0: none. deadline: of
    `time.monotonic`, after which no cell is started.
    """
    first = _Round(placed, slots, events, fail_fast, timeout, deadline)
    try:
        casualties = {c.bundle.fingerprints[0]: c for c in first.run()}
        again = [c.bundle for c in casualties.values()]
        alone = _Round(again, slots[:1], events, fail_fast, timeout, deadline)
        alone.last = True
        for lost in [] if first.stopped else alone.run():
            name = lost.bundle.fingerprints[0]
            events.lost(name, f"{casualties[name].what}; tried again alone, {lost.what}")
    finally:
        if first.casualties:
            remove_litter(placed[0].request)
    if refused := first.refused + alone.refused:
        raise SkybenchError("\n".join(dict.fromkeys(refused)))


class _Round:
    """One go through some bundles; cells whose process is lost are left for another."""

    def __init__(
        self,
        placed: Sequence[Bundle],
        slots: Sequence[Slot],
        events: Events,
        fail_fast: bool,
        timeout: float,
        deadline: float,
    ) -> None:
        self.waiting = Waiting(placed, len(slots))
        self.slots, self.events, self.fail_fast = slots, events, fail_fast
        self.timeout, self.deadline = timeout, deadline
        self.children: dict[int, Child] = {}  # by the numbers of their slots
        self.failed_starts = 0
        self.casualties: list[Casualty] = []
        self.refused: list[str] = []
        self.stopped = False  # at the first failure
        self.last = False  # whatever comes out now is the result

    def run(self) -> list[Casualty]:
        """Run all bundles; return the cells that were lost."""
        gently = False
        try:
            while self._fill() and not self.stopped:
                self._listen()
            gently = not self.stopped
        finally:
            end_children([*self.children.values()], gently)
        return self.casualties

    def _fill(self) -> bool:
        """Give free slots work; return whether any is at work."""
        for slot in self.slots:
            child = self.children.get(slot.number)
            if time.monotonic() > self.deadline or (child and child.at_work):
                continue
            others = {c.model for n, c in self.children.items() if n != slot.number}
            bundle = self.waiting.take(child.model if child else "", others)
            if bundle is None:
                continue
            if child is None:
                child = self.children[slot.number] = Child(slot)
            child.begin(bundle, self.fail_fast)
        return any(child.at_work for child in self.children.values())

    def _listen(self) -> None:
        """Wait for messages and ends of processes, and deal with them."""
        children = [*self.children.values()]
        connection.wait([c for x in children for c in (x.pipe, x.process.sentinel)], POLL)
        for child in children:
            if child.gone:
                end_children([child], gently=False)  # its loaders may hold the pipe open
                self._hear(child)
                self._lose(child, child.how_it_ended)
                continue
            self._hear(child)
            if child.retired:
                end_children([child], gently=False)
                self._put_back(child, child.todo)
            elif self.timeout and child.busy_for > self.timeout:
                end_children([child], gently=False)
                self._hear(child)
                self._lose(child, f"it took more than {self.timeout:g} s")

    def _hear(self, child: Child) -> None:
        for kind, what in child.messages():
            if kind == "ready":
                self.failed_starts = 0
            elif kind == "refused":
                self.refused.append(what[0])
            elif kind == "report":
                self.events.report(*what)
            elif kind == "record":
                self._take(child, *what)

    def _take(self, child: Child, name: str, record: Record) -> None:
        """Tell a record, but for that of a cell that found no memory beside others."""
        full = ran_out_of_memory(record)
        child.retired = child.retired or full or time.monotonic() > self.deadline
        if full and not self.last:
            self._note_casualty(child, name, "it ran out of memory")
            return
        self.events.finished(name, record)
        self.stopped = self.stopped or (self.fail_fast and record.status == "failed")

    def _note_casualty(self, child: Child, name: str, what: str) -> None:
        if child.bundle is not None:
            self.casualties.append(Casualty(child.bundle.only([name]), what))

    def _lose(self, child: Child, how: str) -> None:
        """Note the cell that a lost process was at, and put the rest of its bundle back."""
        todo = child.todo
        if not child.was_ready:
            self._count_start(child)
        elif todo:
            stage = f" in the stage {child.stage!r}" if child.stage else ""
            self._note_casualty(child, todo[0], how + stage)
            todo = todo[1:]
        self._put_back(child, todo)

    def _put_back(self, child: Child, todo: Sequence[str]) -> None:
        """Take a process that has ended from its slot, and leave its cells to the next one."""
        del self.children[child.slot.number]
        if child.bundle is not None and todo:
            self.waiting.put_back(child.bundle.only(todo))

    def _count_start(self, child: Child) -> None:
        self.failed_starts += 1
        if self.failed_starts >= STARTS:
            raise SkybenchError(
                f"Processes that run cells cannot start ({child.how_it_ended}); what they printed "
                "says why. A script that uses several jobs needs its "
                "`if __name__ == '__main__':`"
            )


def ran_out_of_memory(record: Record) -> bool:
    """Whether a cell failed for want of memory, of the machine or of a GPU."""
    lines = record.traceback.strip().splitlines()
    words = ("MemoryError", "OutOfMemory", "allocate memory")
    return record.status == "failed" and bool(lines) and any(w in lines[-1] for w in words)
