"""Slots: how many processes run cells beside each other, and the GPU and cores of each."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping
from typing import NamedTuple

from skybench.data.cores import SHARE, usable_cores
from skybench.plan.request import Request

GPU, THREADS = "CUDA_VISIBLE_DEVICES", "OMP_NUM_THREADS"
# What the drivers of NVIDIA, of NVIDIA under WSL, and of AMD show; without one there is no GPU.
DRIVERS = ("/dev/nvidiactl", "/dev/dxg", "/dev/kfd")


class Slot(NamedTuple):
    """A place for one process: the GPU that it sees, and the cores that it may use."""

    number: int
    gpu: str  # as CUDA_VISIBLE_DEVICES names it; "": whatever the driver sees
    cores: int

    @property
    def environment(self) -> dict[str, str]:
        """The variables that tell a process so; threads only where the user has not said."""
        told = {SHARE: str(self.cores)}
        if THREADS not in os.environ:
            told[THREADS] = str(self.cores)
        return told | ({GPU: self.gpu} if self.gpu else {})


def visible_gpus(device: str) -> list[str]:
    """Return the GPUs that a run may use, as CUDA_VISIBLE_DEVICES names them."""
    if device == "cpu" or (sys.platform == "linux" and not any(map(os.path.exists, DRIVERS))):
        return []
    import torch  # takes seconds

    count = torch.cuda.device_count()
    given = [name.strip() for name in os.environ.get(GPU, "").split(",") if name.strip()]
    return given[:count] if given else [str(number) for number in range(count)]


def count_slots(request: Request, bundles: int) -> int:
    """Return the number of processes for some bundles: as asked for, else one a GPU."""
    wanted = request.jobs
    if bundles < 2 or request.devices * request.nodes > 1:
        return 1
    if wanted < 0:
        wanted = len(visible_gpus(request.device)) or 1
    return min(wanted or usable_cores(), bundles)


def make_slots(request: Request, count: int) -> list[Slot]:
    """Return slots that share this machine's GPUs, in turn, and its cores."""
    gpus = visible_gpus(request.device) if count > 1 else []
    cores = max(1, usable_cores() // max(1, count))
    return [Slot(n, gpus[n % len(gpus)] if gpus else "", cores) for n in range(count)]


@contextlib.contextmanager
def with_environment(changes: Mapping[str, str]) -> Iterator[None]:
    """Set variables for processes that start now."""
    before = {name: os.environ.get(name) for name in changes}
    os.environ.update(changes)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                del os.environ[name]
            else:
                os.environ[name] = value
