"""The cores that a process may use for loading."""

from __future__ import annotations

import os


def available() -> int:
    """Return the number of cores that this process may use, at least 1.

    Of distributed training each process on a machine has its share, unless they are bound to
    cores of their own.
    """
    affinity = getattr(os, "sched_getaffinity", None)  # absent on macOS and Windows
    every = os.cpu_count() or 1
    own = len(affinity(0)) if affinity else every
    return max(1, own // _processes_here()) if own == every else own


def _processes_here() -> int:
    """The processes of distributed training on this machine."""
    from torch import distributed

    if not (distributed.is_available() and distributed.is_initialized()):
        return 1
    here = os.environ.get("LOCAL_WORLD_SIZE", "")
    return int(here) if here.isdigit() and int(here) else distributed.get_world_size()
