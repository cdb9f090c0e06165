"""Output of the commands that compare records."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from skybench.analysis import paired_tests
from skybench.analysis.score_text import interval_text, score_heading, score_text, unit_text
from skybench.cli.output import say, show_rows
from skybench.cli.terminal import marked, shows_colour, terminal_width
from skybench.core import Record, ScoreInfo, UsageError, folders, registry
from skybench.plan.former_recipes import with_recipes
from skybench.plan.protocols import every_task, protocol_names
from skybench.records import index, labels
from skybench.records.identity import with_identity
from skybench.report import stacked, tables
from skybench.report.json_list import json_list

if TYPE_CHECKING:
    from skybench.analysis.compare import CellComparison
    from skybench.analysis.paired_tests import Difference
    from skybench.analysis.ranks import Ranking

TESTS = {
    paired_tests.EXACT: "mid-p: McNemar's test of the images that one model has right and the "
    "other wrong",
    paired_tests.FLIPPED: "sign flips: the models swapped at random on every image, seeds averaged",
    paired_tests.STUDENT: "t: Student's t over independent test images, of these trained networks",
    paired_tests.SEEDS: "t with seeds: Student's t, with the variance between seeds",
}


def _folder(results: Path | None) -> Path:
    return results or folders.results()


def _read(results: Path | None) -> list[Record]:
    """All records of a folder with their labels, without what no table shows: `index.brief`."""
    return _labelled([*_by_file(results).values()])


def _labelled(records: Sequence[Record]) -> list[Record]:
    return with_recipes(with_identity(records))


def _by_file(results: Path | None) -> dict[str, Record]:
    """The records by the names of their files, as they are stored."""
    found, skipped = index.read_brief(_folder(results))
    for path, reason in skipped:
        say(f"skipped {path}: {reason}")
    return found


def _task(name: str) -> str:
    return registry.resolve("tasks", name) if name else ""


def _protocol(name: str, records: Sequence[Record]) -> str:
    """A protocol of a task or of a record; "" is all."""
    recorded = [str(r.recipe["protocol"]) for r in records]
    known = [*dict.fromkeys([*protocol_names(every_task()), *recorded])]
    if name not in ("", *known):
        raise UsageError(registry.unknown("protocol", name, known))
    return name


def _p(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if value >= 0.001 else f"{max(value, 1e-99):.0e}"


def show_table(results: Path | None, task: str, form: str, paper: bool) -> None:
    """Print the records as tables, or the paper's tables with measured rows beside them."""
    from skybench.report import paper_tables as papers

    if form not in tables.FORMATS:
        raise UsageError(f"No format {form!r}. Known: {', '.join(tables.FORMATS)}.")
    task, folder = _task(task), _folder(results)
    stored = shown = _by_file(results)
    if paper or form in ("csv", "json"):  # the others are labelled with what is shown beside them
        shown = dict(zip(stored, _labelled([*stored.values()]), strict=True))
    shown = {name: r for name, r in shown.items() if task in ("", r.task)}
    if form == "json" and not paper:
        for part in json_list(stored, shown, folder):
            print(part)
        return
    chosen = [*shown.values()]
    if not chosen and form == "text" and not paper:
        say(f"No records in {folder.resolve()}; `skybench run` makes them.")
    if form == "text" and terminal_width():
        grids = papers.paper_grids(chosen) if paper else tables.record_grids(chosen, folder)
        print(stacked.text_tables(grids, terminal_width(), shows_colour()))
    elif paper:
        print(papers.render_paper_tables(chosen, form))
    else:
        print(tables.render_tables(chosen, form, folder))


def show_rescored(results: Path | None, task: str, metric: str, as_json: bool) -> int:
    """Score kept predictions again; return the exit code, 1 where none were kept."""
    from skybench.report import rescore as again

    task = _task(task)
    chosen = [r for r in _read(results) if r.main and task in ("", r.task)]
    rows, missing = again.rescored(chosen, _folder(results), metric)
    for reason in missing or ["No such scores were measured."] * (not chosen):
        say(reason)
    show_rows(rows if as_json else [_score(row) for row in rows], as_json)
    if not as_json:
        _notes(rows)
    return 0 if rows else 1


