"""Errors of processes that train together: each is told to the first, which writes the record.

A process that fails leaves the others waiting for it. So it says why at the store where the
processes met, which lives as long as the first of them, and ends; then the connections close.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import threading
import time
from collections.abc import Callable
from typing import Any, NamedTuple

LOOK = 1.0  # seconds between looks for errors of others
LEAVE = 30.0  # seconds that a process has to end by itself when the training is over
AGREE = 60.0  # seconds to wait for the others to give a cell up
KEY, GIVEN_UP = "skybench/failures", "skybench/given-up"
# What gloo, NCCL and torch say of a process that has gone.
BROKEN = ("gloo", "NCCL", "Connection closed", "Connection reset", "Broken pipe", "process group")


class Failure(NamedTuple):
    """An error of one process."""

    rank: int
    text: str
    trace: str


class Failures:
    """The errors of all processes of a training, at a store that they share.

    store: a `torch.distributed.Store`. abort: ends what this process waits for, once another has
    failed.
    """

    def __init__(self, rank: int, size: int, store: Any, abort: Callable[[], None]) -> None:
        self.rank, self.size, self.store, self.abort = rank, size, store, abort
        self.given_up, self.over = 0, threading.Event()
        self.watch = threading.Thread(target=self._watch, daemon=True)
        self.watch.start()
        atexit.register(self.close)  # a thread in C++ code must not outlive Python

    def close(self) -> None:
        """Look no more."""
        self.over.set()
        self.watch.join(timeout=5)  # not for ever where NCCL does not let go

    def tell(self, text: str, trace: str) -> tuple[str, str]:
        """Tell an error of this process; return text and traceback for the record.

        Only in the first process: the others end here. Their exit code is 0, since Fabric kills
        the first process, which has the record to write, when another one ends with an error.
        """
        if self.rank:
            with contextlib.suppress(Exception):  # the first process has ended: it knew before
                self.store.append(KEY, json.dumps([self.rank, text, trace]) + "\n")
            raise SystemExit(0)
        every = [*self._told(), Failure(0, text, trace)]
        causes = [x for x in every if not any(word in x.text for word in BROKEN)]
        if not causes:
            return "another process has ended without a word, perhaps for want of memory", trace
        if {x.text for x in causes} == {text}:
            return text, trace
        first = {x.text: x.rank for x in reversed(causes)}
        notes = [f"rank {rank}: {said}" for said, rank in reversed(first.items())]
        return "; ".join(notes), "\n".join(f"Rank {x.rank}:\n{x.trace}" for x in every)

    def all_give_up(self) -> bool:
        """Whether all processes give up the same cell, as this one does; waits for them."""
        key, self.given_up = f"{GIVEN_UP}/{self.given_up}", self.given_up + 1
        end = time.monotonic() + AGREE
        self.store.add(key, 1)
        while self.store.add(key, 0) < self.size:
            if time.monotonic() > end or self.store.check([KEY]):
                return False
            time.sleep(LOOK / 20)
        return True

    def _told(self) -> list[Failure]:
        if not self.store.check([KEY]):
            return []
        return [Failure(*json.loads(line)) for line in self.store.get(KEY).decode().splitlines()]

    def _watch(self) -> None:
        """End what waits for a process that has failed, and a helper whose training is over."""
        failed = False
        while not failed:
            if self.over.wait(LOOK):
                return
            try:
                failed = self.store.check([KEY])
            except Exception:  # the first process has ended, and its store
                failed = True
        with contextlib.suppress(Exception):
            self.abort()
        if self.rank and not self.over.wait(LEAVE):
            os._exit(0)
