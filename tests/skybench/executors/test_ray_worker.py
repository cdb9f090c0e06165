"""A worker on a node: its messages, and the files that it sends where nobody else sees them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skybench.executors import ray_worker
from skybench.executors.ray_worker import RayWorker, scratch_folder, take_files
from skybench.executors.worker import WarmPlanner
from skybench.records import store
from tests.conftest import Made

from ._fates import bundle


@pytest.fixture
def given(tmp_path: Path, made: Made, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A bundle whose two cells are run by a function that stores a record of the first."""
    record = made("galileo", [[True, False]])
    seen: list[Any] = []

    def run(cells: Any, report: Any, finished: Any, fail_fast: bool, planner: Any) -> None:
        seen.append((cells.request.results, cells.request.strict, fail_fast))
        report("a", "test", 1, 1)
        store.write_record(record, cells.request.results)
        finished("a", record)
        finished("b", replace(record, fingerprint="f" * 64))  # which another process is at
        raise OSError(28, "No space left on device", "/x")

    monkeypatch.setattr(ray_worker, "run_bundle", run)
    monkeypatch.setattr(WarmPlanner, "planner", lambda *_: None)
    made_of = bundle("m", "a", "b")
    request = replace(made_of.request, results=tmp_path / "runs", strict=True)
    return replace(made_of, request=request), record, seen


def test_a_worker_that_sees_the_folder_writes_there(given: Any, tmp_path: Path) -> None:
    cells, record, seen = given
    (tmp_path / "marker").touch()
    messages = [*RayWorker(str(tmp_path / "marker")).run(cells.to_json(), True)]
    other = replace(record, fingerprint="f" * 64)
    assert messages == [
        ("report", ("a", "test", 1, 1)), ("record", ("a", record, None)),
        ("record", ("b", other, None)), ("refused", ("No space left on device: /x",)),
    ]  # fmt: skip
    assert seen == [(tmp_path / "runs", True, True)]


@pytest.mark.usefixtures("own_cache")
def test_a_worker_that_does_not_sends_what_it_has_stored(given: Any, tmp_path: Path) -> None:
    cells, _, seen = given
    said = [*RayWorker(str(tmp_path / "marker")).run(cells.to_json(), False)]
    messages = {what[0]: what[2] for kind, what in said if kind == "record"}
    assert messages == {"a": {}, "b": None}
    scratch = scratch_folder(tmp_path / "runs")
    assert seen == [(scratch, False, False)]  # strictness is the driver's, over all records
    assert not scratch.exists()
    assert scratch.is_relative_to(tmp_path / "cache")


def test_files_of_a_record_are_taken_and_what_can_go_on_stays(tmp_path: Path, made: Made) -> None:
    record = made("galileo", [[True, False]])
    path = tmp_path / record.path
    beside = path.with_suffix("")
    for name in ("seed0/log.csv", "seed0/last.pt", "seed0/weights.pt", "sample0.png"):
        (beside / name).parent.mkdir(parents=True, exist_ok=True)
        (beside / name).write_bytes(name.encode())
    failed = replace(record, status="failed")
    taken = take_files(failed, tmp_path)
    stem = record.path.with_suffix("")
    assert sorted(taken) == sorted(
        [str(record.path.with_suffix(".npz"))]
        + [str(stem / n) for n in ("seed0/log.csv", "seed0/weights.pt", "sample0.png")]
    )
    assert taken[str(stem / "sample0.png")] == b"sample0.png"
    left = [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*") if p.is_file()]
    assert left == [str(stem / "seed0" / "last.pt")]
    assert take_files(record, tmp_path) == {}
    assert [*tmp_path.rglob("*")] == []
