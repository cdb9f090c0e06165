"""A worker process as its driver sees it: its slot, its bundle, and the cell that it is at."""

from __future__ import annotations

import contextlib
import multiprocessing
import signal
import time
from collections.abc import Iterator, Sequence

from skybench.executors.bundles import PLANNING, STARTING, Bundle
from skybench.executors.slots import Slot, with_environment
from skybench.executors.worker import GRACE, Message, kill_group, serve

IMPORTS = 300.0  # seconds that a new process may take to become ready, before time counts


class Child:
    """A process that runs the bundles of one slot."""

    def __init__(self, slot: Slot) -> None:
        """Start the process. Raises OSError."""
        # A fork would copy the threads' locks of torch, and cannot use a GPU.
        context = multiprocessing.get_context("spawn")
        self.slot = slot
        self.pipe, theirs = context.Pipe()
        self.process = context.Process(target=serve, args=(theirs,))
        with with_environment(slot.environment), _without_interrupts():
            self.process.start()
        theirs.close()
        self.bundle: Bundle | None = None
        self.todo: list[str] = []  # cells of the bundle, of which it is at the first
        self.at_work = False  # until it has said that the bundle has ended
        self.stage = ""
        self.since = 0.0  # when it began with this cell
        self.was_ready = self.closed = False
        self.retired = False  # it must not go on after this cell

    @property
    def model(self) -> str:
        """The model of the bundle that it is at, or was last at."""
        return self.bundle.model if self.bundle else ""

    @property
    def busy_for(self) -> float:
        """Seconds since it began with its cell; 0 without one."""
        return max(0.0, time.monotonic() - self.since) if self.todo else 0.0

    @property
    def gone(self) -> bool:
        """Whether it has ended, or is about to."""
        return self.closed or not self.process.is_alive()

    @property
    def how_it_ended(self) -> str:
        """Say how the process ended."""
        code = self.process.exitcode or 0
        if code >= 0:
            return f"its process ended with exit code {code}"
        with contextlib.suppress(ValueError):
            name = signal.Signals(-code).name
            why = ", perhaps for want of memory" if name == "SIGKILL" else ""
            return f"its process was killed ({name}{why})"
        return f"its process was killed (signal {-code})"

    def begin(self, bundle: Bundle, fail_fast: bool) -> None:
        """Hand over a bundle; a process that has ended meanwhile is found out later."""
        self.bundle, self.todo, self.stage = bundle, [*bundle.fingerprints], ""
        self.at_work = True
        self.since = time.monotonic() + (0.0 if self.was_ready else IMPORTS)
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            self.pipe.send((bundle.to_json(), fail_fast))

    def messages(self) -> Iterator[Message]:
        """Yield what it has told since the last time."""
        try:
            while not self.closed and self.pipe.poll():
                message: Message = self.pipe.recv()
                self._note(message)
                yield message
        except (EOFError, OSError):
            self.closed = True

    def _note(self, message: Message) -> None:
        kind, what = message
        if kind == "ready":
            self.was_ready, self.since = True, time.monotonic()
        elif kind == "report":
            self.stage = what[1]
            if self.stage in (PLANNING, STARTING):
                self.since = time.monotonic()
        elif kind == "record" and what[0] in self.todo:
            self.todo.remove(what[0])
        elif kind == "idle":  # it may have left cells: after a failure, or of a refused bundle
            self.todo, self.at_work = [], False


def end_children(children: Sequence[Child], gently: bool) -> None:
    """End processes, and what they have started: gently those that have nothing to do.

    Others are asked to clean up; whatever has not ended in time is killed.
    """
    try:
        for child in children:
            if gently:
                child.pipe.close()
            else:
                child.process.terminate()
        limit = time.monotonic() + GRACE
        for child in children:
            child.process.join(max(0.0, limit - time.monotonic()))
    finally:
        for child in children:
            child.process.kill()
            kill_group(child.process.pid or 0)
            child.process.join()


@contextlib.contextmanager
def _without_interrupts() -> Iterator[None]:
    """Let processes that start now never hear Ctrl-C: it is the driver that ends them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
