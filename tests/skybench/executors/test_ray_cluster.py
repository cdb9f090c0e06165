"""Cells on a Ray cluster: a lost worker costs its own cell alone, and no record is lost."""

from __future__ import annotations

import contextlib
import importlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skybench.core import Record, SkybenchError, UsageError
from skybench.executors import ray_cluster
from skybench.executors.bundles import Bundle
from skybench.executors.execute import execute
from skybench.executors.schedule import make_schedule
from skybench.plan.planner import Planner
from skybench.plan.request import Request
from skybench.records import store
from tests.conftest import Made

from ._fake_ray import FakeRay
from ._fates import Heard, bundle

ONE = {"CPU": 1.0}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs bundles on a made cluster; gives what was heard."""

    def call(ray: FakeRay, *cells: Bundle, fail_fast: bool = False, **changes: Any) -> Heard:
        @contextlib.contextmanager
        def joined(address: str) -> Iterator[Any]:
            yield ray

        monkeypatch.setattr(ray_cluster, "connected", joined)
        heard = Heard()
        request = Request(results=tmp_path, resources={"cpus": "1"}, **changes)
        try:
            ray_cluster.run_on_ray(cells, heard.events, fail_fast, request, "")
        finally:
            assert ray.living == []
            assert [*tmp_path.iterdir()] == [], "no litter"
        return heard

    return call


def test_each_cell_runs_once_and_a_worker_goes_on_with_the_next_bundle(run: Any) -> None:
    ray = FakeRay(ONE, ONE)
    cells = [f"fine-{n}" for n in range(8)]
    heard = run(ray, *(bundle("ab"[n // 4], cells[n], seconds=1.0) for n in range(8)))
    assert heard.records == dict.fromkeys(cells, "measured")
    assert sorted(ray.ran) == cells
    assert len(ray.actors) == 2
    assert sum(len(actor.models) for actor in ray.actors) == 8


def test_a_lost_worker_costs_one_cell_which_is_tried_again_at_the_end(run: Any) -> None:
    ray = FakeRay(ONE)
    heard = run(ray, bundle("a", "fine-0", "diesonce-1", "fine-2"), bundle("b", "fine-3"))
    assert heard.records == dict.fromkeys(["fine-0", "diesonce-1", "fine-2", "fine-3"], "measured")
    assert ray.ran == ["fine-0", "diesonce-1", "fine-2", "fine-3", "diesonce-1"]
    assert heard.lost == {}


def test_a_cell_that_always_loses_its_worker_is_given_up(run: Any) -> None:
    ray = FakeRay(ONE)
    heard = run(ray, bundle("a", "dies-0", "fine-1"))
    assert heard.records == {"fine-1": "measured"}
    assert heard.lost == {
        "dies-0": "its worker was lost in the stage 'start' (WorkerLost: The actor died.), the "
        "last of 3 times"
    }
    assert ray.ran.count("dies-0") == 3


def test_a_cell_that_hangs_costs_its_worker(run: Any) -> None:
    ray = FakeRay(ONE)
    heard = run(ray, bundle("a", "hangsonce-0", "fine-1"), timeout=0.001)
    assert heard.records == {"fine-1": "measured", "hangsonce-0": "measured"}
    assert len(ray.actors) >= 2


def test_a_refused_bundle_is_told_at_the_end(run: Any) -> None:
    ray, heard = FakeRay(ONE), None
    with pytest.raises(SkybenchError, match=r"^not as planned$"):
        heard = run(ray, bundle("a", "refused-0"), bundle("b", "fine-1"), bundle("c", "refused-2"))
    assert heard is None
    assert "fine-1" in ray.ran


def test_the_first_failure_ends_a_run_that_is_to_fail_fast(run: Any) -> None:
    ray = FakeRay(ONE)
    heard = run(ray, bundle("a", "fails-0", "fine-1"), bundle("b", "fine-2"), fail_fast=True)
    assert heard.records == {"fails-0": "failed"}
    assert run(FakeRay(ONE), bundle("a", "fails-0", "fine-1")).records["fine-1"] == "measured"


def test_workers_that_cannot_start_end_the_run(run: Any) -> None:
    ray = FakeRay(ONE, broken=True)
    with pytest.raises(SkybenchError, match=r"cannot start .*No module named skybench.*same vers"):
        run(ray, bundle("a", "fine-0"))
    assert len(ray.actors) == 3


def test_an_interruption_ends_all_workers(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = FakeRay(ONE, ONE)

    def interrupted(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Heard, "_finished", interrupted)
    with pytest.raises(KeyboardInterrupt):
        run(ray, bundle("a", "fine-0"), bundle("b", "fine-1"))
    assert len(ray.actors) == 2


def test_a_cluster_without_nodes_is_waited_for(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = FakeRay(ONE)
    monkeypatch.setattr(ray_cluster, "PATIENCE", 0.0)
    monkeypatch.setattr(ray_cluster, "POLL", 0.0)

    def lose_the_node(*_: Any) -> None:
        ray.alive[0]["Alive"] = False
        ray.living[0].dead = True

    monkeypatch.setattr(Heard, "_report", lose_the_node)
    with pytest.raises(SkybenchError, match="All nodes of the Ray cluster are lost"):
        run(ray, bundle("a", "fine-0"))


def test_a_network_on_several_gpus_is_not_for_ray(tmp_path: Path) -> None:
    request = Request(devices=2, results=tmp_path)
    with pytest.raises(UsageError, match="--executor slurm --devices"):
        ray_cluster.run_on_ray([bundle("a", "x")], Heard().events, False, request, "")


def test_what_a_node_sends_is_stored_as_if_made_here(tmp_path: Path, made: Made) -> None:
    record = made(
        "galileo", [[True, False]], used={"features": {"sha256": "a", "keys": "b", "seen": ""}}
    )
    stem = record.path.with_suffix("")
    files = {
        str(record.path.with_suffix(".npz")): b"predictions",
        str(record.path.with_suffix(store.DRAWS)): b"draws",
        str(stem / "seed0" / "log.csv"): b"log",
    }
    out = tmp_path / "out"
    assert ray_cluster.store_sent(record, files, out) == record
    assert store.find_record(out, record.path) == record
    assert {str(p.relative_to(out)): p.read_bytes() for p in out.rglob("*") if p.is_file()} == {
        **files, str(record.path): (out / record.path).read_bytes(),
    }  # fmt: skip
    failed = replace(record, status="failed", scores={}, note="broken")
    again = ray_cluster.store_sent(failed, {str(stem / "seed0" / "log.csv"): b"other"}, out)
    assert "stays" in again.note
    assert (out / stem / "seed0" / "log.csv").read_bytes() == b"log"
    assert (out / record.path.with_suffix(".npz")).read_bytes() == b"predictions"


CELLS = Request(
    models=["image_stats", "rcf"], tasks=["scene_classification"], datasets=["aid"],
    data="demo", protocol="knn", limit=6, device="cpu",
)  # fmt: skip


def stored(results: Path) -> dict[str, Any]:
    """What must be equal of a run's files: scores, flags and predictions."""
    found: dict[str, Any] = {}
    for path in sorted(results.rglob("*")):
        name = str(path.relative_to(results))
        if path.suffix == ".npz":
            with np.load(path) as arrays:
                found[name] = {n: arrays[n].tolist() for n in arrays.files}
        elif path.suffix == ".json":
            record = store.parse_record(path.read_text())
            found[name] = (record.scores, record.intervals, record.flags, record.seeds)
        elif path.is_file():
            found[name] = path.suffix
    return found


