"""Timing of one computation by skybench and by a peer, in the same run."""

from __future__ import annotations

import importlib.util
import operator
import os
import statistics
import time
from collections.abc import Callable
from typing import Any, Literal, NamedTuple

Form = Literal["tiny", "short", "full"]  # of a benchmark: to try it, some minutes, the real sizes
FORMS: tuple[Form, ...] = ("tiny", "short", "full")
AT_FULL = "at full size"  # in the place of a verdict: the target is of another size
COMPARED = {"<=": operator.le, ">=": operator.ge}


class Timing(NamedTuple):
    """Medians of one computation, ours and the peer's; a row of `skybench bench`.

    A ratio that must be small is ours over the peer's, any other the peer's over ours.
    """

    what: str
    ours: float
    unit: str  # "s" of CPU time; of wall time on a machine with a CUDA device
    peer: str  # "" where there is none
    theirs: float | None  # None: there is no peer, or it is not installed
    ratio: float | None
    must: str  # the target: "<= 1.05", ">= 25", or "" for none
    holds: str  # "yes", "no", "peer absent", AT_FULL, "failed", or ""
    group: str = ""


class Peer(NamedTuple):
    """Another package's way to do the same computation."""

    name: str
    run: Callable[[], Any] | None  # None: it is not installed
    parts: int = 1  # `run` does one of so many equal parts of the work: its time is multiplied


def installed(package: str, run: Callable[[], Any], name: str = "", parts: int = 1) -> Peer:
    """Return a peer that needs a package; where that is absent its name says how to get it.

    package: as pip calls it; imported by the same name with underscores, or by `MODULES`.
    """
    if importlib.util.find_spec(MODULES.get(package, package.replace("-", "_"))) is None:
        return Peer(f"{name or package} is not installed: pip install {package}", None)
    return Peer(name or package, run, parts)


MODULES = {"faiss-cpu": "faiss"}


def cpu_seconds() -> float:
    """Return the CPU time of this process and of its children that have ended, in seconds."""
    spent = os.times()
    return time.process_time() + spent.children_user + spent.children_system


def clock() -> Callable[[], float]:
    """Return the clock of this machine: wall time where a GPU computes, else CPU time."""
    import torch

    return time.perf_counter if torch.cuda.is_available() else cpu_seconds


def time_beside(
    what: str, ours: Callable[[], Any], peer: Peer, rounds: int = 3, must: str = ""
) -> Timing:
    """Time ours and the peer's in turn, so that a busy moment affects both; medians of rounds."""
    read = clock()
    theirs = peer.run
    if theirs is None:
        return ratio_row(what, [seconds(ours, read) for _ in range(rounds)], peer.name, [], must)
    pairs = [(seconds(ours, read), seconds(theirs, read) * peer.parts) for _ in range(rounds)]
    mine, others = ([*side] for side in zip(*pairs, strict=True))
    return ratio_row(what, mine, peer.name, others, must)


def time_alone(what: str, ours: Callable[[], Any], rounds: int = 3, must: str = "") -> Timing:
    """Time a computation without a peer; a target is in seconds."""
    read = clock()
    return value_row(what, statistics.median(seconds(ours, read) for _ in range(rounds)), "s", must)


def value_row(what: str, value: float, unit: str, must: str = "") -> Timing:
    """Return the row of one measured value; a target is in its unit."""
    return Timing(what, _rounded(value), unit, "", None, None, must, _holds(value, must))


def ratio_row(
    what: str, mine: list[float], peer: str, others: list[float], must: str = ""
) -> Timing:
    """Return the row of times that were taken in turn; others: empty if the peer is absent."""
    value = statistics.median(mine)
    if not others:
        absent = "peer absent" if must else ""
        return Timing(what, _rounded(value), "s", peer, None, None, must, absent)
    pairs = [*zip(mine, others, strict=True)]
    small = must.startswith("<")
    ratio = statistics.median(
        (a / b if small else b / a) if min(a, b) > 0 else float("inf") for a, b in pairs
    )
    other = statistics.median(others)
    return Timing(
        what, _rounded(value), "s", peer, _rounded(other), _rounded(ratio), must,
        _holds(ratio, must),
    )  # fmt: skip


def judged_at_full(row: Timing, form: Form) -> Timing:
    """Return the row without a verdict where its target is of the full size and this is not."""
    return row._replace(holds=AT_FULL) if form != "full" and row.holds in ("yes", "no") else row


def seconds(run: Callable[[], Any], read: Callable[[], float] = cpu_seconds) -> float:
    """Return the time of a computation by a clock."""
    start = read()
    run()
    return read() - start


def _holds(value: float, must: str) -> str:
    if not must:
        return ""
    sign, _, bound = must.partition(" ")
    return "yes" if COMPARED[sign](value, float(bound)) else "no"


def _rounded(value: float) -> float:
    """Three significant digits."""
    return float(f"{value:.3g}")