def _score(row: dict[str, Any]) -> dict[str, Any]:
    return {
        **_place(row), "metric": score_heading(row["metric"], _info(row)),
        "score": marked(score_text(row["score"], _info(row)), row["flags"]),
        "95 %": _interval(row),
        "recorded": "" if row["recorded"] is None else score_text(row["recorded"], _info(row)),
        "images": row["images"], "fingerprint": row["fingerprint"],
    }  # fmt: skip


def _place(row: dict[str, Any]) -> dict[str, Any]:
    """The columns that identify a row: model, task, cell, kind of data."""
    parts = ("dataset", "label", "protocol", "sensors", "settings")
    return {
        "model": "/".join(filter(None, (row[n] for n in ("model", "variant", "weights")))),
        "task": row["task"], "cell": " ".join(filter(None, (row[n] for n in parts))),
        "data": row["data"],
    }  # fmt: skip


def _interval(row: dict[str, Any]) -> str:
    return "" if row["low"] is None else interval_text(row["low"], row["high"], _info(row))


def _info(row: dict[str, Any]) -> ScoreInfo:
    """Direction and unit of a row's score."""
    return ScoreInfo(row["higher_is_better"], row["unit"])


def _notes(rows: Sequence[dict[str, Any]]) -> None:
    """Print the notes below a table: demo data, and the marks."""
    demo = [f"{labels.DEMO}."] if any(row["data"] == "demo" for row in rows) else []
    for line in [*demo, *labels.footnotes(f for row in rows for f in row["flags"])]:
        print(line)


def show_comparison(
    models: tuple[str, str], task: str, protocol: str, results: Path | None, as_json: bool
) -> None:
    """Print the comparison of two models on their common cells."""
    from skybench.analysis import compare as module

    found = _read(results)
    protocol = _protocol(protocol, found)
    made = module.compare_models(found, _folder(results), models, _task(task), protocol)
    if as_json:
        print(json.dumps(made.plain(), indent=1))
        return
    show_rows([_compared(c, made.names) for c in made.cells], as_json=False)
    for test in dict.fromkeys(d.gap.test for d in made.cells if d.gap):
        print(f"{TESTS[test]}.")
    flags = [f for d in made.cells for r in (d.one, d.other) for f in r.flags]
    notes = dict.fromkeys(f"Not tested: {d.note}." for d in made.cells if d.note)
    apart = [f"Not compared: {cell}: {why}." for cell, why in made.apart.items()]
    print("\n".join([*labels.footnotes(flags), *notes, *apart, "", *made.summary()]))


def _signed(gap: Difference, info: ScoreInfo) -> str:
    return f"[{score_text(gap.low, info, sign=True)}, {score_text(gap.high, info, sign=True)}]"


def _compared(cell: CellComparison, names: tuple[str, str]) -> dict[str, Any]:
    row, gap, key, info = cell.row(), cell.gap, cell.key, cell.info
    metric = score_heading(key.metric, info)
    parts = (key.dataset, key.label, metric, key.protocol, key.sensors, row["settings"])
    return {
        "task": key.task, "cell": " ".join(filter(None, parts)),
        names[0]: marked(score_text(row["a"], info), cell.one.flags),
        names[1]: marked(score_text(row["b"], info), cell.other.flags),
        "difference": score_text(cell.difference, info, sign=True),
        "95 %": _signed(gap, info) if gap else "",
        "p (Holm)": _p(row["p_holm"]),
        "in se": "" if row["effect"] is None else f"{row['effect']:+.1f}",
        "images": row["images"], "test": row["test"], "": cell.verdict or "not tested",
    }  # fmt: skip


def read_ranking(
    models: Sequence[str], task: str, protocol: str, impute: str, results: Path | None
) -> Ranking:
    """Rank models on the records of a folder; see `ranks.rank`."""
    from skybench.analysis import ranks

    found = _read(results)
    protocol = _protocol(protocol, found)
    return ranks.rank_models(found, _folder(results), models, _task(task), protocol, impute)


