"""Timing of one computation by skybench and by a peer, in the same run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any, NamedTuple


class Timing(NamedTuple):
    """Median times of one computation, ours and the peer's."""

    what: str
    ours_s: float
    peer: str
    peer_s: float | None  # None: not installed
    ratio: float | None  # theirs over ours; above 1 ours is faster


def time_beside(
    what: str,
    ours: Callable[[], Any],
    peer: str,
    theirs: Callable[[], Any] | None,
    rounds: int = 3,
    parts: int = 1,
) -> Timing:
    """Time ours and the peer's in turn, so that a busy moment affects both.

    theirs: None where it is not installed. parts: it does one of so many equal parts of the work,
    and its time is multiplied.
    """
    if theirs is None:
        seconds = statistics.median(_seconds(ours) for _ in range(rounds))
        return Timing(what, round(seconds, 3), f"{peer} (not installed)", None, None)
    pairs = [(_seconds(ours), _seconds(theirs) * parts) for _ in range(rounds)]
    mine, other = (statistics.median(side) for side in zip(*pairs, strict=True))
    ratio = statistics.median(b / a for a, b in pairs)
    return Timing(what, round(mine, 3), peer, round(other, 3), round(ratio, 2))


def _seconds(run: Callable[[], Any]) -> float:
    start = time.perf_counter()
    run()
    return time.perf_counter() - start
