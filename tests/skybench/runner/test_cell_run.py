"""How one cell runs: its context, and an exception that costs no other cell."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skybench.core import CannotRun, UsageError
from skybench.features import extraction
from skybench.heads.knn import KNN
from skybench.plan.planner import Planner
from skybench.plan.request import Request
from skybench.records import store
from skybench.runner import cell_run

QUICK = Request(
    models=["image_stats"], tasks=["scene_classification"], datasets=["eurosat"], data="demo",
    protocol="knn", limit=40, device="cpu",
)  # fmt: skip


@pytest.mark.parametrize(
    ("error", "status"), [(CannotRun("no such band"), "cannot run"), (KeyError(9), "failed")]
)
def test_an_exception_goes_into_the_record(
    error: Exception, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: Any) -> None:
        raise error

    monkeypatch.setattr(cell_run, "run_seed", broken)
    (cell,) = Planner(replace(QUICK, results=tmp_path)).cells()
    record = cell_run.run_cell(cell, cell_run.shared_context(QUICK, [cell]), tmp_path)
    assert record.status == status
    assert bool(record.traceback) == (status == "failed")
    assert record.made


def test_the_context_of_all_cells_is_that_of_the_request() -> None:
    base = cell_run.shared_context(replace(QUICK, micro=4, recompute=True), [])
    assert (base.device, base.micro_batch, base.recompute_activations) == ("cpu", 4, True)
    with pytest.raises(UsageError, match="tpu"):
        cell_run.shared_context(replace(QUICK, device="tpu"), [])


def test_float32_is_float32_in_all_of_a_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held: list[bool] = []

    @contextmanager
    def tf32_on(on: bool, device: str) -> Iterator[None]:
        assert (on, device) == (False, "cpu")
        held.append(True)
        yield
        held.pop()

    def measured(*_: Any) -> None:
        assert held == [True]
        raise CannotRun("seen")

    monkeypatch.setattr(cell_run, "tf32_on", tf32_on)
    monkeypatch.setattr(cell_run, "measure_cell", measured)
    (cell,) = Planner(replace(QUICK, results=tmp_path)).cells()
    record = cell_run.run_cell(cell, cell_run.shared_context(QUICK, [cell]), tmp_path)
    assert record.note == "seen"


@pytest.mark.parametrize(("weights", "opened"), [("none", 1), ("random", 3)])
def test_seeds_of_the_same_weights_share_their_features(
    weights: str, opened: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = []

    def counted(*args: Any) -> Any:
        calls.append(args)
        return split_features(*args)

    split_features = extraction.split_features
    monkeypatch.setattr(extraction, "split_features", counted)
    request = replace(
        QUICK, models=("image_stats" if weights == "none" else "imagenet",), variant="tiny",
        weights={"": "random"}, seeds=3, fraction=0.5, limit=12, results=tmp_path,
    )  # fmt: skip
    (cell,) = Planner(request).cells()
    assert cell.weights == weights
    record = cell_run.run_cell(cell, cell_run.shared_context(request, [cell]), tmp_path)
    assert record.came_out, record.note
    assert len(calls) == opened


def test_seeds_that_learn_from_the_same_samples_are_fitted_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = []

    def counted(head: KNN, *args: Any) -> Any:
        fitted.append(args)
        return fit(head, *args)

    fit = KNN.fit
    monkeypatch.setattr(KNN, "fit", counted)
    for fraction, times in ((1.0, 1), (0.5, 3)):  # half of the samples differs from seed to seed
        fitted.clear()
        request = replace(QUICK, seeds=3, fraction=fraction, results=tmp_path)
        (cell,) = Planner(request).cells()
        record = cell_run.run_cell(cell, cell_run.shared_context(request, [cell]), tmp_path)
        assert len(fitted) == times
        assert [seed["seed"] for seed in record.seeds] == [0, 1, 2]
        if times == 1:
            assert len({seed["scores"]["oa"] for seed in record.seeds}) == 1


@pytest.mark.parametrize("stop", [KeyboardInterrupt(), SystemExit(143), OSError(28, "disk full")])
def test_an_interrupted_cell_leaves_no_file(
    stop: BaseException, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its predictions and replicates are written before the record is."""
    written: list[Path] = []

    def interrupted(*arguments: Any) -> None:
        keep = arguments[-1]
        keep.parent.mkdir(parents=True)
        for file in (keep, keep.with_suffix(store.DRAWS)):
            file.touch()
            written.append(file)
        raise stop

    request = replace(QUICK, results=tmp_path)
    (cell,) = Planner(request).cells()
    monkeypatch.setattr(cell_run, "run_cell", interrupted)
    with pytest.raises(type(stop)):
        cell_run.run_unlocked(cell, cell_run.shared_context(request, [cell]), request)
    assert len(written) == 2
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]
