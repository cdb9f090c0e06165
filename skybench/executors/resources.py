"""Resources: what a bundle asks of a cluster, as given by `--resources NAME=VALUE`."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import NamedTuple

from skybench.core import UsageError
from skybench.data.cores import SHARE
from skybench.executors.slots import THREADS
from skybench.plan.arguments import integer_of, number_of, seconds_of
from skybench.plan.request import Request

CPUS = 4  # of a bundle: its loaders and solvers
MEMORY = re.compile(r"(\d+(?:\.\d+)?)\s*([KMGT]?)B?", re.IGNORECASE)
UNITS = {"": 1 << 20, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40}  # bytes; as sbatch
SHORTEST = 600.0  # seconds that a job asks for at least
SPARE, START = 1.5, 300.0  # a job asks for this many times its estimate, and seconds more


class Resources(NamedTuple):
    """What each bundle is given; `more` are options of the scheduler by their own names."""

    cpus: int
    gpus: float  # a part of one is for Ray alone
    memory: int  # bytes; 0: as the scheduler has it
    seconds: float  # of a job; 0: by its estimate
    arrays: int  # jobs of an array at most
    parallel: int  # jobs of an array that run at once; 0: as the scheduler has it
    more: Mapping[str, str]

    @property
    def environment(self) -> dict[str, str]:
        """The variables that tell a process how many cores are its own."""
        return {SHARE: str(self.cpus), THREADS: str(self.cpus)}


def resources_of(request: Request, gpus: int) -> Resources:
    """Return the resources of a request's bundles; gpus: of each, where nothing else is asked for.

    Raises UsageError for a value that is none.
    """
    given = {name.replace("_", "-"): text for name, text in request.resources.items()}
    found = Resources(
        cpus=integer_of(given.pop("cpus", CPUS), "--resources cpus"),
        gpus=number_of(given.pop("gpus", gpus), "--resources gpus"),
        memory=memory_of(given.pop("mem", "0")),
        seconds=seconds_of(given.pop("time", 0), "--resources time"),
        arrays=integer_of(given.pop("array-limit", 1000), "--resources array-limit"),
        parallel=integer_of(given.pop("parallel", 0), "--resources parallel"),
        more=given,
    )
    if found.cpus < 1 or found.gpus < 0 or found.arrays < 1 or found.parallel < 0:
        raise UsageError(
            "Expected --resources with cpus and array-limit of at least 1, gpus and parallel of "
            f"at least 0, but got {dict(request.resources)}."
        )
    return found


def memory_of(text: str) -> int:
    """Return bytes of a memory size as sbatch reads it: 64G, 500M; without a unit in MiB.

    >>> memory_of("2G")
    2147483648
    """
    found = MEMORY.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"Expected --resources mem to be a size, as 64G, but got {text!r}.")
    return int(float(found[1]) * UNITS[found[2].upper()])


def job_minutes(seconds: float) -> int:
    """Return the minutes that a job asks for, of some estimated seconds.

    >>> job_minutes(3600)
    95
    """
    return math.ceil(max(SHORTEST, SPARE * seconds + START) / 60)
