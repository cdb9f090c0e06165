"""Kept predictions: every score again from the file alone, and what a damaged one does."""

from __future__ import annotations

import shlex
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from skybench.boxes.detections import Detections
from skybench.core import Boxes, DataError, Metric, Record, UsageError, registry
from skybench.records import predictions
from skybench.report import export, reproduce, rescore

RNG = np.random.default_rng(0)


def masks(*shape: int) -> Callable[[], Any]:
    return lambda: RNG.integers(0, 2, shape, dtype=np.uint8)


def corners(count: int) -> Any:
    low, side = RNG.uniform(0, 60, (count, 1, 2)), RNG.uniform(8, 20, (count, 1, 1))
    return (low + side * np.array([[[0, 0], [1, 0], [1, 1], [0, 1]]])).astype(np.float32)


def boxes() -> Boxes:
    count = int(RNG.integers(0, 4))
    places, labels = torch.from_numpy(corners(count)), torch.from_numpy(RNG.integers(0, 3, count))
    return Boxes(places, labels, torch.zeros(count, dtype=torch.bool), (100, 100))


def found() -> Detections:
    count = int(RNG.integers(0, 30))
    return Detections(corners(count), RNG.random(count), RNG.integers(0, 3, count))


# (task, dataset) -> a prediction, a target
CASES: dict[tuple[str, str], tuple[Callable[[], Any], Callable[[], Any]]] = {
    ("scene_classification", "aid"): (lambda: RNG.random(30), lambda: int(RNG.integers(30))),
    ("scene_classification", "ben_s2"): (lambda: RNG.random(19), masks(19)),
    ("semantic_segmentation", "isaid"): (masks(8, 8), masks(8, 8)),
    ("change_detection", "levir_cd"): (masks(8, 8), masks(8, 8)),
    ("change_detection", "dyna_s2"): (masks(3, 8, 8), masks(3, 8, 8)),
    ("horizontal_detection", "dior"): (found, boxes),
    ("oriented_detection", "dior_r"): (found, boxes),
    ("oriented_detection", "fair1m"): (found, boxes),
}


def filled(task: str, dataset: str, seed: int) -> tuple[Record, Metric, tuple[str, ...]]:
    classes = registry.load("datasets", dataset).CARD.classes
    record = Record(
        f"m{seed}", task, dataset, {"protocol": "linear", "label": "20 %"}, "measured", "real",
        f"{seed}" * 8, scores={"main": 1.0}, used={"classes": list(classes), "sensors": ["hr"]},
    )  # fmt: skip
    metric = predictions.empty_metric(record)
    said, true = CASES[task, dataset]
    keys = tuple(f"image{i // 2}_1.0_0_{10 * i}" for i in range(6))
    for key in keys:
        metric.update(said(), true(), key)
    return record, metric, keys


@pytest.mark.parametrize(("task", "dataset"), CASES)
def test_every_score_comes_back_from_the_file_alone(
    task: str, dataset: str, tmp_path: Path
) -> None:
    record, metric, keys = filled(task, dataset, 1)
    _, second, _ = filled(task, dataset, 1)
    path = tmp_path / record.path.with_suffix(".npz")
    assert predictions.save_predictions(path, keys, [metric, second]) == path.stat().st_size
    kept = predictions.load_predictions(record, tmp_path)
    assert kept.keys == kept.groups == keys
    weights = RNG.multinomial(6, np.full(6, 1 / 6), size=5).astype(float)
    for restored, original in zip(kept.metrics, (metric, second), strict=True):
        assert restored.scores() == original.scores()
        assert restored.per_class() == original.per_class()
        drawn, expected = restored.scores(weights), original.scores(weights)
        for name in expected:
            np.testing.assert_array_equal(drawn[name], expected[name])


def test_the_units_of_samples_are_kept(tmp_path: Path) -> None:
    record, metric, keys = filled("semantic_segmentation", "isaid", 1)
    path = tmp_path / record.path.with_suffix(".npz")
    groups = ("a", "a", "b", "b", "c", "c")
    predictions.save_predictions(path, keys, [metric], groups=groups)
    assert predictions.load_predictions(record, tmp_path).groups == groups


@pytest.mark.parametrize(("task", "dataset"), CASES)
def test_files_without_units_have_those_of_their_keys(
    task: str, dataset: str, tmp_path: Path
) -> None:
    record, metric, keys = filled(task, dataset, 1)
    path = tmp_path / record.path.with_suffix(".npz")
    predictions.save_predictions(path, keys, [metric])
    with np.load(path) as stored:
        former = {name: stored[name] for name in stored.files if name != "groups"}
    np.savez(path, **former)
    tiled = dataset in ("isaid", "levir_cd", "dyna_s2", "fair1m")
    expected = [key.split("_")[0] if tiled else key for key in keys]
    assert list(predictions.load_predictions(record, tmp_path).groups) == expected


