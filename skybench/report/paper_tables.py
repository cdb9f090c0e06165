"""The tables of the SkySense paper: reported scores, and measured ones under their protocol.

Rows say which they are. A measured score stands here only when it was fine-tuned under an unchanged
recipe, on the real data, with published weights; any other is in `skybench table`.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from skybench.core import FAULTS, Record, registry
from skybench.core.score import PERCENT
from skybench.plan.protocols import protocol_of_record
from skybench.records import published
from skybench.records.identity import content_key, place_label
from skybench.records.labels import flag_marks, footnotes
from skybench.records.published import PaperCell, PublishedScore
from skybench.report.claims import PAPER
from skybench.report.tables import WRITERS, Grid, csv_of

TITLES = {
    "Table 2": "SkySense, Table 2: semantic segmentation",
    "Table 3": "SkySense, Table 3: horizontal and oriented detection",
    "Table 4": "SkySense, Table 4: change detection",
    "Table 5": "SkySense, Table 5: scene classification",
    "Table 6/7": "SkySense, Tables 6 and 7: several sensors and dates",
}
# Flags of a record that forbid to set it beside a published score.
BARRED = frozenset(
    ("random weights", "tiny variant", "limited", "override", "own split", *FAULTS)
) - {"far from the paper", "chance", "seen in pre-training"}
METRICS = {
    "OA": "oa", "mIoU": "miou", "mF1": "mf1", "F1": "f1", "SCS": "SCS", "mAP50": "ap50",
    "top-1": "oa", "top-5": "top5",
}  # fmt: skip
AVERAGE = {"oriented_detection": "ap50_voc07"}  # what "mAP" is there; else micro mAP of labels
SENSORS = {"RGB": "hr", "Planet": "hr", "S2": "s2", "S1": "s1"}
UNSETTLED = "which of a pair is val and which is test is not settled, so nothing measured is beside"
SERVER = "scored on a server that withholds the labels, so nothing measured here is beside"
SUBSTITUTE = "its 0.3 m images are not public; PASTIS-HD, measured here, is another dataset"


def why_apart(place: PaperCell) -> str:
    """Return why no measured score is comparable with a cell of the paper; "" where one is."""
    if place.split.startswith("pair["):
        return UNSETTLED
    if place.split == "official test server":
        return SERVER
    if place.dataset == "pastis_mm":
        return SUBSTITUTE
    return ""


def paper_score(record: Record, place: PaperCell) -> float | None:
    """Return the record's score for a cell of the paper; None where it is not comparable."""
    if (record.task, record.dataset) != (place.task, place.dataset) or why_apart(place):
        return None
    plain = record.status == "measured" and record.data == "real"
    if not plain or BARRED & set(record.flags):
        return None
    if not protocol_of_record(record).trains_backbone:  # the paper's scores are fine-tuned
        return None
    label = place.split.removeprefix("TR=").replace("%", " %") if "TR=" in place.split else ""
    if record.recipe.get("label", "") != label:
        return None
    if place.modalities:  # OSCD has RGB and all bands of Sentinel-2, others have several sensors
        wanted = {SENSORS.get(m) for m in place.modalities.split("+")}
        if wanted != set(record.used.get("sensors", ())):
            return None
    name = METRICS.get(place.metric, AVERAGE.get(place.task, "map_micro"))
    return record.scores.get(name) if record.score_info(name).unit == PERCENT else None


def _could_stand(record: Record) -> bool:
    """Whether a record may stand beside some cell of the paper."""
    return any(paper_score(record, r.place) is not None for r in reported_rows())


def why_barred(record: Record) -> str:
    """Return why a fine-tuned record of a dataset of the paper is not beside it; "" where it is.

    Also "" for what nobody would expect there: other datasets, simulated data, other protocols.
    """
    places = [r.place for r in reported_rows()
              if (r.task, r.dataset) == (record.task, record.dataset)]  # fmt: skip
    expected = record.main and record.data == "real" and places
    if not expected or not protocol_of_record(record).trains_backbone or _could_stand(record):
        return ""
    barred = sorted(BARRED & set(record.flags))
    apart = [*dict.fromkeys(map(why_apart, places))]
    return ", ".join(barred) or (apart[0] if len(apart) == 1 else "") or "no column of its kind"


def _left_out(records: Sequence[Record]) -> dict[str, list[str]]:
    """For each of the paper's tables, which fine-tuned records are not in it, and why."""
    table = {(r.task, r.dataset): r.table for r in reported_rows()}
    shown = {(r.model, r.task, r.dataset) for _, r in _measured(records).values()}
    left: dict[str, list[str]] = {}
    for r in records:
        why = why_barred(r)
        if _could_stand(r) and (r.model, r.task, r.dataset) not in shown:
            why = "of other images or labels than the newest record"
        if why:
            name = f"{r.dataset} {place_label(r)}".strip()
            left.setdefault(table[r.task, r.dataset], []).append(
                f"Not beside: {r.model} on {name}: {why}."
            )
    return left


