"""Published scores, one CSV row each with its evidence; never mixed with measured scores."""

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

# corroborated: a second public source has it to the last decimal. unverified: only one source.
EVIDENCE = ("corroborated", "unverified")
NEEDED = ("model", "dataset", "task", "metric", "value", "source", "evidence")


class PaperCell(NamedTuple):
    """The cell of the literature that a score belongs to."""

    dataset: str
    task: str
    split: str  # as printed: "TR=20%", "pair[0]", "val"
    modalities: str
    metric: str


@dataclass(frozen=True)
class PublishedScore:
    """A published score; the fields are the columns of the CSV files."""

    model: str  # name in skybench, or of a model that it does not have
    dataset: str  # likewise
    task: str
    split: str
    modalities: str
    metric: str
    value: float  # in percent
    source: str  # the publication
    table: str  # of the publication; "" where unknown
    evidence: str  # of EVIDENCE
    seen_at: str  # where the score was read
    note: str

    @property
    def place(self) -> PaperCell:
        """The cell of the literature, without model and value."""
        return PaperCell(self.dataset, self.task, self.split, self.modalities, self.metric)


COLUMNS = tuple(f.name for f in dataclasses.fields(PublishedScore))


def parse_published(text: str, name: str) -> list[PublishedScore]:
    """Parse one CSV file. Raises DataError with the line and column of the first mistake.

    Different scores of one cell are separate rows where source, table or note differ; a repeated
    row is an error.
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
                f"{name}, line {number}: {row.model} on {row.dataset} from {row.source} is in "
                f"line {seen[key]} already; if both were published, say in `note` how they differ"
            )
        seen[key] = number
    return [row for _, row in rows]


def _row(cells: list[str], name: str, line: int) -> PublishedScore:
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
    return PublishedScore(**given, value=value)


@functools.cache
def published_scores() -> tuple[PublishedScore, ...]:
    """Return all published scores that ship with skybench, in the order of their files."""
    folder = importlib.resources.files("skybench.reported_csv")
    files = sorted((f for f in folder.iterdir() if f.name.endswith(".csv")), key=lambda f: f.name)
    return tuple(
        row for f in files for row in parse_published(f.read_text(encoding="utf-8"), f.name)
    )


def conflicting_scores(
    rows: Iterable[PublishedScore],
) -> Iterator[tuple[str, PaperCell, list[PublishedScore]]]:
    """Yield (model, cell, rows) where different scores were published for one cell."""
    cells: dict[tuple[str, PaperCell], list[PublishedScore]] = {}
    for row in rows:
        cells.setdefault((row.model, row.place), []).append(row)
    for (model, place), found in cells.items():
        if len({row.value for row in found}) > 1:
            yield model, place, found
