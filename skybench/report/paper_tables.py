"""The tables of the SkySense paper: reported scores, and measured ones under their protocol.

Rows say which they are; what may stand where is decided in `paper_scores`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from skybench.core import Record, registry
from skybench.plan.former_recipes import with_recipes
from skybench.records import conditions, published
from skybench.records.labels import RED, flag_marks, footnotes
from skybench.records.published import PaperCell
from skybench.report.claims import PAPER
from skybench.report.long_rows import csv_of
from skybench.report.paper_scores import (
    left_out,
    measured_scores,
    other_recipe,
    paper_place,
    reported_rows,
    why_apart,
)
from skybench.report.tables import WRITERS, Grid

TITLES = {
    "Table 2": "SkySense, Table 2: semantic segmentation",
    "Table 3": "SkySense, Table 3: horizontal and oriented detection",
    "Table 4": "SkySense, Table 4: change detection",
    "Table 5": "SkySense, Table 5: scene classification",
    "Table 6/7": "SkySense, Tables 6 and 7: several sensors and dates",
}


def paper_cells(records: Iterable[Record]) -> Iterator[dict[str, Any]]:
    """Yield all cells as plain JSON: the reported ones, then the newest measured of each model."""
    for r in reported_rows():
        place = paper_place(r)
        yield {
            "table": r.table, "kind": "reported", "model": r.model, **place._asdict(),
            "value": r.value, "evidence": r.evidence, "source": r.source, "fingerprint": "",
            "recipe": "", "conditions": conditions.conditions_text(r.model, place),
        }  # fmt: skip
    for (table, place, model), (value, record) in measured_scores(records).items():
        other = other_recipe(record)
        yield {
            "table": table, "kind": "measured", "model": model, **place._asdict(),
            "value": value, "evidence": "", "source": "skybench",
            "fingerprint": record.fingerprint, "recipe": other.name if other else "",
            "conditions": "",
        }  # fmt: skip


def paper_grids(records: Sequence[Record]) -> list[Grid]:
    """Make the paper's tables, with measured rows beside the reported ones."""
    known = with_recipes(records)
    flags = {r.fingerprint: r.flags for r in known}
    every = [{**c, "flags": flags.get(c["fingerprint"], ())} for c in paper_cells(known)]
    grids = [_grid(title, [c for c in every if c["table"] == t]) for t, title in TITLES.items()]
    left = left_out(known)
    return [
        replace(grid, notes=(*grid.notes, *dict.fromkeys(left.get(table, ()))))
        for table, grid in zip(TITLES, grids, strict=True)
    ]


def _grid(title: str, found: Sequence[Mapping[str, Any]]) -> Grid:
    places = list(dict.fromkeys(_place(c) for c in found))
    lines: dict[tuple[str, str], dict[PaperCell, Mapping[str, Any]]] = {}
    for c in found:
        lines.setdefault((c["model"], c["kind"]), {})[_place(c)] = c
    order = list(dict.fromkeys(model for model, _ in lines))
    order.sort(key=lambda m: m == "skysense")  # the paper's own row is its last
    keys = sorted(lines, key=lambda k: (order.index(k[0]), k[1] == "measured"))
    disputed = _disputed()
    body = tuple(
        (_title(m), kind, *(_text(lines[m, kind].get(p), disputed) for p in places))
        for m, kind in keys
    )
    ranks: dict[int, set[tuple[int, int]]] = {1: set(), 2: set()}
    for column, place in enumerate(places, 2):
        for kind in ("reported", "measured"):
            values = {i: lines[k][place]["value"] for i, k in enumerate(keys)
                      if k[1] == kind and place in lines[k]
                      and RED not in lines[k][place]["flags"]}  # fmt: skip
            ordered = sorted(set(values.values()), reverse=True) if len(values) > 1 else []
            for rank, value in enumerate(ordered[:2], 1):
                ranks[rank] |= {(i, column) for i, v in values.items() if v == value}
    header = ("model", "kind", *map(_column, places))
    red = frozenset(
        (i, column) for i, k in enumerate(keys) for column, place in enumerate(places, 2)
        if place in lines[k] and RED in lines[k][place]["flags"]
    )  # fmt: skip
    notes = _notes(found, places, disputed)
    return Grid(title, header, body, notes, frozenset(ranks[1]), frozenset(ranks[2]), red)


