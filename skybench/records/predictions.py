"""The per-image counts of a cell's metric, stored beside its record.

An `.npz` of plain arrays, one set for each seed: the metric's state, from which every score can be
computed again for any image weights. So scores can be redefined, bootstrapped, and compared image
by image between models, without model or data.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np

from skybench.core import DataError, Metric, Record, registry
from skybench.core.atomic import write_whole

MAX_PREDICTION_BYTES = 200e6  # bytes per cell; larger predictions are not stored


class SavedPredictions(NamedTuple):
    """The keys of a cell's test images, and the metric of each seed with its counts."""

    keys: tuple[str, ...]
    metrics: list[Metric]


def save_predictions(
    path: Path, keys: Sequence[str], metrics: Sequence[Metric], budget: float = MAX_PREDICTION_BYTES
) -> int:
    """Write the metrics of all seeds to one file; return its bytes, or 0 if over the budget."""
    arrays = {"keys": np.array(keys, dtype=np.str_)}
    for seed, metric in enumerate(metrics):
        arrays |= {f"{seed}.{name}": array for name, array in metric.state().items()}
    if sum(array.nbytes for array in arrays.values()) > 20 * budget:
        return 0  # too large even when compressed
    out = io.BytesIO()
    np.savez_compressed(out, **arrays)  # type: ignore[arg-type]
    if out.tell() > budget:
        return 0
    with write_whole(path) as temporary:
        temporary.write_bytes(out.getvalue())
    return out.tell()


def load_predictions(record: Record, results: Path) -> SavedPredictions:
    """Load the predictions of a record. Raises DataError where they are missing or damaged."""
    path = results / record.path.with_suffix(".npz")
    if not path.is_file():
        raise DataError(
            f"No predictions of {record.model} on {record.dataset} at {path}; run the cell again "
            "with --force (without --no-predictions)"
        )
    blank = empty_metric(record)
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        keys = tuple(map(str, arrays.pop("keys")))
        seeds = sorted({int(name.partition(".")[0]) for name in arrays})
        metrics = []
        for seed in seeds:
            prefix = f"{seed}."
            state = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
            metrics.append(blank.restored(state))
    except (ValueError, KeyError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{path} is damaged ({error}); run the cell again with --force") from error
    return SavedPredictions(keys, metrics)


def empty_metric(record: Record) -> Metric:
    """Return a record's metric without samples, for the classes that the record names."""
    card = registry.dataset(record.dataset).CARD
    classes = tuple(record.used.get("classes", card.classes))
    return registry.task(record.task).metric(replace(card, classes=classes))
