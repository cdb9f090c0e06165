"""The peak of the memory in use while a cell runs, of this process and of the GPU."""

from __future__ import annotations

import re
import resource
from pathlib import Path

import torch

PROCESS = Path("/proc/self")  # of Linux
RESET = "5"  # written to clear_refs, makes the kernel measure the peak anew; see man 5 proc


class PeakMemory:
    """Measures peaks from its creation on, where the system can start to measure anew."""

    def __init__(self, device: str, process: Path = PROCESS) -> None:
        self.device, self.process = device, process
        if device == "cuda":
            torch.cuda.reset_peak_memory_stats()
        try:
            (process / "clear_refs").write_text(RESET)
            self.anew = True
        except OSError:  # another system, or not allowed
            self.anew = False

    def peak(self) -> dict[str, int]:
        """Return "peak_bytes" since the creation of this object, and "peak_cuda_bytes" on a GPU.

        What is kept from before, as the last network, counts. Where the system cannot measure anew
        it is "process_peak_bytes", the peak since the process started.
        """
        found = {}
        if self.device == "cuda":
            found["peak_cuda_bytes"] = torch.cuda.max_memory_allocated()
        since_start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
        status = (self.process / "status").read_text() if self.anew else ""
        told = re.search(r"^VmHWM:\s*(\d+) kB", status, re.MULTILINE)
        if told is None:
            return {"process_peak_bytes": since_start, **found}
        return {"peak_bytes": int(told[1]) * 1024, **found}
