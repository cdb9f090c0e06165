"""Conditions under which published scores were made, where a source shows that they differ."""

from __future__ import annotations

import dataclasses
import functools
import importlib.resources
from collections.abc import Sequence
from dataclasses import dataclass

from skybench.core import DataError
from skybench.records.published import CONDITIONS, PaperCell, csv_lines, refused

ASPECTS = (
    "state", "split", "bands", "encoder", "edition", "classes", "metric", "views", "noise",
)  # fmt: skip
ON_TEST = "best-on-test"  # value of the aspect "state": the scored images chose the epoch
FROZEN = "frozen encoder"  # the column of scores whose backbone did not learn


@dataclass(frozen=True)
class Condition:
    """What is known of how published scores were made; the fields are the columns of the file.

    It holds for the rows of `model`, for all of them where that is "", on one data set under one
    task; likewise for `split` and `metric`.
    """

    model: str
    dataset: str
    task: str
    split: str  # as printed, see `PaperCell`
    metric: str
    aspect: str  # of ASPECTS
    value: str  # a word for programs, as ON_TEST, or ""
    column: str  # the label of the column in which such rows stand apart; "": they do not
    note: str  # a sentence without its full stop
    seen_at: str  # repository@commit and file:line

    def holds(self, model: str, place: PaperCell) -> bool:
        """Whether it is known of a model's score in a cell of the literature."""
        return (
            self.model in ("", model)
            and (self.dataset, self.task) == (place.dataset, place.task)
            and self.split in ("", place.split)
            and self.metric in ("", place.metric)
        )


COLUMNS = tuple(f.name for f in dataclasses.fields(Condition))


def parse_conditions(text: str, name: str) -> tuple[Condition, ...]:
    """Parse the CSV file. Raises DataError with the line and column of the first mistake."""
    found: dict[tuple[str, ...], Condition] = {}
    for line, given in csv_lines(text, name, COLUMNS):
        place = f"{name}, line {line}"
        for column in ("dataset", "task", "note", "seen_at"):
            if not given[column]:
                raise refused(given, column, place, "some text")
        if given["aspect"] not in ASPECTS:
            raise refused(given, "aspect", place, f"one of {', '.join(ASPECTS)}")
        key = tuple(given[c] for c in ("model", "dataset", "task", "split", "metric", "aspect"))
        if key in found:
            raise DataError(f"{place}: the same scores and aspect are in an earlier line already")
        found[key] = Condition(**given)
    return tuple(found.values())


@functools.cache
def published_conditions() -> tuple[Condition, ...]:
    """Return all conditions that ship with skybench, in the order of their file."""
    file = importlib.resources.files("skybench.reported_csv") / CONDITIONS
    return parse_conditions(file.read_text(encoding="utf-8"), CONDITIONS)


@functools.cache
def conditions_of(model: str, place: PaperCell) -> tuple[Condition, ...]:
    """Return what is known of a model's published score in a cell."""
    return tuple(c for c in published_conditions() if c.holds(model, place))


def conditions_text(model: str, place: PaperCell) -> str:
    """Return what is known of how a published score was made, as text."""
    return "; ".join(f"{c.aspect}: {c.note}" for c in conditions_of(model, place))


@functools.cache
def with_column(model: str, place: PaperCell) -> PaperCell:
    """Return the cell of a model's score, in the column of the rows that were made as it was."""
    labels = (c.column for c in conditions_of(model, place) if c.column)
    return place._replace(column=next(labels, ""))


def chosen_on_test(model: str, place: PaperCell) -> bool:
    """Whether the source of a model's published score let the scored images choose its epoch."""
    return any(c.value == ON_TEST and c.model == model for c in conditions_of(model, place))


def condition_notes(rows: Sequence[tuple[str, PaperCell]]) -> list[tuple[str, list[str]]]:
    """Return a sentence for each condition of some scores, with the models that it is about.

    rows: model and cell of each score. Without models a sentence is about all rows of its data
    sets, which it names.
    """
    found: dict[tuple[str, str], tuple[dict[str, None], dict[str, None]]] = {}
    for model, place in rows:
        for c in conditions_of(model, place):
            models, datasets = found.setdefault((c.aspect, c.note), ({}, {}))
            models.update({model: None} if c.model else {})
            datasets[place.dataset] = None
    return [
        (f"{', '.join(datasets)}, {aspect}: {note}.", [*models])
        for (aspect, note), (models, datasets) in found.items()
    ]