def reported_rows() -> tuple[PublishedScore, ...]:
    """Return the published scores of the paper's tables."""
    return tuple(r for r in published.published_scores() if r.source == PAPER and r.table in TITLES)


def paper_cells(records: Iterable[Record]) -> Iterator[dict[str, Any]]:
    """Yield all cells as plain JSON: the reported ones, then the newest measured of each model."""
    for r in reported_rows():
        yield {
            "table": r.table, "kind": "reported", "model": r.model, **r.place._asdict(),
            "value": r.value, "evidence": r.evidence, "source": r.source, "fingerprint": "",
        }  # fmt: skip
    for (table, place, model), (value, record) in _measured(records).items():
        yield {
            "table": table, "kind": "measured", "model": model, **place._asdict(),
            "value": value, "evidence": "", "source": "skybench",
            "fingerprint": record.fingerprint,
        }  # fmt: skip


def _measured(
    records: Iterable[Record],
) -> Mapping[tuple[str, PaperCell, str], tuple[float, Record]]:
    """The newest measured scores; those of one cell are on the images and labels of the newest."""
    ordered = sorted(records, key=lambda r: r.made)
    places = dict.fromkeys((r.table, r.place) for r in reported_rows())
    found: dict[tuple[str, PaperCell, str], tuple[float, Record]] = {}
    for table, place in places:
        own: dict[str, tuple[float, Record]] = {}
        for record in ordered:
            value = paper_score(record, place)
            if value is not None:
                own[record.model] = (value, record)
        contents = {content_key(r): r.made for _, r in own.values()}
        newest = max(contents, key=lambda c: contents[c], default="")
        found |= {(table, place, model): (value, r) for model, (value, r) in own.items()
                  if content_key(r) == newest}  # fmt: skip
    return found


def paper_grids(records: Sequence[Record]) -> list[Grid]:
    """Make the paper's tables, with measured rows beside the reported ones."""
    flags = {r.fingerprint: r.flags for r in records}
    every = [{**c, "flags": flags.get(c["fingerprint"], ())} for c in paper_cells(records)]
    grids = [_grid(title, [c for c in every if c["table"] == t]) for t, title in TITLES.items()]
    left = _left_out(records)
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
                      if k[1] == kind and place in lines[k]}  # fmt: skip
            ordered = sorted(set(values.values()), reverse=True) if len(values) > 1 else []
            for rank, value in enumerate(ordered[:2], 1):
                ranks[rank] |= {(i, column) for i, v in values.items() if v == value}
    header = ("model", "kind", *map(_column, places))
    return Grid(
        title, header, body, _notes(found, places, disputed), *map(frozenset, ranks.values())
    )


def _place(cell: Mapping[str, Any]) -> PaperCell:
    return PaperCell(*(cell[name] for name in PaperCell._fields))


def _title(model: str) -> str:
    known = model in registry.names("baselines")
    title = registry.model(model).CARD.title if known else model
    return title.partition(" (")[0]


def _column(place: PaperCell) -> str:
    split = "" if place.split in ("test", "full", "trainval/test") else place.split
    sensors = place.modalities if place.task.startswith("multimodal") else ""
    return " ".join(filter(None, (place.dataset, split, sensors, place.metric)))


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
    if cell["kind"] == "reported" and (cell["model"], _place(cell)) in disputed:
        doubts += "!"
    return f"{cell['value']:.2f}" + (f" ({doubts})" if doubts else "") + flag_marks(cell["flags"])


def _notes(
    found: Sequence[Mapping[str, Any]],
    places: Sequence[PaperCell],
    disputed: Mapping[tuple[str, PaperCell], Sequence[float]],
) -> tuple[str, ...]:
    notes = [f"Rows marked reported are copied from {PAPER}; skybench did not measure them."]
    if any(c["evidence"] == "unverified" for c in found):
        notes.append("(?) found in one source only.")
    for c in found:
        values = disputed.get((c["model"], _place(c)), ())
        if c["kind"] == "reported" and values:
            shown = " and ".join(f"{v:.2f}" for v in values)
            notes.append(f"(!) {_title(c['model'])}, {_column(_place(c))}: sources say {shown}.")
    notes += footnotes(f for c in found for f in c["flags"])
    for reason in dict.fromkeys(filter(None, map(why_apart, places))):
        named = ", ".join(_column(p) for p in places if why_apart(p) == reason)
        notes.append(f"{named}: {reason}.")
    if not any(c["kind"] == "measured" for c in found):
        notes.append("No measured row: it would need the real data, a published checkpoint and")
        notes[-1] += " `--protocol finetune` under the unchanged recipe."
    return tuple(notes)


def render_paper_tables(records: Sequence[Record], form: str) -> str:
    """Write the paper's tables in one of `tables.FORMATS`."""
    if form == "json":
        return json.dumps(list(paper_cells(records)), indent=1)
    if form == "csv":
        return csv_of(list(paper_cells(records)))
    return "\n\n".join(WRITERS[form](grid) for grid in paper_grids(records))
