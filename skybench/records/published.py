"""Published scores, one CSV row each with its evidence; never mixed with measured scores."""

from __future__ import annotations

import csv
import dataclasses
import functools
import importlib.resources
import io
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from skybench.core import DataError

# corroborated: a second public source has it to the last decimal. seen: read in the log of the
# authors' own run, and printed nowhere. unverified: only one source.
EVIDENCE = ("corroborated", "seen", "unverified")
NEEDED = ("model", "dataset", "task", "metric", "value", "source", "evidence")
CONDITIONS = "conditions.csv"  # is about the scores of the other files: see `conditions`
# What the note of a score begins with that another run made, of the same authors or of others, so
# that sources do not disagree about one number.
ANOTHER_RUN = "another run: "


class PaperCell(NamedTuple):
    """The cell of the literature that a score belongs to."""

    dataset: str
    task: str
    split: str  # as printed: "TR=20%", "pair[0]", "val"
    modalities: str
    metric: str
    column: str = ""  # of rows known to be made otherwise, as "RGB, SeCo val": see `conditions`


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
    rows = [(line, _row(cells, name, line)) for line, cells in csv_lines(text, name, COLUMNS)]
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


def csv_lines(text: str, name: str, columns: Sequence[str]) -> list[tuple[int, dict[str, str]]]:
    """Return the lines of a CSV file below its header, each with its number, as column -> text.

    Raises DataError, with the line, for another header, and for a line with too few or too many.
    """
    reader = csv.reader(io.StringIO(text), strict=True)
    found = []
    try:
        if tuple(next(reader, [])) != tuple(columns):
            raise DataError(f"{name}, line 1: expected the columns {','.join(columns)}")
        for cells in filter(None, reader):
            if len(cells) != len(columns):
                raise DataError(
                    f"{name}, line {reader.line_num}: {len(cells)} columns, expected {len(columns)}"
                )
            given = dict(zip(columns, (c.strip() for c in cells), strict=True))
            found.append((reader.line_num, given))
    except csv.Error as error:
        raise DataError(f"{name}, line {reader.line_num}: not CSV: {error}") from error
    return found


def refused(given: dict[str, str], column: str, place: str, expected: str) -> DataError:
    """Return the error about one field of a line of `csv_lines`; place: file and line."""
    where = f"{place}, column {[*given].index(column) + 1} ({column})"
    return DataError(f"{where}: {given[column]!r}, expected {expected}")


def _row(given: dict[str, str], name: str, line: int) -> PublishedScore:
    def refuse(column: str, expected: str) -> DataError:
        return refused(given, column, f"{name}, line {line}", expected)

    for column in NEEDED:
        if not given[column]:
            raise refuse(column, "some text")
    if given["evidence"] not in EVIDENCE:
        raise refuse("evidence", " or ".join(EVIDENCE))
    try:
        value = float(given["value"])
    except ValueError:
        raise refuse("value", "a number in percent") from None
    if not 0 <= value <= 100:
        raise refuse("value", "a number from 0 to 100")
    texts = {column: text for column, text in given.items() if column != "value"}
    return PublishedScore(**texts, value=value)


@functools.cache
def published_scores() -> tuple[PublishedScore, ...]:
    """Return all published scores that ship with skybench, in the order of their files."""
    folder = importlib.resources.files("skybench.reported_csv")
    scores = (f for f in folder.iterdir() if f.name.endswith(".csv") and f.name != CONDITIONS)
    files = sorted(scores, key=lambda f: f.name)
    return tuple(
        row for f in files for row in parse_published(f.read_text(encoding="utf-8"), f.name)
    )


def conflicting_scores(
    rows: Iterable[PublishedScore],
) -> Iterator[tuple[str, PaperCell, list[PublishedScore]]]:
    """Yield (model, cell, rows) where sources disagree about the score of one cell.

    What another run made is no disagreement: see ANOTHER_RUN.
    """
    cells: dict[tuple[str, PaperCell], list[PublishedScore]] = {}
    for row in rows:
        if row.note.startswith(ANOTHER_RUN):
            continue
        cells.setdefault((row.model, row.place), []).append(row)
    for (model, place), found in cells.items():
        if len({row.value for row in found}) > 1:
            yield model, place, found
