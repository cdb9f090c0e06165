"""Energy of a cell, where the machine lets it be read: NVIDIA's NVML, Intel's and AMD's RAPL."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from pathlib import Path

RAPL = Path("/sys/class/powercap")
Read = Callable[[], float]  # joules since some moment


class Meter:
    """Measures energy since its creation, of all processes on the device."""

    def __init__(self, device: str = "cpu") -> None:
        self.sources = {**packages(), **(graphics() if device.startswith("cuda") else {})}
        self.start = {name: read() for name, read in self.sources.items()}

    def joules(self) -> dict[str, float]:
        """Return joules by source, as "rapl package-0" or "nvml"; empty without readable counters.

        A counter that overflowed in the meantime is left out.
        """
        spent = {name: read() - self.start[name] for name, read in self.sources.items()}
        return {name: round(value, 3) for name, value in spent.items() if value >= 0}


def packages(root: Path = RAPL) -> dict[str, Read]:
    """Return the RAPL counters of CPU packages that this user may read (mostly root)."""
    found: dict[str, Read] = {}
    for zone in sorted(root.glob("intel-rapl:?")):
        counter = zone / "energy_uj"
        try:
            counter.read_text()
            name = (zone / "name").read_text().strip()
        except OSError:  # not there, or not for this user
            continue
        found[f"rapl {name}"] = lambda counter=counter: int(counter.read_text()) / 1e6  # type: ignore[misc]
    return found


def graphics() -> dict[str, Read]:
    """Return the NVML counter of the current CUDA device, if nvidia-ml-py is installed."""
    if importlib.util.find_spec("pynvml") is None:
        return {}
    import pynvml
    import torch

    try:
        pynvml.nvmlInit()
        uuid = str(torch.cuda.get_device_properties(torch.cuda.current_device()).uuid)
        handle = pynvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}".encode())
        pynvml.nvmlDeviceGetTotalEnergyConsumption(handle)
    except (pynvml.NVMLError, AttributeError):  # older than Volta, or hidden from this user
        return {}
    return {"nvml": lambda: pynvml.nvmlDeviceGetTotalEnergyConsumption(handle) / 1e3}
