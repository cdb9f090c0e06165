"""Tables of records as text, Markdown, LaTeX, CSV or JSON. Reads no model and no data."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from skybench.analysis import comparable
from skybench.analysis.remembered_tests import RememberedTests
from skybench.analysis.score_text import interval_text, score_heading, score_text, spread_over_seeds
from skybench.core import Record, SkybenchError, registry
from skybench.core.score import PERCENT
from skybench.plan.former_recipes import with_recipes
from skybench.records.identity import place_label, with_identity
from skybench.records.labels import (
    DEMO,
    FIXED,
    RED,
    flag_marks,
    footnotes,
    settings_label,
    weights_label,
)
from skybench.report.long_rows import csv_of, long_rows
from skybench.report.versions import mark_versions, version_notes

TESTED = "not significantly worse (paired tests over test images, Holm-Bonferroni, 5 %)"
OVERLAPPED = "with an overlapping interval (where no paired test could be made)"
NO_FLOOR = (
    "No floor is shown, so what a trivial model reaches is unknown (run one of the floors that "
    "`skybench list models` names)."
)
PAINT = "\x1b[31m{}\x1b[0m"  # red on a terminal
FORMATS = ("text", "md", "latex", "csv", "json")


@dataclass(frozen=True)
class Grid:
    """One table: a row for each model, a column for each dataset."""

    title: str
    header: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]
    best: frozenset[tuple[int, int]] = frozenset()  # (row, column)
    second: frozenset[tuple[int, int]] = frozenset()
    red: frozenset[tuple[int, int]] = frozenset()  # of records with the flag labels.RED

    def shown(self, best: str, second: str, red: str = "{}") -> list[list[str]]:
        """Put the best, second and red cells into these patterns, in which "{}" is the text."""
        rows = [list(row) for row in self.rows]
        for places, pattern in ((self.red, red), (self.second, second), (self.best, best)):
            for i, j in places:  # the later pattern counts
                rows[i][j] = pattern.replace("{}", self.rows[i][j])
        return rows


def _cell(record: Record) -> str:
    """The score with its interval, deviation over seeds, sensors if some are unused, and marks."""
    if record.main is None:
        return record.status if record.status in ("failed", "predicted") else "-"
    metric, score = record.main
    info = record.score_info(metric)
    text = score_text(score, info)
    if spread := spread_over_seeds(record, metric):
        text += f" ± {score_text(spread, info)}"
    if metric in record.intervals:
        low, high = record.intervals[metric]
        text += f" {interval_text(low, high, info)}"
    if len(record.used.get("offered", ())) > 1 and not record.recipe.get("sensors"):
        text += f" {record.sensors}"
    return text + flag_marks(record.flags)


def _column(record: Record) -> str:
    name = f"{record.dataset} {place_label(record)}".strip()
    if record.main is None:
        return name
    return f"{name} {score_heading(record.main[0], record.score_info(record.main[0]))}"


def _notes(
    chosen: Sequence[Record],
    hidden: int,
    leads: Sequence[comparable.Leaders],
    unmarked: Sequence[str],
) -> tuple[str, ...]:
    """The footnotes; unmarked: the rows that are never marked as best, each with its reason."""
    notes = footnotes(f for r in chosen for f in r.flags)
    reasons = {f"{r.model} on {r.dataset}: {r.note}" for r in chosen if r.main is None}
    notes += [f"- {reason.rstrip('.')}." for reason in sorted(reasons)]
    if any(r.intervals for r in chosen):
        notes.append(f"{_units(chosen)}[low, high] is a 95 % interval over test images.")
    few = {f"{r.dataset}: {r.used['no_interval']}" for r in chosen if "no_interval" in r.used}
    notes += [f"{reason}." for reason in sorted(few)]
    ties = [TESTED] * any(lead.tested for lead in leads)
    ties += [OVERLAPPED] * any(lead.overlapped for lead in leads)
    if ties:
        tied = ", or ".join(ties)
        notes.append(f"Marked as best: the best of comparable rows, and rows {tied}.")
    if unmarked and len(chosen) > 1:
        notes.append(f"Never marked as best: {', '.join(unmarked)}.")
    models = {r.model for r in chosen if r.main}
    if models and not any(map(_is_floor, models)):
        notes.append(NO_FLOOR)
    notes += version_notes(chosen)
    if hidden:
        notes.append(f"{hidden} older record(s) of the same cells are not shown.")
    return tuple(notes)


def _units(chosen: Sequence[Record]) -> str:
    """The beginning of the footnote: which scores are percentages."""
    scores = [(r, name) for r in chosen if r.main for name in [r.main[0]]]
    percent = {r.score_info(name).unit == PERCENT for r, name in scores}
    if percent == {True}:
        return "In percent; "
    return "In percent where no unit is given; " if True in percent else ""


def _is_floor(model: str) -> bool:
    with contextlib.suppress(SkybenchError):  # a plugin that is gone
        return bool(registry.model(model).CARD.group == "floor")
    return False


def record_grids(records: Sequence[Record], results: Path | None = None) -> list[Grid]:
    """Make a table for each kind of data, task and protocol; real data come before demo data.

    Of several records of the same cell the newest is shown. results: the folder of their
    predictions, for paired tests with the best (see `comparable.leaders`).
    """
    groups: dict[tuple[bool, str, str], list[Record]] = {}
    for r in sorted(with_recipes(with_identity(records)), key=lambda r: r.made):
        groups.setdefault((r.data == "demo", r.task, r.recipe["protocol"]), []).append(r)
    with RememberedTests(results) if results else contextlib.nullcontext() as tests:
        return [
            _grid(f"{task}, {protocol}" + (f" - {DEMO}" if demo else ""), mine, tests)
            for (demo, task, protocol), mine in sorted(groups.items())
        ]


def _grid(title: str, mine: Sequence[Record], tests: RememberedTests | None) -> Grid:
    """The table of some records, the oldest first."""
    named: dict[tuple[str, ...], Record] = {}  # (dataset, label) -> the record that names it
    cells: dict[tuple[str, ...], dict[tuple[str, ...], Record]] = {}
    settings: dict[tuple[int, int], str] = {}  # by recipe and `used`, which many records share
    for r in mine:
        column = (r.dataset, place_label(r))
        if r.scores or column not in named:
            named[column] = r
        own = (id(r.recipe), id(r.used))
        if own not in settings:
            settings[own] = settings_label(r)
        key = (r.model, str(r.used.get("variant", "")), weights_label(r), r.data, settings[own])
        cells.setdefault(key, {})[column] = r
    names = {column: _column(r) for column, r in named.items()}  # with its metric
    columns, lines = sorted(names), sorted(mark_versions(cells).items())
    rows = tuple(
        (*key, *(_cell(row[c]) if c in row else "" for c in columns)) for key, row in lines
    )
    leads = [
        comparable.leaders({i: row[c] for i, (_, row) in enumerate(lines) if c in row}, tests)
        for c in columns
    ]
    best, second = (
        frozenset((i, j) for j, marked in enumerate(each, len(FIXED)) for i in marked)
        for each in ([lead.best for lead in leads], [lead.second for lead in leads])
    )
    red = frozenset(
        (i, j)
        for i, (_, row) in enumerate(lines)
        for j, c in enumerate(columns, len(FIXED))
        if c in row and RED in row[c].flags
    )
    shown = [r for _, row in lines for r in row.values()]
    left = {f"{rows[i][0]} ({why})" for lead in leads for i, why in lead.unmarked.items()}
    notes = _notes(shown, len(mine) - len(shown), leads, sorted(left))
    header = (*FIXED, *(names[c] for c in columns))
    return _narrow(Grid(title, header, rows, notes, best, second, red))


def _narrow(grid: Grid) -> Grid:
    """The grid without the column of settings where it is empty."""
    if any(row[4] for row in grid.rows):
        return grid
    header, *rows = ((*row[:4], *row[5:]) for row in (grid.header, *grid.rows))
    best, second, red = (
        frozenset((i, j - 1) for i, j in each) for each in (grid.best, grid.second, grid.red)
    )
    return replace(grid, header=header, rows=tuple(rows), best=best, second=second, red=red)


def to_text(grid: Grid, colour: bool = False) -> str:
    """Write columns for a terminal, the best cells with a star, red ones with `colour` only."""
    table = [list(grid.header), *grid.shown("{}*", "{}")]
    widths = [max(len(row[i]) for row in table) for i in range(len(grid.header))]
    painted = grid.shown("{}*", "{}", PAINT if colour else "{}")
    lines = [
        "  ".join([p + " " * (w - len(c)) for c, p, w in zip(row, shown, widths, strict=True)])
        for row, shown in zip(table, [table[0], *painted], strict=True)
    ]
    lines.insert(1, "  ".join("-" * w for w in widths))
    return "\n".join([grid.title, "", *(line.rstrip() for line in lines), "", *grid.notes])


def to_markdown(grid: Grid) -> str:
    """Write a Markdown table of GitHub's kind, which shows no colour but the text of red cells."""

    def row(cells: Sequence[str]) -> str:
        return "| " + " | ".join(c.replace("|", "\\|") for c in cells) + " |"

    rows = grid.shown("**{}**", "<u>{}</u>", '<span style="color:red">{}</span>')
    rule = "|" + "|".join(" --- " for _ in grid.header) + "|"
    notes = [f"{note}  " for note in grid.notes]
    return "\n".join([f"**{grid.title}**", "", row(grid.header), rule, *map(row, rows), "", *notes])


