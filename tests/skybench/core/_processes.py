"""Processes that run beside a test."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable, Iterator


@contextlib.contextmanager
def running(begin: Callable[[], object]) -> Iterator[int]:
    """Another process that has called a function, and runs until it is killed at the end."""
    ready, told = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            begin()
            os.write(told, b"1")
            signal.pause()
        finally:
            os._exit(1)
    os.close(told)
    try:
        assert os.read(ready, 1) == b"1"
        yield child
    finally:
        os.close(ready)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