@pytest.mark.parametrize(("task", "dataset"), CASES)
@pytest.mark.parametrize("lost", ["first array", "last array", "keys", "groups", "all arrays"])
def test_arrays_that_do_not_fit_together_are_damage(
    task: str, dataset: str, lost: str, tmp_path: Path
) -> None:
    record, metric, keys = filled(task, dataset, 1)
    path = tmp_path / record.path.with_suffix(".npz")
    predictions.save_predictions(path, keys, [metric])
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in stored.files}
    own = [name for name in arrays if name.startswith("0.") and arrays[name].size]
    gone = {"first array": own[:1], "last array": own[-1:], "all arrays": own}.get(lost, [lost])
    if lost in ("keys", "groups"):
        arrays[lost] = arrays[lost][:-2]
    else:
        arrays = {name: array for name, array in arrays.items() if name not in gone}
    np.savez(path, **arrays)
    with pytest.raises(DataError, match="is damaged"):
        predictions.load_predictions(record, tmp_path)


def test_a_file_over_the_budget_is_not_kept(tmp_path: Path) -> None:
    record, metric, keys = filled("scene_classification", "aid", 1)
    path = tmp_path / record.path.with_suffix(".npz")
    assert predictions.save_predictions(path, keys, [metric], budget=100) == 0
    assert not list(tmp_path.rglob("*.npz"))
    with pytest.raises(DataError, match="No predictions of m1 on aid"):
        predictions.load_predictions(record, tmp_path)


@pytest.mark.parametrize("damage", ["cut", "text", "objects"])
def test_a_damaged_file_is_named_and_runs_no_code(damage: str, tmp_path: Path) -> None:
    record, metric, keys = filled("scene_classification", "aid", 1)
    path = tmp_path / record.path.with_suffix(".npz")
    predictions.save_predictions(path, keys, [metric])
    if damage == "cut":
        path.write_bytes(path.read_bytes()[:200])
    elif damage == "text":
        path.write_text("not an archive")
    else:
        np.savez(path, keys=np.array([Path("/")], dtype=object))
    with pytest.raises(DataError, match="is damaged"):
        predictions.load_predictions(record, tmp_path)


def test_the_predictions_of_another_cell_are_refused(tmp_path: Path) -> None:
    record, metric, keys = filled("scene_classification", "aid", 1)
    path = tmp_path / record.path.with_suffix(".npz")
    predictions.save_predictions(path, keys, [metric], cell=record.fingerprint)
    assert predictions.load_predictions(record, tmp_path).keys == keys
    predictions.save_predictions(path, keys, [metric], cell="2" * 8)
    with pytest.raises(DataError, match=r"predictions of another cell .* fingerprint 22222222"):
        predictions.load_predictions(record, tmp_path)
    predictions.save_predictions(path, keys, [metric])  # as older versions did
    assert predictions.load_predictions(record, tmp_path).keys == keys
    for other in ({"samples": {"test": 7}}, {"seeds": [{"seed": 0}, {"seed": 1}]}):
        with pytest.raises(DataError, match="predictions of another cell"):
            predictions.load_predictions(replace(record, **other), tmp_path)


def test_rescoring_takes_one_variant_or_all_and_says_what_is_missing(tmp_path: Path) -> None:
    record, metric, keys = filled("semantic_segmentation", "isaid", 1)
    predictions.save_predictions(tmp_path / record.path.with_suffix(".npz"), keys, [metric])
    lost = replace(record, model="lost")
    rows, missing = rescore.rescored([record, lost], tmp_path)
    assert {row["metric"]: row["score"] for row in rows} == {
        name: round(value, 4) for name, value in metric.scores().items()
    }
    assert len(missing) == 1
    assert "lost on isaid" in missing[0]
    (row,), _ = rescore.rescored([record], tmp_path, "miou_all")
    assert row["low"] <= row["score"] <= row["high"]
    with pytest.raises(UsageError, match="no_such"):
        rescore.rescored([record], tmp_path, "no_such")


def test_the_command_names_all_that_affects_the_number() -> None:
    recipe = {
        "protocol": "frozen", "label": "20 %", "epochs": 3, "sensors": ["s2"], "fraction": 0.5,
        "limit": 0, "seeds": 3, "options": ["dates=12"],
    }  # fmt: skip
    used = {"variant": "rgb", "weights": "random", "overridden": ["epochs", "dates"]}
    record = Record("satmae", "scene_classification", "aid", recipe, "measured", "demo", "f",
                    used=used)  # fmt: skip
    assert reproduce.run_command(record) == (
        "skybench run --model satmae --task scene_classification --dataset aid --protocol frozen "
        "--data demo --variant rgb --weights random --sensors s2 --set epochs=3 --option dates=12 "
        "--fraction 0.5 --seeds 3"
    )


