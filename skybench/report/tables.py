"""Records -> tables. Reads records only, never models or data."""

from __future__ import annotations

import contextlib
import csv
import io
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skybench.analysis import comparable
from skybench.core import Record, SkybenchError, registry
from skybench.records.labels import DEMO, FIXED, NAMES, footnotes, marks, settings, weights_of

if TYPE_CHECKING:
    import pandas as pd

TESTED = "not significantly below it (paired tests over test images, Holm, 5 %)"
OVERLAPPED = "whose interval overlaps with its (where no paired test was made)"
NO_FLOOR = (
    "No floor stands beside: what needs no such model reaches is not known (run one; `skybench "
    "list models` names them)."
)
FORMATS = ("text", "md", "latex", "csv", "json")


@dataclass(frozen=True)
class Grid:
    """One table: models down, datasets across."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]
    best: frozenset[tuple[int, int]] = frozenset()  # (row, column)
    second: frozenset[tuple[int, int]] = frozenset()

    def shown(self, best: str, second: str) -> list[list[str]]:
        """The rows with the best and second cells in these patterns, "{}" being the text."""
        return [
            [
                best.replace("{}", cell) if (i, j) in self.best
                else second.replace("{}", cell) if (i, j) in self.second else cell
                for j, cell in enumerate(row)
            ]
            for i, row in enumerate(self.rows)
        ]  # fmt: skip


def long(records: Sequence[Record]) -> list[dict[str, Any]]:
    """One plain row a record, for CSV and pandas; scores in percent, None where nothing is."""
    rows = []
    for r in records:
        metric, score = r.main or (None, None)
        low, high = r.intervals.get(metric or "", (None, None))
        rows.append({
            "task": r.task, "dataset": r.dataset, "label": r.recipe.get("label", ""),
            "protocol": r.recipe["protocol"], "model": r.model,
            "variant": r.used.get("variant", ""), "weights": weights_of(r), "data": r.data,
            "sensors": r.sensors, "settings": settings(r), "metric": metric, "score": score,
            "spread": r.spread.get(metric or ""), "low": low, "high": high,
            "seeds": len(r.seeds), "status": r.status, "flags": "; ".join(r.flags),
            "note": r.note, "fingerprint": r.fingerprint[:8],
        })  # fmt: skip
    return rows


def frame(records: Sequence[Record]) -> pd.DataFrame:
    """The rows of `long` as a pandas DataFrame."""
    import pandas as pd

    return pd.DataFrame(long(records))


def _cell(record: Record) -> str:
    """The score with its interval, the spread over seeds, the sensors if a few, and marks."""
    if record.main is None:
        return record.status if record.status in ("failed", "predicted") else "-"
    metric, score = record.main
    text = f"{score:.2f}"
    if len(record.seeds) > 1:
        text += f" ± {record.spread[metric]:.2f}"
    if metric in record.intervals:
        low, high = record.intervals[metric]
        text += f" [{low:.1f}, {high:.1f}]"
    if len(record.used.get("offered", ())) > 1 and not record.recipe.get("sensors"):
        text += " " + "+".join(record.used["sensors"])
    return text + marks(record.flags)


def _column(record: Record) -> str:
    name = f"{record.dataset} {record.recipe.get('label', '')}".strip()
    return f"{name} {NAMES.get(record.main[0], record.main[0])}" if record.main else name


def _notes(
    chosen: Sequence[Record], hidden: int, leads: Sequence[comparable.Lead]
) -> tuple[str, ...]:
    notes = footnotes(f for r in chosen for f in r.flags)
    reasons = {f"{r.model} on {r.dataset}: {r.note}" for r in chosen if r.main is None}
    notes += [f"- {reason.rstrip('.')}." for reason in sorted(reasons)]
    if any(r.intervals for r in chosen):
        notes.append("In percent; [low, high] is a 95 % bootstrap interval over test images.")
    ties = [TESTED] * any(lead.tested for lead in leads)
    ties += [OVERLAPPED] * any(lead.overlapped for lead in leads)
    if ties:
        tied = ", or ".join(ties)
        notes.append(f"Marked as best: the highest of comparable rows, and those {tied}.")
    if any(r.main for r in chosen) and not any(r.main and _is_floor(r.model) for r in chosen):
        notes.append(NO_FLOOR)
    if hidden:
        notes.append(f"{hidden} older record(s) of the same cells are not shown.")
    return tuple(notes)


def _is_floor(model: str) -> bool:
    with contextlib.suppress(SkybenchError):  # a plugin that is gone
        return bool(registry.load("baselines", model).CARD.row == "floor")
    return False


def grids(records: Sequence[Record], results: Path | None = None) -> list[Grid]:
    """One table for each data kind, task and protocol; real results come before demo ones.

    Of several records of the same cell the newest is shown. results: where their predictions are
    kept, by which ties with the best are told (see `peers.leaders`).
    """
    groups: dict[tuple[bool, str, str], list[Record]] = {}
    for r in sorted(records, key=lambda r: r.made):
        groups.setdefault((r.data == "demo", r.task, r.recipe["protocol"]), []).append(r)
    return [
        _grid(f"{task}, {protocol}" + (f" - {DEMO}" if demo else ""), mine, results)
        for (demo, task, protocol), mine in sorted(groups.items())
    ]


def _grid(title: str, mine: Sequence[Record], results: Path | None) -> Grid:
    """The table of some records, the oldest first."""
    names: dict[tuple[str, str], str] = {}  # (dataset, label) -> column, with its metric
    cells: dict[tuple[str, ...], dict[tuple[str, str], Record]] = {}
    for r in mine:
        column = (r.dataset, r.recipe.get("label", ""))
        if r.main or column not in names:
            names[column] = _column(r)
        key = (r.model, str(r.used.get("variant", "")), weights_of(r), r.data, settings(r))
        cells.setdefault(key, {})[column] = r
    columns, lines = sorted(names), sorted(cells.items())
    rows = tuple(
        (*key, *(_cell(row[c]) if c in row else "" for c in columns)) for key, row in lines
    )
    leads = [
        comparable.leaders({i: row[c] for i, (_, row) in enumerate(lines) if c in row}, results)
        for c in columns
    ]
    best, second = (
        frozenset((i, j) for j, marked in enumerate(each, len(FIXED)) for i in marked)
        for each in ([lead.best for lead in leads], [lead.second for lead in leads])
    )
    shown = [r for row in cells.values() for r in row.values()]
    notes = _notes(shown, len(mine) - len(shown), leads)
    header = (*FIXED, *(names[c] for c in columns))
    return _narrow(Grid(title, header, rows, notes, best, second))


def _narrow(grid: Grid) -> Grid:
    """Without the settings column where no row has any."""
    if any(row[4] for row in grid.rows):
        return grid
    header, *rows = ((*row[:4], *row[5:]) for row in (grid.header, *grid.rows))
    best, second = (frozenset((i, j - 1) for i, j in each) for each in (grid.best, grid.second))
    return replace(grid, header=header, rows=tuple(rows), best=best, second=second)


def to_text(grid: Grid) -> str:
    """Plain columns, for a terminal; the best cells have a star."""
    table = [list(grid.header), *grid.shown("{}*", "{}")]
    widths = [max(len(row[i]) for row in table) for i in range(len(grid.header))]
    lines = ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in table]
    lines.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join([grid.title, "", *(line.rstrip() for line in lines), "", *grid.notes])


def to_markdown(grid: Grid) -> str:
    """A GitHub table."""

    def row(cells: Sequence[str]) -> str:
        return "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"

    rows = grid.shown("**{}**", "<u>{}</u>")
    rule = "|" + "|".join(" --- " for _ in grid.header) + "|"
    notes = [f"{note}  " for note in grid.notes]
    return "\n".join([f"**{grid.title}**", "", row(grid.header), rule, *map(row, rows), "", *notes])


def to_latex(grid: Grid) -> str:
    """A table environment, not wider than the text; it says which packages it needs."""
    special = {c: f"\\{c}" for c in "&%$#_{}"} | {"~": "\\textasciitilde{}", "±": "$\\pm$"}
    special |= {c: f"${c}$" for c in "<>|"}
    special |= {"\\": "\\textbackslash{}", "^": "\\textasciicircum{}"}

    def safe(text: str) -> str:
        return "".join(special.get(c, c) for c in text)

    def row(cells: Sequence[str]) -> str:
        return " & ".join(cells) + r" \\"

    escaped = replace(grid, rows=tuple(tuple(map(safe, r)) for r in grid.rows))
    rows = escaped.shown(r"\textbf{{}}", r"\underline{{}}")
    heads = [rf"\shortstack[l]{{{safe(c)}}}".replace(" ", r"\\") for c in grid.header]
    lines = [
        r"% \usepackage{booktabs,graphicx}",
        r"\begin{table}", r"\centering", rf"\caption{{{safe(grid.title)}}}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{'l' * len(grid.header)}}}", r"\toprule",
        row(heads), r"\midrule",
        *map(row, rows), r"\bottomrule", r"\end{tabular}}",
        *(rf"\par\footnotesize {safe(note)}" for note in grid.notes), r"\end{table}",
    ]  # fmt: skip
    return "\n".join(lines)


def to_csv(records: Sequence[Record]) -> str:
    """One row a record, with the columns of `long`."""
    return csv_of(long(records))


def csv_of(rows: Sequence[Mapping[str, Any]]) -> str:
    """Rows of the same columns as CSV, without a line end at the end."""
    if not rows:
        return ""
    out = io.StringIO()
    writer = csv.DictWriter(out, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue().rstrip("\n")


def to_json(records: Sequence[Record]) -> str:
    """A list of whole records."""
    return json.dumps([asdict(r) for r in records], indent=1)


WRITERS: dict[str, Callable[[Grid], str]] = {
    "text": to_text, "md": to_markdown, "latex": to_latex,
}  # fmt: skip


def render(records: Sequence[Record], form: str, results: Path | None = None) -> str:
    """Records in one of FORMATS; a table that has nothing to show says so. See `grids`."""
    if form in ("csv", "json"):
        return {"csv": to_csv, "json": to_json}[form](records)
    return "\n\n".join(WRITERS[form](grid) for grid in grids(records, results)) or "No records."
