"""A worker process: runs the bundles that come through a pipe, and tells of them through it.

It keeps its network, opened datasets and imports from one bundle to the next. It leads a process
group of its own, so that its loader processes end with it and Ctrl-C reaches the driver alone, and
it ends with the driver, however that ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from multiprocessing import connection, parent_process
from multiprocessing.connection import Connection
from typing import Any, Literal, NoReturn

from skybench.core import Record
from skybench.core.errors import error_text
from skybench.executors.bundles import bundle_from_json, run_bundle
from skybench.plan.planner import Planner
from skybench.plan.request import Request

PAUSE = 0.5  # seconds between two reports of progress of a stage
GRACE = 10.0  # seconds to clean up in, before a process is killed
KILLED = getattr(signal, "SIGKILL", signal.SIGTERM)  # Windows has the latter only

# ready: imported; report: fingerprint, stage, done, total; record: fingerprint, Record;
# refused: why the bundle cannot go on; idle: the bundle has ended.
MessageKind = Literal["ready", "report", "record", "refused", "idle"]
Message = tuple[MessageKind, tuple[Any, ...]]


class WarmPlanner:
    """Planners that share opened datasets and located weights, of bundles of one run."""

    def __init__(self) -> None:
        self.last: Planner | None = None
        self.of: Request | None = None  # the request but for what differs between bundles

    def planner(self, request: Request) -> Planner:
        """Return a planner of a bundle's request."""
        made = Planner(request)
        rest = replace(request, models=(), tasks=(), datasets=(), recipes=(), arch={}, weights={})
        if self.last is not None and rest == self.of:
            made.opened, made.digests = self.last.opened, self.last.digests
            made.refused = self.last.refused
        self.last, self.of = made, rest
        return made


def serve(pipe: Connection) -> None:
    """Run bundles, each a pair of its JSON and whether to stop at a failure, until it is closed."""
    _lead_own_group()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the driver says when to stop
    signal.signal(signal.SIGTERM, _end)
    threading.Thread(target=_end_with_the_driver, daemon=True).start()
    planners = WarmPlanner()
    telling = Telling(pipe.send)
    with contextlib.suppress(EOFError, BrokenPipeError, ConnectionResetError):  # the driver's end
        telling("ready")
        while True:
            text, fail_fast = pipe.recv()
            try:
                bundle = bundle_from_json(text)
                planner = planners.planner(bundle.request)
                run_bundle(bundle, telling.report, telling.finished, fail_fast, planner)
            except (BrokenPipeError, ConnectionResetError):
                raise
            except Exception as error:  # of the bundle as a whole, a full disk for instance
                telling("refused", error_text(error))
            telling("idle")


class Telling:
    """Sends messages to the driver; of progress within a stage only some."""

    def __init__(self, send: Callable[[Message], None]) -> None:
        self.send, self.lock = send, threading.Lock()
        self.stage, self.last = ("", ""), 0.0

    def __call__(self, kind: MessageKind, *what: Any) -> None:
        """Send a message."""
        with self.lock:
            self.send((kind, what))

    def report(self, name: str, stage: str, done: int, total: int) -> None:
        """Tell the progress of a cell: a new stage and its end at once, the rest now and then."""
        now = time.monotonic()
        if (name, stage) != self.stage or done == total or now - self.last >= PAUSE:
            self.stage, self.last = (name, stage), now
            self("report", name, stage, done, total)

    def finished(self, name: str, record: Record) -> None:
        """Tell a record."""
        self("record", name, record)


def _lead_own_group() -> None:
    if hasattr(os, "setpgid"):  # not on Windows
        os.setpgid(0, 0)


def _end(*_: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough
    sys.exit(128 + signal.SIGTERM)


def _end_with_the_driver() -> None:
    """Wait for the end of the driver; then clean up, or be killed."""
    driver = parent_process()
    if driver is None:
        return
    connection.wait([driver.sentinel])
    os.kill(os.getpid(), signal.SIGTERM)
    time.sleep(GRACE)
    kill_group(os.getpid())


def kill_group(leader: int) -> None:
    """Kill a worker's process and all that it has started; nothing where they have ended."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        getattr(os, "killpg", os.kill)(leader, KILLED)