def test_the_command_gives_lists_as_the_command_line_takes_them() -> None:
    augment = ["resized_crop=0.3,1", "flip"]
    recipe = {"protocol": "finetune", "augment": augment, "options": []}
    used = {"variant": "tiny", "weights": "random", "overridden": ["augment"]}
    record = Record("imagenet", "scene_classification", "aid", recipe, "measured", "demo", "f",
                    used=used)  # fmt: skip
    words = shlex.split(reproduce.run_command(record))
    assert words[words.index("--set") + 1] == "augment=resized_crop=0.3,1 flip"


def test_a_dataset_that_is_not_installed_does_not_stop_rescoring(tmp_path: Path) -> None:
    record, metric, keys = filled("semantic_segmentation", "isaid", 1)
    gone = replace(record, dataset="gone")
    for one in (record, gone):
        predictions.save_predictions(tmp_path / one.path.with_suffix(".npz"), keys, [metric])
    rows, missing = rescore.rescored([gone, record], tmp_path)
    assert {row["dataset"] for row in rows} == {"isaid"}
    assert "gone" in missing[0]


def test_a_cell_is_picked_by_the_beginning_of_its_fingerprint() -> None:
    record, _, _ = filled("scene_classification", "aid", 1)
    other = replace(record, fingerprint="2" * 8)
    assert reproduce.pick_record([record, other], "11") is record
    for wrong in ("3", ""):
        with pytest.raises(UsageError, match="begins with"):
            reproduce.pick_record([record, other], wrong)
    with pytest.raises(UsageError, match="several"):
        reproduce.pick_record([record, replace(record, fingerprint="12")], "1")


def test_the_papers_value_stands_beside_ours() -> None:
    record, _, _ = filled("scene_classification", "aid", 1)
    found = reproduce.reproduction(replace(record, model="gfm", recipe={"protocol": "linear"}))
    assert {(p["split"], p["value"]) for p in found["paper"]} == {
        ("TR=20%", 95.47), ("TR=50%", 97.09)
    }  # fmt: skip
    assert not any(p["comparable"] for p in found["paper"])
    assert found["differs"]["protocol"] == "linear, the recipe that stands in: finetune"


def test_no_paper_is_said_to_have_a_recipe_that_is_ours() -> None:
    record, _, _ = filled("scene_classification", "aid", 1)
    yours = replace(record, dataset="folder", recipe={"protocol": "linear"})
    assert reproduce.recipe_differences(yours) == {"protocol": "linear, our recipe: finetune"}


def test_detections_go_out_as_their_server_takes_them(tmp_path: Path) -> None:
    for dataset, ending, count in (("dior_r", ".zip", 1), ("fair1m", ".xml", 3)):
        record, metric, keys = filled("oriented_detection", dataset, 1)
        predictions.save_predictions(tmp_path / record.path.with_suffix(".npz"), keys, [metric])
        written = export.export_boxes(record, tmp_path, tmp_path / dataset)
        assert len(written) == count
        assert all(path.suffix == ending and path.is_file() for path in written)
    record, metric, keys = filled("semantic_segmentation", "isaid", 1)
    predictions.save_predictions(tmp_path / record.path.with_suffix(".npz"), keys, [metric])
    with pytest.raises(UsageError, match="gives no boxes"):
        export.export_boxes(record, tmp_path, tmp_path)


def test_exported_images_keep_their_names_with_dots(tmp_path: Path) -> None:
    record, filled_metric, _ = filled("oriented_detection", "dior_r", 1)
    metric: Any = filled_metric
    keys = tuple(f"P1.000{i}" for i in range(6))
    predictions.save_predictions(tmp_path / record.path.with_suffix(".npz"), keys, [metric])
    (path,) = export.export_boxes(record, tmp_path, tmp_path / "out")
    with zipfile.ZipFile(path) as archive:
        lines = [line for n in archive.namelist() for line in archive.read(n).splitlines()]
    said = metric.found(keys)
    assert len(lines) == sum(len(one.labels) for one in said.values())
    assert {line.split()[0].decode() for line in lines} == {k for k in keys if len(said[k].labels)}


@pytest.mark.parametrize("dataset", ["dior_r", "fair1m"])
def test_exported_files_of_several_records_lie_apart_and_say_what_they_are(
    dataset: str, tmp_path: Path
) -> None:
    record, metric, keys = filled("oriented_detection", dataset, 1)
    flags = ["random weights", "limited", "nominal units"]
    written = []
    for each in (record, replace(record, fingerprint="2" * 8, data="demo", flags=flags)):
        predictions.save_predictions(tmp_path / each.path.with_suffix(".npz"), keys, [metric])
        written.append(export.export_boxes(each, tmp_path, tmp_path / "out"))
    plain, other = written
    assert not {*plain} & {*other}
    names = [p.relative_to(tmp_path / "out").parts[0].removesuffix(".zip") for p, *_ in written]
    assert names == [
        f"m1.{dataset}.11111111",
        f"m1.{dataset}.demo_data.random_weights.limited.22222222",
    ]
