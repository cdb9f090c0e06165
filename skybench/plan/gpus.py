"""GPUs by their data sheets, for forecasts."""

from __future__ import annotations

import math
import re
from typing import NamedTuple

import torch

from skybench.core import UsageError

GB = 2**30  # bytes, as data sheets of GPUs count them
USUAL = "a100-80"


class Gpu(NamedTuple):
    """A GPU by its data sheet; peaks are dense, in TFLOP/s."""

    name: str
    memory: float  # GB
    half: float  # bf16 and fp16, with sums in float32
    single: float  # float32 without TF32, which torch leaves off for matrices


# Source: NVIDIA's data sheets of V100 (SXM2), A100, H100 SXM, H200 SXM and L40S; appendices of the
# GA102 (RTX 3090, RTX A6000) and Ada (RTX 4090) architecture white papers.
GPUS = (
    Gpu("v100-16", 16, 125, 15.7),  # fp16 only
    Gpu("v100-32", 32, 125, 15.7),
    Gpu("a100-40", 40, 312, 19.5),
    Gpu("a100-80", 80, 312, 19.5),
    Gpu("h100-80", 80, 989, 67),
    Gpu("h200-141", 141, 989, 67),
    Gpu("rtx3090-24", 24, 71, 35.6),
    Gpu("rtx4090-24", 24, 165.2, 82.6),
    Gpu("a6000-48", 48, 154.8, 38.7),
    Gpu("l40s-48", 48, 362, 91.6),
)


def pick_gpu(name: str = "") -> Gpu:
    """Return the named GPU; by default the present one, else an A100 of 80 GB.

    For a present GPU that is not in the table the peaks are NaN. Raises UsageError.
    """
    if name:
        for gpu in GPUS:
            if gpu.name == name.lower():
                return gpu
        raise UsageError(f"No GPU {name!r}. Known: {', '.join(g.name for g in GPUS)}.")
    if not torch.cuda.is_available():
        return pick_gpu(USUAL)
    there = torch.cuda.get_device_properties(0)
    plain = there.name.lower().replace(" ", "")
    memory = there.total_memory / GB
    # An A1000 is no A100.
    alike = [g for g in GPUS if re.search(rf"{g.name.partition('-')[0]}(?!\d)", plain)]
    closest = min(alike, key=lambda g: abs(g.memory - memory), default=None)
    peaks = closest[2:] if closest else (math.nan, math.nan)
    return Gpu(there.name, memory, *peaks)