def _place(cell: Mapping[str, Any]) -> PaperCell:
    return PaperCell(*(cell[name] for name in PaperCell._fields))


def _title(model: str) -> str:
    known = model in registry.names("baselines")
    title = registry.model(model).CARD.title if known else model
    return title.partition(" (")[0]


def _column(place: PaperCell) -> str:
    split = "" if place.split in ("test", "full", "trainval/test") else place.split
    sensors = place.modalities if place.task.startswith("multimodal") else ""
    return " ".join(filter(None, (place.dataset, split, sensors, place.column, place.metric)))


def _disputed() -> dict[tuple[str, PaperCell], list[float]]:
    """The values of cells for which sources disagree."""
    found = published.conflicting_scores(published.published_scores())
    return {(model, place): sorted({r.value for r in rows}) for model, place, rows in found}


def _text(
    cell: Mapping[str, Any] | None, disputed: Mapping[tuple[str, PaperCell], Sequence[float]]
) -> str:
    if cell is None:
        return ""
    doubts = "?" if cell["evidence"] == "unverified" else ""
    if cell["kind"] == "reported":
        printed = (cell["model"], _place(cell)._replace(column=""))
        doubts += "!" if printed in disputed else ""
        doubts += "#" if any(c.model for c in conditions.conditions_of(*printed)) else ""
    return f"{cell['value']:.2f}" + (f" ({doubts})" if doubts else "") + flag_marks(cell["flags"])


def _notes(
    found: Sequence[Mapping[str, Any]],
    places: Sequence[PaperCell],
    disputed: Mapping[tuple[str, PaperCell], Sequence[float]],
) -> tuple[str, ...]:
    notes = [f"Rows marked reported are copied from {PAPER}; skybench did not measure them."]
    if any(c["evidence"] == "unverified" for c in found):
        notes.append("(?) found in one source only.")
    reported = [c for c in found if c["kind"] == "reported"]
    for c in reported:
        values = disputed.get((c["model"], _place(c)._replace(column="")), ())
        if values:
            shown = " and ".join(f"{v:.2f}" for v in values)
            notes.append(f"(!) {_title(c['model'])}, {_column(_place(c))}: sources say {shown}.")
    notes += _condition_notes(reported)
    notes += footnotes(f for c in found for f in c["flags"])
    notes += [
        f"Measured with the recipe {c['recipe']}: {_title(c['model'])}, {_column(_place(c))}."
        for c in found if c["recipe"]
    ]  # fmt: skip
    for reason in dict.fromkeys(filter(None, map(why_apart, places))):
        named = ", ".join(_column(p) for p in places if why_apart(p) == reason)
        notes.append(f"{named}: {reason}.")
    if not any(c["kind"] == "measured" for c in found):
        notes.append("No measured row: it would need the real data, a published checkpoint and")
        notes[-1] += " `--protocol finetune` under the unchanged recipe."
    return tuple(notes)


def _condition_notes(reported: Sequence[Mapping[str, Any]]) -> list[str]:
    """What is known of how rows were made: of some models, or of all rows of a data set."""
    rows = [(c["model"], _place(c)) for c in reported]
    return [
        f"(#) {', '.join(map(_title, models))} on {sentence}" if models else sentence
        for sentence, models in conditions.condition_notes(rows)
    ]


def render_paper_tables(records: Sequence[Record], form: str) -> str:
    """Write the paper's tables in one of `tables.FORMATS`."""
    if form == "json":
        return json.dumps(list(paper_cells(records)), indent=1)
    if form == "csv":
        return csv_of(list(paper_cells(records)))
    return "\n\n".join(WRITERS[form](grid) for grid in paper_grids(records))