def show_ranking(ranking: Ranking, plot: Path | None, as_json: bool) -> None:
    """Print the models by their mean rank."""
    if plot is not None:
        from skybench.report import plots

        plots.critical_difference(ranking, plot)
        say(f"drawn: {plot}")
    if as_json:
        print(json.dumps(ranking.plain(), indent=1))
        return
    cells = len(ranking.cells)
    unit = ScoreInfo(unit=ranking.unit)
    union = cells if ranking.imputed else cells + len(ranking.lacking)
    show_rows(
        [
            {
                "model": marked(s.model, s.flags), "cells": f"{s.measured}/{union}",
                "mean rank": f"{s.rank:.2f}", "over cells": _band(s.over_cells),
                "over images": _band(s.over_images) if s.over_images else "",
                "IQM": "" if s.iqm is None else f"{s.iqm:.3f}",
                "gain": "" if s.gain is None else score_text(s.gain, unit, sign=True),
            }
            for s in ranking.standings
        ],
        as_json=False,
    )  # fmt: skip
    print("\n".join(_remarks(ranking)))


def _band(band: tuple[float, float]) -> str:
    return f"[{band[0]:.2f}, {band[1]:.2f}]"


def _remarks(ranking: Ranking) -> list[str]:
    """The notes below a ranking."""
    floor = {"chance": "the best constant answer"}.get(ranking.floor, ranking.floor)
    lines = [labels.DEMO + "."] if ranking.data == "demo" else []
    lines += labels.footnotes([f for s in ranking.standings for f in s.flags])
    lines.append(f"{len(ranking.cells)} cells: " + "; ".join(ranking.cells) + ".")
    for cell, models in ranking.lacking.items():
        said = f"imputed by the {ranking.imputed}" if ranking.imputed else "left out"
        lines.append(f"{cell}: {said} (missing: {', '.join(models)}).")
    lines.append("[low, high]: 95 % bootstrap intervals of the mean rank.")
    if floor:
        lines.append(f"IQM: interquartile mean; 0 is {floor}, 1 the best of these models.")
    lines.append(_gain_note(ranking.unit))
    lines.append(
        f"Friedman: {ranking.friedman:.2f}, p = {_p(ranking.p)}. Mean ranks that differ by less "
        f"than {ranking.critical:.2f} are not significantly apart (Nemenyi, 5 %): "
        + ("; ".join(", ".join(group) for group in ranking.groups) or "none")
        + "."
    )
    return [*lines, *filter(None, [ranking.note])]


def _gain_note(unit: str) -> str:
    """The note about the column of gains."""
    if unit == "mixed":
        return "gain: none, since the cells have scores of several units."
    where = f", in {unit_text(unit)}" if unit else ""
    return f"gain: by how much it is better than the others, on the mean over the cells{where}."


def show_curve(
    model: str, task: str, plot: Path | None, results: Path | None, as_json: bool
) -> None:
    """Print the label-fraction curves."""
    from skybench.analysis import label_fraction as module

    name = registry.resolve("baselines", model) if model else ""
    rows = module.curve_points(_read(results), name, _task(task))
    if plot is not None:
        from skybench.report import plots

        plots.fraction_curves(rows, plot)
        say(f"drawn: {plot}")
    if as_json:
        print(json.dumps(rows, indent=1))
        return
    show_rows([_point(row) for row in rows], as_json=False)
    _notes(rows)


def _point(row: dict[str, Any]) -> dict[str, Any]:
    info = _info(row)
    return {
        **_place(row), "fraction": row["fraction"], "train images": row["train"],
        "metric": score_heading(row["metric"], info),
        "score": score_text(row["score"], info)
        + (f" ± {score_text(row['spread'], info)}" if row["spread"] else "")
        + labels.flag_marks(row["flags"]),
        "95 %": _interval(row),
    }  # fmt: skip
