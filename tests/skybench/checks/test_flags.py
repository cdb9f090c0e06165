from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skybench.checks import flags as alarms
from skybench.core import FLAGS, Record, fingerprint
from skybench.core.dataset import Split
from skybench.plan.cell import Cell
from skybench.plan.planner import Planner
from skybench.plan.request import Request
from skybench.records import labels, store
from skybench.report import paper_scores

FEATURES = {
    "images": 42, "keys": "k", "sha256": "s", "seen": {"hr": [64, 64]}, "dimensions": 128,
    "rows": 42, "unknown": 0, "constant": 0.0, "spread": 0.5, "rank": 20.0, "twins": 0.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def cell() -> Cell:
    request = Request(models=["imagenet"], tasks=["scene_classification"], datasets=["eurosat"],
                      data="demo")  # fmt: skip
    return Planner(request).cells()[0]


def make(model: str = "imagenet", **used: Any) -> Record:
    recipe = {"protocol": "finetune", "label": "20 %", "seeds": 1, "fraction": 1.0, "limit": 0}
    everything = {
        "sensors": ["hr"], "weights": "ab" * 32, "variant": "full", "inputs": {"hr": {"scale": 1}},
        "features": FEATURES, "coverage": None, "chance": 10.0, "error": 0.5, **used,
    }  # fmt: skip
    return Record(
        model, "scene_classification", "aid", recipe, "measured", "real",
        fingerprint.fingerprint({"model": model, **everything}), {"oa": 97.0}, used=everything,
    )  # fmt: skip


def flags(record: Record, cell: Cell, tmp_path: Path) -> list[str]:
    return list(alarms.with_flags(record, cell, tmp_path).flags)


def test_a_healthy_record_carries_what_was_looked_at_and_no_flag(
    cell: Cell, tmp_path: Path
) -> None:
    judged = alarms.with_flags(make(), cell, tmp_path)
    assert judged.flags == []
    assert judged.note == ""
    assert judged.used["alarms"] == {}
    assert judged.used["data"]["looked"] == {"train": [126, 126], "test": [42, 42]}


@pytest.mark.parametrize(
    ("coverage", "partial"),
    [(None, False), ({"share": 1.0, "drawn": ()}, False), ({"share": 0.995, "drawn": ()}, True),
     ({"share": 1.0, "drawn": ["net.windows.weight"]}, True)],
    ids=["no file", "whole", "not all", "random though excused"],
)  # fmt: skip
def test_parameters_without_published_values_are_flagged(
    coverage: Any, partial: bool, cell: Cell, tmp_path: Path
) -> None:
    found = flags(make(coverage=coverage), cell, tmp_path)
    assert found == ["partial checkpoint"] * partial


def test_a_score_at_chance_is_flagged(cell: Cell, tmp_path: Path) -> None:
    assert flags(make(chance=96.0), cell, tmp_path) == ["chance"]
    assert flags(make(chance=95.0), cell, tmp_path) == []


def test_a_training_set_that_was_seen_is_flagged(cell: Cell, tmp_path: Path) -> None:
    seen = replace(cell, model=replace(cell.model, trained_on=("eurosat",)))
    assert flags(make(), seen, tmp_path) == ["seen in pre-training"]
    assert flags(make(), replace(seen, weights="random"), tmp_path) == [
        "random weights", "tiny variant",
    ]  # fmt: skip
    other = replace(cell, model=replace(cell.model, trained_on=("fmow_s2",)))
    assert flags(make(), other, tmp_path) == []


def test_images_that_another_data_set_shares_are_seen_too(cell: Cell, tmp_path: Path) -> None:
    """DIOR-R has other labels of the images of DIOR."""
    splits = {n: s[:] for n, s in cell.splits.items()}
    for samples in splits.values():
        samples.card = replace(samples.card, name="dior_r", images="dior")  # type: ignore[attr-defined]
    model = replace(cell.model, trained_on=("dior",))
    seen = replace(cell, dataset="dior_r", model=model, splits=splits)  # type: ignore[arg-type]
    assert "seen in pre-training" in flags(make(), seen, tmp_path)
    shared = replace(seen, model=replace(cell.model, trained_on=("dior_r",)))
    assert "seen in pre-training" in flags(make(), shared, tmp_path)
    other = replace(seen, model=replace(cell.model, trained_on=("a set that nobody has",)))
    assert "seen in pre-training" not in flags(make(), other, tmp_path)


def truncated(cell: Cell, source: str, **recipe: Any) -> Cell:
    """The demo's 126, 42 and 42 samples of 16,200, 5,400 and 5,400, on the given authority."""
    splits = {n: s[:] for n, s in cell.splits.items()}
    for name, some in splits.items():
        some.split = Split(name, source, "", False)  # type: ignore[attr-defined]
    return replace(cell, splits=splits, recipe=replace(cell.recipe, **recipe))  # type: ignore[arg-type]


def test_a_truncated_official_split_is_told(cell: Cell) -> None:
    said = alarms.incomplete_splits(truncated(cell, "official list: torchgeo"))
    assert "test has 42 samples, published are 5400" in said
    assert "train has 126 samples, published are 16200" in said
    assert alarms.incomplete_splits(truncated(cell, "rule: the folders")) == said


@pytest.mark.parametrize("source", ["ours: 60/20/20 % by hash", "labels.csv of the folder"])
def test_other_splits_may_have_any_size(cell: Cell, source: str) -> None:
    assert alarms.incomplete_splits(truncated(cell, source)) == ""


def test_limits_tiles_options_and_demo_data_excuse_a_size(cell: Cell) -> None:
    assert alarms.incomplete_splits(cell) == ""  # demo
    assert alarms.incomplete_splits(truncated(cell, "official list", limit=42)) == ""
    assert alarms.incomplete_splits(truncated(cell, "official list", tile=32)) == ""
    asked = truncated(cell, "official list")
    for samples in asked.splits.values():
        samples.card = replace(samples.card, options={"dropped": ()})  # type: ignore[dict-item]
    assert alarms.incomplete_splits(replace(asked, overridden=("dropped",))) == ""
    assert alarms.incomplete_splits(replace(asked, overridden=("epochs",))) != ""


@pytest.mark.parametrize(
    "change",
    [{"weights": "cd" * 32}, {"weights": "random"}, {"variant": "other"}, {"arch": {"patch": 4}},
     {"inputs": {"hr": {"scale": 2}}}, {"features": {**FEATURES, "seen": {"hr": [128, 128]}}}],
    ids=["weights", "random weights", "variant", "network", "preprocessing", "size"],
)  # fmt: skip
def test_the_same_features_under_another_setting_are_flagged(
    change: Any, cell: Cell, tmp_path: Path
) -> None:
    store.write_record(make(), tmp_path)
    judged = alarms.with_flags(make(**change), cell, tmp_path)
    assert judged.flags == ["same features"]
    assert "imagenet (full, abababab" in judged.note


def test_the_same_features_of_another_model_are_flagged(cell: Cell, tmp_path: Path) -> None:
    store.write_record(make(), tmp_path)
    assert flags(make("galileo"), cell, tmp_path) == ["same features"]
    assert flags(make("galileo", weights="random"), cell, tmp_path) == ["same features"]


def test_equal_settings_and_equal_random_networks_may_have_the_same_features(
    cell: Cell, tmp_path: Path
) -> None:
    store.write_record(make(), tmp_path)
    knn = {**make().recipe, "protocol": "knn", "size": 64}  # as read, and the same side stated
    assert flags(replace(make(), recipe=knn), cell, tmp_path) == []
    assert flags(make(variant="tiny"), cell, tmp_path) == []  # the same network by another name
    others = {**FEATURES, "keys": "of other images"}
    assert flags(make(weights="random", features=others), cell, tmp_path) == []
    assert flags(replace(make("galileo"), dataset="resisc45"), cell, tmp_path) == []
    store.write_record(make("gassl", weights="random"), tmp_path / "random")
    assert flags(make("tov", weights="random"), cell, tmp_path / "random") == []  # one network


def test_records_of_other_features_are_not_parsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write_record(make(), tmp_path)
    for model in ("galileo", "gassl"):
        store.write_record(make(model, features={**FEATURES, "sha256": "d" * 64}), tmp_path)
    parsed, find = [], store.find_record

    def counted(results: Path, path: Path) -> Record | None:
        parsed.append(path)
        return find(results, path)

    monkeypatch.setattr(store, "find_record", counted)
    assert alarms.same_features(make("tov"), tmp_path).startswith("those of imagenet")
    assert len(parsed) == 1


def test_a_record_that_was_made_apart_is_flagged_when_it_comes(tmp_path: Path, cell: Cell) -> None:
    apart = alarms.with_flags(make("galileo"), cell, tmp_path / "apart")
    assert alarms.with_same_features(apart, tmp_path) == apart
    store.write_record(make(), tmp_path)
    known = alarms.with_same_features(apart, tmp_path)
    assert known == alarms.with_flags(make("galileo"), cell, tmp_path)
    assert known.flags == ["same features"]
    assert alarms.with_same_features(known, tmp_path) is known


def reported() -> float:
    place = ("satmae", "aid", "TR=20%", "OA")
    return next(
        r.value
        for r in paper_scores.reported_rows()
        if (r.model, r.dataset, r.split, r.metric) == place
    )


@pytest.mark.parametrize(("distance", "far"), [(0.0, False), (2.9, False), (-2.9, False),
                                               (3.1, True), (-9.0, True)])  # fmt: skip
def test_a_score_far_from_the_published_one_is_flagged(
    distance: float, far: bool, cell: Cell, tmp_path: Path
) -> None:
    value = reported()
    record = replace(make("satmae"), scores={"oa": value + distance})
    judged = alarms.with_flags(record, cell, tmp_path)
    assert judged.flags == ["far from the paper"] * far
    if far:
        assert judged.note == f"far from the paper: OA {value + distance:.2f}, published {value}"


def test_under_another_protocol_or_with_wide_errors_nothing_is_compared(
    cell: Cell, tmp_path: Path
) -> None:
    value = reported()
    record = replace(make("satmae"), scores={"oa": value - 9})
    frozen = replace(record, recipe={**record.recipe, "protocol": "frozen"})
    assert flags(frozen, cell, tmp_path) == []
    wide = replace(record, used={**record.used, "error": 3.1})
    assert flags(wide, cell, tmp_path) == []


def test_what_was_chosen_on_the_test_is_flagged_with_the_reason(cell: Cell, tmp_path: Path) -> None:
    chosen = replace(cell, recipe=replace(cell.recipe, state="best-on-test"))
    judged = alarms.with_flags(make("satmae"), chosen, tmp_path)
    assert judged.flags == ["chosen on the test"]
    assert judged.note == "chosen on the test: training was scored on the test"
    strict = alarms.strict(replace(judged, used={**judged.used, "states": {"last": {"oa": 90.0}}}))
    assert strict.status == "failed"
    assert "states" not in strict.used


def test_flags_come_in_the_order_of_the_footnotes() -> None:
    assert list(labels.MARKS) == list(FLAGS)


def test_small_and_short_trainings_are_flagged(cell: Cell, tmp_path: Path) -> None:
    plain = make("satmae")
    repeated = replace(plain, seeds=[{"seed": 0, "chosen": {"min_steps": 200}}])
    slow = {"seed": 1, "chosen": {"still_falling": 0.2}}
    falling = replace(plain, seeds=[{"seed": 0, "chosen": {}}, slow])
    assert flags(plain, cell, tmp_path) == []
    assert flags(repeated, cell, tmp_path) == ["repeated epochs"]
    assert flags(falling, cell, tmp_path) == []  # demo data: short by design
    assert alarms._trained(falling, demo=False)["loss still falling"]
