"""Ends of a program from outside: Ctrl-C and SIGTERM clean up and say how to go on."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Iterator
from typing import NoReturn

STOPPED = {130: "SIGINT", 143: "SIGTERM"}  # exit codes of a stopped program: 128 + the signal


@contextlib.contextmanager
def ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end a program as an exception does, with exit code 143: nothing is left behind.

    Only a program's first thread can say so; in another one nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGTERM, _end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


def _end(*_: object) -> NoReturn:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # once is enough: others would stop the cleaning
    sys.exit(128 + signal.SIGTERM)
