"""Replicates of a record's main score: under resampled units, and without each unit in turn.

They are made together with the intervals and stored beside the record. Records of the same test
samples are resampled with the same weights, so a paired comparison needs the stored replicates
alone; NumPy is imported only to make them.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from skybench.core import DataError, Metric, Record
from skybench.core.atomic import write_whole
from skybench.core.sealed import seal, unseal

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from skybench.analysis.resampled_scores import ResampledScores

VERSION = 3  # raised when the resampling changes: only replicates of one version are comparable
RESAMPLES = 2000
Values = Sequence[float | None]  # None: undefined under these weights


@dataclass(frozen=True)
class Replicates:
    """A record's main score, means over its seeds, under weights of the test units."""

    record: str  # VERSION, and fingerprint and time of the record
    score: str
    value: float
    images: int  # independent units
    keys: str  # sha256 of the samples' keys and units
    values: Values  # bootstrap replicates
    omitted: Values  # without each unit in turn, see `bootstrap.omissions`
    seeds: Sequence[float]  # the score of each seed
    # The part of the seeds' variance that is due to these images, as a variance of their mean.
    interaction: float
    # The number of seeds that are right on each sample, in the order of keys; None where the score
    # is not an accuracy, or samples are not independent.
    rights: Sequence[int] | None


def load_replicates(record: Record, results: Path) -> Replicates:
    """Return the replicates of a record's main score; make and store them if needed.

    Raises DataError where they need predictions and these were not kept, or are damaged.
    """
    path = results / record.path.with_suffix(".draws")
    if (known := stored_replicates(record, results)) is not None:
        return known
    if not path.with_suffix(".npz").is_file():
        raise DataError(
            f"no predictions of {record.model} on {record.dataset} were kept; run the cell again "
            "with --force (without --no-predictions)"
        )
    made = _of_record(record, results)
    with contextlib.suppress(OSError):  # the folder may be read-only
        save_replicates(made, record, path)
    return made


def stored_replicates(record: Record, results: Path) -> Replicates | None:
    """Return the replicates beside a record; None where they are missing, damaged or others."""
    with contextlib.suppress(OSError, ValueError, TypeError):
        data = (results / record.path.with_suffix(".draws")).read_bytes()
        # Those of earlier versions have no checksum.
        text = data.decode() if data.startswith(b"{") else unseal(data) or ""
        known = Replicates(**json.loads(text))
        if known.record == _name(record) and len(known.values) == RESAMPLES:
            return known
    return None


def save_replicates(made: Replicates, record: Record, path: Path) -> None:
    """Write the replicates of a record's main score; their place is the record's, as `.draws`.

    Raises OSError where the file cannot be written.
    """
    text = json.dumps(vars(replace(made, record=_name(record))))
    with write_whole(path) as file:
        file.write_bytes(seal(text))


def _name(record: Record) -> str:
    return f"{VERSION} {record.fingerprint} {record.made}"


def _of_record(record: Record, results: Path) -> Replicates:
    from skybench.records import predictions

    if record.main is None:
        raise DataError(f"{record.model} on {record.dataset} was not measured: {record.note}")
    kept = predictions.load_predictions(record, results)
    made = make_replicates(kept.metrics, record.main[0], kept.keys, kept.groups)
    return replace(made, record=_name(record))


def make_replicates(
    metrics: Sequence[Metric],
    score: str,
    keys: Sequence[str],
    groups: Sequence[str],
    resamples: int = RESAMPLES,
) -> Replicates:
    """Return the replicates of a score, given a metric for each seed; see `resample_scores`.

    keys, groups: of the samples, and of the unit of each.
    """
    from skybench.analysis.resampled_scores import resample_scores

    every = [metric.scores() for metric in metrics]
    of_all = 0 if score == next(iter(every[0])) else resamples
    resampled = resample_scores(metrics, keys, groups, score, resamples, of_all)
    return replicates_of(resampled, metrics, score, [float(one[score]) for one in every], keys)


def replicates_of(
    resampled: ResampledScores,
    metrics: Sequence[Metric],
    score: str,
    values: Sequence[float],
    keys: Sequence[str],
) -> Replicates:
    """Return the replicates of a score from resampled scores of these metrics and samples.

    values: the score of each seed.
    """
    each = resampled.drawn[score]
    rights = _rights(metrics, keys) if score == "oa" and resampled.units == len(keys) else None
    return Replicates(
        "", score, sum(values) / len(values), resampled.units, resampled.identity,
        _rounded(each.mean(0)), _rounded(resampled.omitted[score].mean(0)), values,
        _interaction(each), rights,
    )  # fmt: skip


def _interaction(each: NDArray[np.float64]) -> float:
    """The mean variance over replicates of the seeds' distances from their mean, [seeds, B]."""
    import numpy as np

    count = len(each)
    if count < 2:
        return 0.0
    apart = each - each.mean(0)
    return float(np.nan_to_num(np.nanvar(apart, axis=1)).mean() / (count - 1))


def _rights(metrics: Sequence[Metric], keys: Sequence[str]) -> list[int] | None:
    import numpy as np

    from skybench.metrics.accuracy import Accuracy

    singles = [m for m in metrics if isinstance(m, Accuracy)]
    if not singles:
        return None
    rights = np.sum([np.equal(m.predicted, m.true) for m in singles], axis=0)
    order = np.argsort(np.array(keys), kind="stable")
    return [int(right) for right in rights[order]]


def known(values: Values) -> list[float]:
    """Return stored values as numbers, NaN where one is undefined."""
    return [math.nan if value is None else value for value in values]


def _rounded(values: NDArray[np.float64]) -> list[float | None]:
    return [None if math.isnan(v) else float(f"{v:.9g}") for v in values.tolist()]
