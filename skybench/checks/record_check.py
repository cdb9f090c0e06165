"""Reads the files of a results folder, and says which of them are damaged or missing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from skybench.analysis.replicates import stored_replicates
from skybench.core import Record, SkybenchError
from skybench.records import predictions, store


class DamagedFile(NamedTuple):
    """A file of a results folder that is not as a run writes it."""

    path: Path  # below the folder
    what: str


def damaged_records(results: Path, files: Sequence[Path] = ()) -> tuple[int, list[DamagedFile]]:
    """Return how many records were read, and what is damaged; all files beside records are read.

    files: records, also by their names below the folder; () for all. Predictions that no record
    belongs to are found too. What a running process writes at this moment is not looked at.
    """
    good, bad = store.read_stored(results)
    damaged = [DamagedFile(path.relative_to(results), reason) for path, reason in bad]
    for path, record in good:
        if path != record.path:
            damaged.append(DamagedFile(path, f"its content is of {record.path}"))
        else:
            damaged += _beside(record, results)
    known = {path.with_suffix("") for path, _ in good} | {d.path.with_suffix("") for d in damaged}
    damaged += _alone(results, known)
    count = len(good) + len(bad)
    if not files:
        return count, sorted(damaged)
    names = {_below(results, file).with_suffix("") for file in files}
    lost = [DamagedFile(name, "there is no such record") for name in sorted(names - known)]
    return len(names), [*lost, *(d for d in sorted(damaged) if d.path.with_suffix("") in names)]


def _beside(record: Record, results: Path) -> Iterator[DamagedFile]:
    """What is wrong with the predictions and the replicates of a record."""
    kept, draws = record.path.with_suffix(".npz"), record.path.with_suffix(store.DRAWS)
    if (results / kept).exists() or record.used.get("prediction_bytes"):
        try:
            predictions.load_predictions(record, results)
        except SkybenchError as error:  # also of a data set whose plugin is not installed
            yield DamagedFile(kept, str(error))
    if (results / draws).exists() and stored_replicates(record, results) is None:
        yield DamagedFile(draws, "damaged, or of another record; it is made again when needed")


def _alone(results: Path, known: set[Path]) -> Iterator[DamagedFile]:
    """Predictions and replicates beside which there is no record."""
    for ending in (".npz", store.DRAWS):
        for path in sorted(results.glob(f"*/*/[!.]*{ending}")):
            name = path.relative_to(results)
            if name.with_suffix("") not in known:
                yield DamagedFile(name, "there is no record beside it")


def _below(results: Path, file: Path) -> Path:
    """The name of a file below the results folder."""
    whole, root = file.absolute(), results.absolute()
    return whole.relative_to(root) if whole.is_relative_to(root) else file