def to_latex(grid: Grid) -> str:
    """Write a LaTeX table no wider than the text; a comment names the packages it needs."""
    special = {c: f"\\{c}" for c in "&%$#_{}"} | {"~": "\\textasciitilde{}", "±": "$\\pm$"}
    special |= {"↓": "$\\downarrow$", "→": "$\\to$"}
    special |= {c: f"${c}$" for c in "<>|"}
    special |= {"\\": "\\textbackslash{}", "^": "\\textasciicircum{}"}

    def safe(text: str) -> str:
        return "".join(special.get(c, c) for c in text)

    def row(cells: Sequence[str]) -> str:
        return " & ".join(cells) + r" \\"

    escaped = replace(grid, rows=tuple(tuple(map(safe, r)) for r in grid.rows))
    rows = escaped.shown(r"\textbf{{}}", r"\underline{{}}", r"\textcolor{red}{{}}")
    heads = [rf"\shortstack[l]{{{safe(c)}}}".replace(" ", r"\\") for c in grid.header]
    lines = [
        rf"% \usepackage{{booktabs,graphicx{',xcolor' if grid.red else ''}}}",
        r"\begin{table}", r"\centering", rf"\caption{{{safe(grid.title)}}}",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"\begin{{tabular}}{{{'l' * len(grid.header)}}}", r"\toprule",
        row(heads), r"\midrule",
        *map(row, rows), r"\bottomrule", r"\end{tabular}}",
        *(rf"\par\footnotesize {safe(note)}" for note in grid.notes), r"\end{table}",
    ]  # fmt: skip
    return "\n".join(lines)


def to_csv(records: Sequence[Record]) -> str:
    """Write one row for each record, with the columns of `long_rows`."""
    return csv_of(long_rows(records))


def to_json(records: Sequence[Record]) -> str:
    """Write all fields of the records as a JSON list."""
    return json.dumps([asdict(r) for r in records], indent=1)


WRITERS: dict[str, Callable[[Grid], str]] = {
    "text": to_text, "md": to_markdown, "latex": to_latex,
}  # fmt: skip


def render_tables(records: Sequence[Record], form: str, results: Path | None = None) -> str:
    """Write records in one of FORMATS; without records, say so. See `record_grids`."""
    if form in ("csv", "json"):
        return {"csv": to_csv, "json": to_json}[form](records)
    return (
        "\n\n".join(WRITERS[form](grid) for grid in record_grids(records, results)) or "No records."
    )
