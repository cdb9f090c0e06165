"""The per-image counts of a cell's metric, stored beside its record.

An `.npz` of plain arrays, one set for each seed: the metric's state, from which every score can be
computed again for any image weights. So scores can be redefined, bootstrapped, and compared image
by image between models, without model or data.
"""

from __future__ import annotations

import io
import re
import zipfile
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from skybench.core import DataError, Metric, Record, SkybenchError, registry
from skybench.core.atomic import write_whole

# What arrays of other shapes, types or names than a metric's raise when they are restored.
BROKEN = (
    ValueError, KeyError, IndexError, TypeError, AttributeError, OSError, EOFError,
    zipfile.BadZipFile, zlib.error,
)  # fmt: skip
TILE = re.compile(r"(_\d{4}-\d\d(-\d\d)?)?(_\d+\.\d+)?_\d+_\d+$")  # month or scale, y, x
MAX_PREDICTION_BYTES = 200e6  # bytes per cell; larger predictions are not stored


class SavedPredictions(NamedTuple):
    """The keys of a cell's test samples, the metric of each seed with its counts, and units."""

    keys: tuple[str, ...]
    metrics: list[Metric]
    groups: tuple[str, ...]  # the independent unit of each sample, see `core.dataset.groups_of`


def save_predictions(
    path: Path,
    keys: Sequence[str],
    metrics: Sequence[Metric],
    budget: float = MAX_PREDICTION_BYTES,
    groups: Sequence[str] = (),
    cell: str = "",
) -> int:
    """Write the metrics of all seeds to one file; return its bytes, or 0 if over the budget.

    groups: the independent unit of each sample; (): each is its own. cell: the fingerprint of the
    record, by which predictions of another cell are noticed.
    """
    names = {"keys": keys, "groups": groups or keys, "cell": [cell] if cell else []}
    arrays = {name: np.array(values, dtype=np.str_) for name, values in names.items()}
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
    """Load the predictions of a record.

    Raises DataError where they are missing, damaged, or of another cell.
    """
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
        cell = "".join(map(str, arrays.pop("cell", ())))
        kept = _restored(arrays, blank, record.status == "measured")
    except (*BROKEN, SkybenchError) as error:
        raise DataError(
            f"{path} is damaged ({type(error).__name__}: {error}); run the cell again with --force"
        ) from error
    seeds, samples = len(record.seeds), record.samples.get("test", 0)
    found, stated = (len(kept.metrics), len(kept.keys)), (seeds, samples)
    if (cell and cell != record.fingerprint) or any(
        s and n != s for n, s in zip(found, stated, strict=True)
    ):
        raise DataError(
            f"{path} has the predictions of another cell ({found[0]} seed(s), {found[1]} samples"
            f"{f', fingerprint {cell[:8]}' if cell else ''}); expected {seeds} seed(s), {samples} "
            f"samples, fingerprint {record.fingerprint[:8]}. Copy the right file there, or run the "
            "cell again with --force"
        )
    return kept


def _restored(arrays: dict[str, Any], blank: Metric, scored: bool) -> SavedPredictions:
    """The predictions in a file's arrays. Raises one of BROKEN where they do not fit together."""
    keys = tuple(map(str, arrays.pop("keys").tolist()))
    stored = arrays.pop("groups", None)
    groups = former_groups(keys, arrays) if stored is None else tuple(map(str, stored.tolist()))
    metrics = []
    for seed in sorted({int(name.partition(".")[0]) for name in arrays}):
        prefix = f"{seed}."
        state = {n.removeprefix(prefix): a for n, a in arrays.items() if n.startswith(prefix)}
        metrics.append(blank.restored(state))
    if not metrics or not keys or len(groups) != len(keys):
        raise ValueError(f"{len(keys)} keys, {len(groups)} units, {len(metrics)} seeds")
    for metric in metrics if scored else ():
        metric.scores(np.ones((1, len(keys))))  # fails where arrays are shorter than the keys
    return SavedPredictions(keys, metrics, groups)


def former_groups(keys: Sequence[str], arrays: Iterable[str]) -> tuple[str, ...]:
    """Return the units of samples in a file without them: the images of tiles, from their keys.

    arrays: the names in the file, which tell whether samples are tiles.

    >>> former_groups(["area_1_0_512", "cube_2018-01_0_0"], ["0.matrices"])
    ('area_1', 'cube')
    """
    tiled = any(name.endswith((".matrices", ".tiles", ".tile.image")) for name in arrays)
    return tuple(TILE.sub("", key) if tiled else key for key in keys)


def empty_metric(record: Record) -> Metric:
    """Return a record's metric without samples, for the classes that the record names."""
    card = registry.dataset(record.dataset).CARD
    classes = tuple(record.used.get("classes", card.classes))
    return registry.task(record.task).metric(replace(card, classes=classes))
