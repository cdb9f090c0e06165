"""The cores that a process may use for loading."""

from __future__ import annotations

import os

SHARE = "SKYBENCH_CORES"  # the cores of one of several processes that run cells beside each other


def available() -> int:
    """Return the number of cores that this process may use, at least 1.

    Its share where cells run in several processes beside each other. Of distributed training each
    process on a machine has its share too, unless they are bound to cores of their own.
    """
    every, own = os.cpu_count() or 1, usable_cores()
    share = os.environ.get(SHARE, "")
    if share.isdecimal():
        own = min(own, int(share))
    return max(1, own // _processes_here()) if own == every or share else own


def usable_cores() -> int:
    """Return the number of cores that this process may run on."""
    affinity = getattr(os, "sched_getaffinity", None)  # absent on macOS and Windows
    return len(affinity(0)) if affinity else os.cpu_count() or 1


def _processes_here() -> int:
    """The processes of distributed training on this machine."""
    from torch import distributed

    if not (distributed.is_available() and distributed.is_initialized()):
        return 1
    here = os.environ.get("LOCAL_WORLD_SIZE", "")
    return int(here) if here.isdigit() and int(here) else distributed.get_world_size()
