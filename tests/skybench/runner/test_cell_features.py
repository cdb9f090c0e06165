"""Where the features of a cell come from changes neither its scores nor what is said of them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from skybench.core import FitContext, Recipe, Record
from skybench.data import decoded
from skybench.features import parts
from skybench.plan.request import Request
from skybench.runner import cell_features
from skybench.runner.run_cells import run_cells

DENSE = Request(
    models=("scale_mae",),
    tasks=("change_detection",),
    datasets=("levir_cd",),
    data="demo",
    protocol="linear",
    limit=6,
    overrides={"epochs": "2"},
)


def run(folder: Path, **changes: Any) -> Record:
    overrides = {**DENSE.overrides, **changes.pop("overrides", {})}
    asked = replace(DENSE, results=folder, overrides=overrides, force=True, **changes)
    (record,) = run_cells(asked)
    assert record.status == "measured", record.note
    return record


@pytest.fixture
def own_features(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A place for the features of this test alone; demo data are shared."""
    place = SimpleNamespace(cache=lambda: tmp_path / "cache")
    monkeypatch.setattr(parts, "folders", place)


@pytest.mark.usefixtures("own_features")
@pytest.mark.parametrize("rounding", ["", "int8"])
def test_a_dense_cell_scores_the_same_whether_features_are_kept_or_not(
    rounding: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    records = []
    for budget in ("0", "1"):
        monkeypatch.setenv("SKYBENCH_BUDGET_GB", budget)
        records.append(run(tmp_path, overrides={"rounding": rounding} if rounding else {}))
    streamed, kept = records
    assert streamed.scores == kept.scores
    assert streamed.seeds[0]["chosen"]["loss"] == kept.seeds[0]["chosen"]["loss"]
    assert streamed.fingerprint == kept.fingerprint
    features = [record.used["features"] for record in records]
    assert features[0]["sha256"] == features[1]["sha256"]
    for known in features:
        errors = known.get("rounding_errors", [])
        assert len(errors) == (1 if rounding else 0)
        assert all(0 < error < 0.02 for error in errors)
    assert streamed.cost["images_per_s"] is None  # features were computed with the head


@pytest.mark.usefixtures("own_features")
def test_a_limit_leaves_to_a_longer_run_what_is_new(tmp_path: Path) -> None:
    few = run(tmp_path, limit=3)
    more = run(tmp_path)
    again = run(tmp_path)
    speeds = [record.cost["images_per_s"] is None for record in (few, more, again)]
    assert speeds == [False, False, True]
    assert again.scores == more.scores


@pytest.mark.parametrize(("epochs", "fraction", "opened"), [(1, 1.0, 0), (2, 1.0, 1), (9, 0.1, 1)])
def test_images_are_decoded_once_where_training_reads_them_several_times(
    epochs: int, fraction: float, opened: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[tuple[Any, ...]] = []

    def opened_once(*given: Any) -> str:
        calls.append(given)
        return "shards"

    monkeypatch.setattr(decoded, "open_decoded", opened_once)
    recipe = Recipe("finetune", epochs=epochs, batch=4, fraction=fraction, options=("a=b",))
    cell: Any = SimpleNamespace(
        recipe=recipe, splits={"train": range(40)}, dataset_id="toy", demo=False
    )
    samples: Any = SimpleNamespace(card=SimpleNamespace(version=1, tile=512))
    workers: Any = SimpleNamespace(rank=1, size=2)
    found = cell_features._decoded(cell, samples, FitContext(0, workers=workers))
    assert found == ("shards" if opened else samples)
    assert len(calls) == opened
    for given, reading, _, rank, size in calls:
        assert (given, rank, size) == (samples, 1, 2)
        assert reading == {"dataset": ["toy", 1, 0, False, 512], "options": ["a=b"]}
