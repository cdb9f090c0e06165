"""The device that a run computes on, and why a GPU that is there cannot be used."""

from __future__ import annotations

import os
import re
import sys
import warnings
from pathlib import Path

from skybench.core import UsageError

DRIVER = Path("/proc/driver/nvidia")  # of Linux, where NVIDIA's driver is loaded
SHARED_MEMORY = Path("/dev/shm")  # through which loader processes hand over their batches
ARCHITECTURE = re.compile(r"(sm|compute)_(\d+)(\d)([af]?)")
ABSENT = ("Found no NVIDIA driver", "No CUDA GPUs are available", "Torch not compiled with CUDA")


def pick_device(wanted: str) -> str:
    """Return "cuda" if it can be used, else "cpu"; wanted: "auto", "cpu" or "cuda".

    "auto" says on stderr why a GPU that is there is not used. Raises UsageError with the reason if
    CUDA is asked for and cannot be used.
    """
    if wanted not in ("auto", "cpu", "cuda"):
        raise UsageError(f"No device {wanted!r}. Known: auto, cpu, cuda.")
    if wanted == "cpu":
        return "cpu"
    fault = cuda_fault()
    if not fault:
        return "cuda"
    if wanted == "cuda":
        raise UsageError(f"CUDA cannot be used: {fault}; give --device cpu, or see skybench doctor")
    if not _is_expected(fault):
        print(f"skybench: --device auto takes the CPU: {fault}.", file=sys.stderr, flush=True)
    return "cpu"


def cuda_fault() -> str:
    """Return why torch cannot compute on a GPU here, in torch's words; "" if it can."""
    import torch

    with warnings.catch_warnings():  # the reason is in the error, too
        warnings.simplefilter("ignore")
        if torch.cuda.is_available():
            return _architecture_fault()
        try:
            torch.cuda.init()  # type: ignore[no-untyped-call]
        except (RuntimeError, AssertionError) as error:  # the latter: a wheel without CUDA
            return " ".join(str(error).split()).rstrip(".")
    return "torch finds no CUDA device"


def _is_expected(fault: str) -> bool:
    """Whether nobody would have expected a GPU: there is no driver, or all GPUs were hidden."""
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1")
    return fault.startswith(ABSENT) and (hidden or not DRIVER.exists())


def _architecture_fault() -> str:
    """Why this torch has no kernels for the GPU, "" if it has."""
    import torch

    capability, built = torch.cuda.get_device_capability(), torch.cuda.get_arch_list()
    if not built or any(_runs(name, capability) for name in built):
        return ""
    return (
        f"{torch.cuda.get_device_name()} has compute capability {capability[0]}.{capability[1]}, "
        f"for which torch {torch.__version__} has no kernels (it has {' '.join(built)}); install "
        "a build of torch for an older CUDA, see https://pytorch.org/get-started"
    )


def _runs(architecture: str, capability: tuple[int, int]) -> bool:
    """Whether kernels built for an architecture run on a GPU of a compute capability.

    Binaries ("sm") run on the same major version from their minor version on, with the suffix "a"
    on that version only; PTX ("compute") is compiled for any later version.
    Source: CUDA C++ Programming Guide, "Binary Compatibility" and "PTX Compatibility".

    >>> _runs("sm_80", (8, 6)), _runs("sm_90", (8, 6)), _runs("compute_75", (8, 6))
    (True, False, True)
    """
    found = ARCHITECTURE.fullmatch(architecture)
    if found is None:
        return True  # not NVIDIA's: leave the judgement to torch
    kind, major, minor, suffix = found[1], int(found[2]), int(found[3]), found[4]
    if suffix == "a":
        return capability == (major, minor)
    if kind == "compute" and not suffix:
        return capability >= (major, minor)
    return capability[0] == major and capability[1] >= minor


def device_facts() -> dict[str, str]:
    """Return what `skybench doctor` says of the GPU, its precision, and shared memory."""
    import torch

    fault = cuda_fault()
    if fault:
        return {"device": f"cpu ({fault})", **_shared_memory()}
    capability = "{}.{}".format(*torch.cuda.get_device_capability())
    free, total = torch.cuda.mem_get_info()
    return {
        "device": torch.cuda.get_device_name(),
        "GPUs visible": str(torch.cuda.device_count()),
        "compute capability": f"{capability}; kernels: {' '.join(torch.cuda.get_arch_list())}",
        "GPU memory": f"{free / 1e9:.1f} GB free of {total / 1e9:.1f} GB",
        "bf16": "yes" if torch.cuda.is_bf16_supported(including_emulation=False) else "emulated",
        "TF32 by default": f"convolutions {_switch(torch.backends.cudnn.allow_tf32)}, matrix "
        f"products {_switch(torch.get_float32_matmul_precision() != 'highest')}",
        "CUDA": str(torch.version.cuda),
        **_shared_memory(),
    }


def _switch(on: bool) -> str:
    return "on" if on else "off"


def _shared_memory() -> dict[str, str]:
    """The size of shared memory, where there is any; containers often have 64 MB."""
    if not SHARED_MEMORY.is_dir():
        return {}
    told = os.statvfs(SHARED_MEMORY)
    free, total = (blocks * told.f_frsize / 1e6 for blocks in (told.f_bavail, told.f_blocks))
    return {"shared memory": f"{free:,.0f} MB free of {total:,.0f} MB at {SHARED_MEMORY}"}
