"""Speed of the readers, beside torchgeo's class on the same files where there is one."""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from skybench.core import DataError, DatasetCard, UsageError, registry

ROUNDS = 5  # ours and theirs in turn, so that a busy moment hits both


class Speed(NamedTuple):
    """The reading speed of one dataset, in one process."""

    dataset: str
    samples_per_s: float
    million_values_per_s: float  # pixels times bands times dates
    peer: str  # "" where there is none
    peer_million_values_per_s: float
    ratio: float  # ours over theirs; above 1 ours is faster


def bench_readers(
    names: Sequence[str], root: Callable[[str], Path], seconds: float = 2.0
) -> list[Speed]:
    """Time reading the training split of each dataset, in order, for some seconds.

    root: the folder of a dataset. A dataset that is not there is left out; none at all is a
    DataError. Files come from the operating system's cache after the first pass, for both sides.
    """
    found = [speed for name in names if (speed := _one(name, root(name), seconds))]
    if not found:
        raise DataError("none of these datasets was found; give --data DIR, or --data demo")
    return found


def _one(name: str, root: Path, seconds: float) -> Speed | None:
    plugin = registry.dataset(name)
    card: DatasetCard = plugin.CARD
    try:
        ours = plugin.open(root, next(iter(card.splits)))
    except (DataError, UsageError):
        return None
    with tempfile.TemporaryDirectory() as scratch:
        make = getattr(plugin, "peer", None)
        theirs = None
        try:
            if make is not None:
                ours, theirs = make(root, Path(scratch))
        except Exception:  # a peer may refuse a layout, or break in any way
            theirs = None
        part = seconds / ROUNDS / 2
        mine, other = [], []
        for round_ in range(ROUNDS + 1):
            a = _rate(lambda i: ours[i].images, len(ours), part)
            b = _rate(lambda i: theirs[i], len(theirs), part) if theirs is not None else (0.0, 0.0)
            if round_:  # the first fills caches and imports what is needed
                mine.append(a)
                other.append(b)
    samples, values = (statistics.median(column) for column in zip(*mine, strict=True))
    peer = statistics.median(rate for _, rate in other)
    title = f"torchgeo {type(theirs).__name__}" if theirs is not None else ""
    ratio = values / peer if peer else 0.0
    return Speed(name, round(samples, 1), round(values, 2), title, round(peer, 2), round(ratio, 2))


def _rate(
    read: Callable[[int], Mapping[str, Any]], count: int, seconds: float
) -> tuple[float, float]:
    """Items and 1e6 image values a second."""
    start, done, values = time.perf_counter(), 0, 0
    while (spent := time.perf_counter() - start) < seconds or not done:
        item = read(done % count)
        values += sum(x.numel() for name, x in item.items() if _is_image(name, x))
        done += 1
    return done / spent, values / spent / 1e6


def _is_image(name: str, value: Any) -> bool:
    """Of torchgeo's items only the images count; of ours there is nothing else."""
    return name not in ("label", "labels", "mask", "boxes") and getattr(value, "ndim", 0) >= 3
