"""A Ray cluster and what fits on it: joined or started, asked before anything is submitted."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import os
import signal
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from uuid import uuid4

from skybench.core import UsageError
from skybench.core.atomic import write_whole
from skybench.executors import job_files
from skybench.executors.ray_worker import RayWorker
from skybench.executors.resources import resources_of
from skybench.executors.slots import GPU
from skybench.plan.request import Request

FOLDERS = ("SKYBENCH_DATA", "SKYBENCH_WEIGHTS", "SKYBENCH_CACHE")


@contextlib.contextmanager
def connected(address: str) -> Iterator[Any]:
    """Give Ray, joined to the cluster at an address; "" starts one that ends with this.

    A cluster that happens to run here is never joined unasked. Its token is Ray's own affair.
    Raises UsageError where Ray is missing, or no cluster is at the address.
    """
    if importlib.util.find_spec("ray") is None:
        raise UsageError("--executor ray needs Ray: pip install 'skybench[ray]'")
    ray: Any = importlib.import_module("ray")
    if ray.is_initialized():  # by whoever calls
        yield ray
        return
    own = {} if address else {"include_dashboard": False}
    before = signal.getsignal(signal.SIGTERM)
    try:
        ray.init(address or "local", log_to_driver=False, configure_logging=False, **own)
    except (ConnectionError, ValueError) as error:
        raise UsageError(f"There is no Ray cluster at {address!r}: {error}") from error
    try:
        # Ray's own handler would end this before anything is cleaned up.
        if callable(before) and threading.current_thread() is threading.main_thread():
            signal.signal(signal.SIGTERM, before)
        yield ray
    finally:
        ray.shutdown()


@contextlib.contextmanager
def folder_marker(results: Path) -> Iterator[Path]:
    """Give a file by which a node knows that it sees the results folder."""
    marker = results / job_files.FOLDER / f"ray-{uuid4().hex}"
    with write_whole(marker) as temporary:
        temporary.write_text("a run on Ray writes here\n", encoding="utf-8")
    try:
        yield marker
    finally:
        marker.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # the jobs of SLURM are told there
            marker.parent.rmdir()


class RayPlacing:
    """What each worker asks for, and how many the nodes have room for."""

    def __init__(self, ray: Any, request: Request, gpus: int, marker: Path) -> None:
        """gpus: of a worker, unless --resources says. Raises UsageError if no node has so much."""
        asked = resources_of(request, gpus)
        if asked.more or asked.seconds:
            raise UsageError("Expected --resources of Ray to be cpus, gpus and mem alone.")
        if request.device == "auto" and "gpus" not in request.resources:
            asked = asked._replace(gpus=asked.gpus if _has_gpus(ray) else 0.0)
        self.ray, self.asked, self.marker = ray, asked, str(marker)
        self.most = request.jobs if request.jobs > 0 else None
        wants = {"CPU": float(asked.cpus), "GPU": asked.gpus, "memory": float(asked.memory)}
        self.wants = {name: value for name, value in wants.items() if value}
        if not self.slots():
            self._refuse()

    def slots(self) -> int:
        """Return how many workers fit on the nodes that are alive."""
        found = sum(self._fits(has) for has in self._nodes())
        return found if self.most is None else min(found, self.most)

    def _nodes(self) -> list[Mapping[str, float]]:
        return [node["Resources"] for node in self.ray.nodes() if node["Alive"]]

    def _fits(self, has: Mapping[str, float]) -> int:
        return min(int(has.get(name, 0) / value) for name, value in self.wants.items())

    def _refuse(self) -> None:
        """Raise UsageError: Ray itself would wait for such a node for ever."""
        nodes = [_told({n: has.get(n, 0) for n in self.wants}) for has in self._nodes()]
        raise UsageError(
            f"No node of the Ray cluster has what a bundle asks for ({_told(self.wants)}); they "
            f"have {' or '.join(dict.fromkeys(nodes)) or 'nothing'}. Ask for less: "
            "--resources cpus=N,gpus=N,mem=SIZE"
        )

    def start(self) -> Any:
        """Return a new worker, which Ray places as soon as a node has room."""
        told = self.asked.environment | {n: os.environ[n] for n in FOLDERS if n in os.environ}
        if not self.asked.gpus:
            told[GPU] = ""  # else it would see the GPUs of all others
        kind = self.ray.remote(RayWorker).options(
            num_cpus=self.asked.cpus,
            num_gpus=self.asked.gpus,
            memory=self.asked.memory or None,
            runtime_env={"env_vars": told},
        )
        return kind.remote(self.marker)


def _has_gpus(ray: Any) -> bool:
    return bool(ray.cluster_resources().get("GPU"))


def _told(resources: Mapping[str, float]) -> str:
    parts = [
        f"{value / 2**30:.3g} GiB of memory" if name == "memory" else f"{value:g} {name}"
        for name, value in resources.items()
    ]
    return ", ".join(parts)
