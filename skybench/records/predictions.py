"""What was predicted for every test image of a cell, kept beside its record.

An `.npz` of plain arrays, one set a seed: what the metric needs to give any of its scores again,
for any weights of the images. So a score can be looked at under another definition, resampled, and
compared image by image with another model's, without model or data.
"""

from __future__ import annotations

import io
import uuid
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple, cast

import numpy as np

from skybench.core import DataError, Metric, Record, Task, registry

BUDGET = 200e6  # bytes a cell: what takes more is not kept


class Kept(NamedTuple):
    """The test images of a cell by their keys, and one filled metric a seed."""

    keys: tuple[str, ...]
    metrics: list[Metric]


def save(path: Path, keys: Sequence[str], metrics: Sequence[Metric], budget: float = BUDGET) -> int:
    """Writes the file, whole or not at all; returns its bytes, 0 where it is over the budget."""
    arrays = {"keys": np.array(keys, dtype=np.str_)}
    for seed, metric in enumerate(metrics):
        arrays |= {f"{seed}.{name}": array for name, array in metric.state().items()}
    if sum(array.nbytes for array in arrays.values()) > 20 * budget:
        return 0  # not even worth compressing
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)  # type: ignore[arg-type]
    if out.tell() > budget:
        return 0
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{uuid.uuid4().hex}.tmp")
    temporary.write_bytes(out.getvalue())
    temporary.replace(path)
    return out.tell()


def load(record: Record, results: Path) -> Kept:
    """What was kept for a record. Raises DataError where there is nothing, or it is damaged."""
    path = results / record.path.with_suffix(".npz")
    if not path.is_file():
        raise DataError(
            f"No predictions of {record.model} on {record.dataset} at {path}; run the cell again "
            "with --force (without --no-predictions)"
        )
    blank = metric_of(record)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        keys = tuple(map(str, arrays.pop("keys")))
        seeds = sorted({int(name.partition(".")[0]) for name in arrays})
        metrics = []
        for seed in seeds:
            prefix = f"{seed}."
            own = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
            metrics.append(blank.restored(own))
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is damaged ({error}); run the cell again with --force") from error
    return Kept(keys, metrics)


def metric_of(record: Record) -> Metric:
    """An empty metric as the cell's; the classes are those of the record."""
    task = cast(Task, registry.load("tasks", record.task).TASK)
    card = registry.load("datasets", record.dataset).CARD
    classes = tuple(record.used.get("classes", card.classes))
    return task.metric(replace(card, classes=classes))