def test_a_node_that_is_lost_in_the_middle_changes_no_record(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two nodes, neither of which sees the results folder."""
    ray: Any = pytest.importorskip("ray")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    cluster_utils: Any = importlib.import_module("ray.cluster_utils")

    @contextlib.contextmanager
    def unseen(results: Path) -> Iterator[Path]:
        yield tmp_path / "elsewhere"

    monkeypatch.setattr(ray_cluster, "folder_marker", unseen)
    small = {"object_store_memory": 80 << 20, "include_dashboard": False}
    quick = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 1000,
             "health_check_failure_threshold": 5}  # fmt: skip
    head = {"num_cpus": 1, "_system_config": quick, **small}
    cluster = cluster_utils.Cluster(initialize_head=True, head_node_args=head)
    try:
        nodes = [cluster.add_node(num_cpus=1, object_store_memory=80 << 20)]
        ray.init(cluster.address, log_to_driver=False, configure_logging=False)
        request = replace(CELLS, results=tmp_path / "ray", executor="ray", resources={"cpus": "1"})

        def finished(cell: Any, record: Record) -> None:
            if nodes:
                cluster.remove_node(nodes.pop(), allow_graceful=False)

        made = execute(request, make_schedule(request, Planner(request).cells()), finished=finished)
    finally:
        ray.shutdown()
        cluster.shutdown()
    assert [record.status for record in made] == ["measured"] * 4
    plain = replace(CELLS, results=tmp_path / "plain", jobs=1)
    execute(plain, make_schedule(plain, Planner(plain).cells()))
    assert stored(tmp_path / "ray") == stored(tmp_path / "plain")
