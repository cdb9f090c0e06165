"""Published scores: one CSV line each, with the evidence for it; never mixed with measured ones."""

from __future__ import annotations

import csv
import dataclasses
import functools
import importlib.resources
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import NamedTuple

from skybench.core import DataError

# corroborated: found to the last decimal in a second public source. unverified: in one only.
EVIDENCE = ("corroborated", "unverified")
NEEDED = ("model", "dataset", "task", "metric", "value", "source", "evidence")


class Place(NamedTuple):
    """Which cell of the literature a score stands in."""

    dataset: str
    task: str
    split: str  # as printed: "TR=20%", "pair[0]", "val"
    modalities: str
    metric: str


@dataclass(frozen=True)
class Reported:
    """A score that somebody published; the fields are the columns of the CSV files."""

    model: str  # an id of ours, or another model's name
    dataset: str  # likewise
    task: str
    split: str
    modalities: str
    metric: str
    value: float  # in percent
    source: str  # the publication
    table: str  # of the publication, "" where not known
    evidence: str  # of EVIDENCE
    seen_at: str  # where it was found
    note: str

    @property
    def place(self) -> Place:
        """The cell."""
        return Place(self.dataset, self.task, self.split, self.modalities, self.metric)


COLUMNS = tuple(f.name for f in dataclasses.fields(Reported))


def parse(text: str, name: str) -> list[Reported]:
    """The rows of one file. Raises DataError with line and column of what is malformed.

    Scores of one cell that differ are kept as rows of their own where source, table or note tell
    them apart; the same row twice is refused.
    """
    reader = csv.reader(io.StringIO(text), strict=True)
    try:
        header = next(reader, [])
        if tuple(header) != COLUMNS:
            raise DataError(f"{name}, line 1: expected the columns {','.join(COLUMNS)}")
        rows = [(reader.line_num, _row(c, name, reader.line_num)) for c in reader if c]
    except csv.Error as error:
        raise DataError(f"{name}, line {reader.line_num}: not CSV: {error}") from error
    seen: dict[tuple[str, ...], int] = {}
    for number, row in rows:
        key = (row.model, *row.place, row.source, row.table, row.note)
        if key in seen:
            raise DataError(
                f"{name}, line {number}: {row.model} on {row.dataset} from {row.source} stands in "
                f"line {seen[key]} already; if both were published, say in `note` how they differ"
            )
        seen[key] = number
    return [row for _, row in rows]


def _row(cells: list[str], name: str, line: int) -> Reported:
    if len(cells) != len(COLUMNS):
        raise DataError(f"{name}, line {line}: {len(cells)} columns, expected {len(COLUMNS)}")
    given = dict(zip(COLUMNS, (c.strip() for c in cells), strict=True))

    def refuse(column: str, expected: str) -> DataError:
        where = f"{name}, line {line}, column {COLUMNS.index(column) + 1} ({column})"
        return DataError(f"{where}: {given[column]!r}, expected {expected}")

    for column in NEEDED:
        if not given[column]:
            raise refuse(column, "some text")
    if given["evidence"] not in EVIDENCE:
        raise refuse("evidence", " or ".join(EVIDENCE))
    try:
        value = float(given.pop("value"))
    except ValueError:
        given["value"] = cells[COLUMNS.index("value")]
        raise refuse("value", "a number in percent") from None
    if not 0 <= value <= 100:
        given["value"] = cells[COLUMNS.index("value")]
        raise refuse("value", "a number from 0 to 100")
    return Reported(**given, value=value)


@functools.cache
def load() -> tuple[Reported, ...]:
    """Every published score that ships with skybench, file by file."""
    folder = importlib.resources.files("skybench.reported_csv")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".csv")), key=lambda f: f.name)
    return tuple(row for f in files for row in parse(f.read_text(encoding="utf-8"), f.name))


def conflicts(rows: Iterable[Reported]) -> Iterator[tuple[str, Place, list[Reported]]]:
    """Cells of a model for which different scores were published."""
    cells: dict[tuple[str, Place], list[Reported]] = {}
    for row in rows:
        cells.setdefault((row.model, row.place), []).append(row)
    for (model, place), found in cells.items():
        if len({row.value for row in found}) > 1:
            yield model, place, found
