"""The peak memory of the linear probe at the size of the largest datasets, in its own process.

Features are random; no labels could be learned from them, so the solver takes few steps. Memory
depends on the numbers of samples, features and classes alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from typing import NamedTuple

import torch

from skybench.bench.timing import Form, Timing, judged_at_full, value_row
from skybench.heads.logistic import LAMBDAS, fit_logistic
from skybench.heads.rows import FeatureRows

MUST = "<= 6"  # GB
PART = 10_000  # samples that are made at once


class Size(NamedTuple):
    """The sizes of a training set; with `several`, images have several classes."""

    name: str
    samples: int
    width: int
    classes: int
    several: bool


SIZES = {
    "tiny": (Size("fMoW / 10,000", 71, 16, 62, False),),
    "short": (
        Size("fMoW / 20", 35_650, 1024, 62, False),
        Size("BigEarthNet / 20", 13_500, 1024, 19, True),
    ),
    "full": (  # training images of fMoW-Sentinel and of BigEarthNet
        Size("fMoW", 713_000, 1024, 62, False),
        Size("BigEarthNet", 270_000, 1024, 19, True),
    ),
}


def time_head_memory(form: Form) -> Iterator[Timing]:
    """Yield the peak memory, in GB, of the sweep of all lambdas, with the features in memory."""
    for size in SIZES[form]:
        words = [sys.executable, "-P", "-m", __name__, json.dumps(size)]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        name, n, d, k, several = size
        kind = "one-vs-rest" if several else "multinomial"
        what = f"{name}-size head, {n:,} x {d:,}, {k} classes, {kind}, {len(LAMBDAS)} lambdas: peak"
        yield judged_at_full(value_row(what, float(done.stdout) / 1e9, "GB", MUST), form)


def peak_bytes(size: Size) -> int:
    """Fit the sweep on made features; return the peak memory of this process since its start."""
    import resource  # not on Windows

    made = torch.Generator().manual_seed(0)
    x = torch.empty(size.samples, size.width)
    for start in range(0, size.samples, PART):
        x[start : start + PART].normal_(generator=made)
    shape = (size.samples, size.classes) if size.several else (size.samples,)
    labels = torch.randint(0, 2 if size.several else size.classes, shape, generator=made)
    rows = FeatureRows(x).standardised().resident()
    fit_logistic(rows, labels, size.classes, torch.tensor(LAMBDAS))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak  # Linux counts in KiB


if __name__ == "__main__":
    torch.set_num_threads(1)
    print(peak_bytes(Size(*json.loads(sys.argv[1]))))
