"""What fits on a Ray cluster, asked before anything is submitted."""

from __future__ import annotations

import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from skybench.core import UsageError
from skybench.executors import ray_placing
from skybench.executors.ray_placing import RayPlacing
from skybench.plan.request import Request

from ._fake_ray import FakeRay

GIB = float(1 << 30)


def placing(ray: FakeRay, gpus: int = 1, **fields: Any) -> RayPlacing:
    return RayPlacing(ray, Request(**fields), gpus, Path("/results/.jobs/ray-1"))


def test_workers_fit_by_the_scarcest_resource_of_each_node() -> None:
    ray = FakeRay(
        {"CPU": 16.0, "GPU": 2.0, "memory": 64 * GIB},
        {"CPU": 7.0, "GPU": 4.0, "memory": 64 * GIB},
        {"CPU": 64.0},
    )
    assert placing(ray).slots() == 3
    assert placing(ray, resources={"cpus": "1", "gpus": "0.5"}).slots() == 11
    assert placing(ray, resources={"mem": "40G", "gpus": "0"}).slots() == 2
    assert placing(ray, device="cpu", gpus=0).slots() == 21
    assert placing(ray, jobs=2).slots() == 2
    ray.alive[0]["Alive"] = False
    assert placing(ray).slots() == 1


def test_what_no_node_has_is_refused() -> None:
    ray = FakeRay({"CPU": 8.0, "GPU": 2.0}, {"CPU": 8.0, "GPU": 2.0})
    with pytest.raises(UsageError, match=r"asks for \(4 CPU, 3 GPU\); they have 8 CPU, 2 GPU\. "):
        placing(ray, resources={"gpus": "3"})
    with pytest.raises(UsageError, match="2 GiB of memory"):
        placing(ray, resources={"mem": "2G"})
    with pytest.raises(UsageError, match="cpus, gpus and mem alone"):
        placing(ray, resources={"partition": "gpu"})


def test_a_cluster_without_gpus_is_used_as_it_is_unless_gpus_are_asked_for() -> None:
    ray = FakeRay({"CPU": 8.0})
    assert placing(ray).asked.gpus == 0
    for asked in ({"device": "cuda"}, {"resources": {"gpus": "1"}}):
        with pytest.raises(UsageError, match="1 GPU"):
            placing(ray, **asked)


def test_a_worker_without_gpus_of_its_own_sees_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ray hides no GPU from a task that asks for none; it sets the variable of others itself."""
    monkeypatch.setenv("SKYBENCH_DATA", "/data")
    for name in ("SKYBENCH_CACHE", "SKYBENCH_WEIGHTS"):
        monkeypatch.delenv(name)
    ray = FakeRay({"CPU": 8.0, "GPU": 1.0})
    told = {"SKYBENCH_CORES": "4", "OMP_NUM_THREADS": "4", "SKYBENCH_DATA": "/data"}
    assert placing(ray).start().options == {
        "num_cpus": 4, "num_gpus": 1.0, "memory": None, "runtime_env": {"env_vars": told},
    }  # fmt: skip
    hidden = placing(ray, device="cpu", gpus=0).start().options
    assert hidden["runtime_env"] == {"env_vars": {**told, "CUDA_VISIBLE_DEVICES": ""}}


def test_a_marker_is_there_while_a_run_is(tmp_path: Path) -> None:
    with ray_placing.folder_marker(tmp_path / "runs") as marker:
        assert marker.is_file()
        assert marker.parent.parent == tmp_path / "runs"
    assert [*(tmp_path / "runs").iterdir()] == []


class Joined:
    """Notes how Ray was started."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error, self.on = error, False
        self.calls: list[Any] = []

    def init(self, address: str, **options: Any) -> None:
        self.calls.append((address, options.get("include_dashboard")))
        signal.signal(signal.SIGTERM, lambda *_: None)  # as Ray does
        if self.error:
            raise self.error

    def is_initialized(self) -> bool:
        return self.on

    def shutdown(self) -> None:
        self.calls.append("shutdown")


@pytest.fixture
def handler() -> Iterator[None]:
    """The handler of SIGTERM is as before in the end."""
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.mark.usefixtures("handler")
def test_a_cluster_is_joined_by_its_address_and_never_unasked(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: object())
    ray = Joined()

    def own(*_: object) -> None:
        sys.exit(143)

    signal.signal(signal.SIGTERM, own)
    monkeypatch.setitem(sys.modules, "ray", ray)
    with ray_placing.connected("node1:6379"):
        assert signal.getsignal(signal.SIGTERM) is own, "not Ray's own"
    with ray_placing.connected(""):
        pass
    assert ray.calls == [("node1:6379", None), "shutdown", ("local", False), "shutdown"]
    ray.calls, ray.on = [], True
    with ray_placing.connected(""):
        pass
    assert ray.calls == []  # what the caller has begun is his to end
    monkeypatch.setitem(sys.modules, "ray", Joined(ConnectionError("refused")))
    with (
        pytest.raises(UsageError, match="no Ray cluster at 'node1:6379': refused"),
        ray_placing.connected("node1:6379"),
    ):
        pass
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with (
        pytest.raises(UsageError, match=r"pip install 'skybench\[ray\]'"),
        ray_placing.connected(""),
    ):
        pass
