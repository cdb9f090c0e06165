"""Made records, as a leaderboard of many models, datasets and fractions has them."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from skybench.analysis.intervals import uncertainty
from skybench.analysis.replicates import save_replicates
from skybench.core import Recipe, Record, registry
from skybench.core.fingerprint import fingerprint
from skybench.metrics.accuracy import Accuracy
from skybench.records import predictions, store

TASK = "scene_classification"
DATASETS = ("aid", "resisc45", "eurosat", "fmow_s2")
CLASSES = tuple(f"class {i:02d}" for i in range(45))


def write_records(results: Path, count: int, images: int = 0, seed: int = 0) -> None:
    """Write measured records of accuracies, some 6 kB each.

    images: of the predictions that are written beside each record; 0: none are.
    """
    rng = np.random.default_rng(seed)
    models = registry.names("baselines")
    true = rng.integers(0, len(CLASSES), max(images, 1))
    for number in range(count):
        rest, model = divmod(number, len(models))
        part, dataset = divmod(rest, len(DATASETS))
        share = round(1 / (1 + part), 6)
        record = _record((models[model], DATASETS[dataset], share), rng, images)
        path = results / record.path
        path.parent.mkdir(parents=True, exist_ok=True)
        if images:
            record = _with_predictions(record, path, true, rng)
        path.write_text(json.dumps(dataclasses.asdict(record), indent=1) + "\n", encoding="utf-8")


def _record(cell: tuple[str, str, float], rng: np.random.Generator, images: int) -> Record:
    model, dataset, share = cell
    level = float(rng.uniform(50, 97))
    scores = {"oa": level, "aa": level - 0.5, "top5": min(100.0, level + 3)}
    recipe = dataclasses.asdict(Recipe("linear", fraction=share))
    return Record(
        model, TASK, dataset, recipe, "measured", "real", fingerprint({"cell": cell}), scores,
        spread=dict.fromkeys(scores, 0.0),
        intervals={n: [value - 1, min(100.0, value + 1)] for n, value in scores.items()},
        per_class={name: {"recall": float(rng.uniform(40, 100))} for name in CLASSES},
        seeds=[{"seed": 0, "scores": scores, "chosen": _sweep(rng)}],
        samples={"train": 2000, "val": 0, "test": images or 1000}, used=_used(),
        cost={"parameters": 86_000_000, "gflops": 17.6, "images_per_s": 80.0, "wall_s": 300.0},
        made="2026-01-01T00:00:00+00:00",
    )  # fmt: skip


def _sweep(rng: np.random.Generator) -> dict[str, Any]:
    return {"lambda": 0.01, "sweep": {f"{10.0**e:g}": float(rng.random()) for e in range(-6, 2)}}


def _used() -> dict[str, Any]:
    bands = ["blue", "green", "red"]
    return {
        "sensors": ["hr"], "variant": "full", "weights": "ab" * 32, "classes": list(CLASSES),
        "chance": 2.2, "inputs": {"hr": {"sensor": "hr", "bands": bands, "dates": 1}},
        "versions": {"torch": "2.6", "numpy": "2.0", "skybench": "0.1"}, "device": "cpu",
    }  # fmt: skip


def _with_predictions(
    record: Record, path: Path, true: Sequence[int] | np.ndarray, rng: np.random.Generator
) -> Record:
    """Write predictions of about the record's accuracy, and their replicates, as a run does.

    Return the record with their scores.
    """
    right = rng.random(len(true)) < record.scores["oa"] / 100
    said = np.where(right, true, (np.asarray(true) + 1) % len(CLASSES))
    metric = Accuracy(CLASSES)
    for one, other in zip(said.tolist(), np.asarray(true).tolist(), strict=True):
        metric.update(one, other)
    keys = [f"image{i:06d}" for i in range(len(true))]
    predictions.save_predictions(path.with_suffix(".npz"), keys, [metric], cell=record.fingerprint)
    scores, sure = metric.scores(), uncertainty([metric], keys)
    record = dataclasses.replace(
        record, scores=scores, spread=dict.fromkeys(scores, 0.0),
        intervals={n: [band.low, band.high] for n, band in sure.intervals.items()},
        seeds=[{**record.seeds[0], "scores": scores}],
    )  # fmt: skip
    if sure.replicates:
        save_replicates(sure.replicates, record, path.with_suffix(store.DRAWS))
    return record
