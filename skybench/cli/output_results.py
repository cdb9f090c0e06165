"""What the commands that compare results print."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from skybench.analysis import paired_tests
from skybench.cli.output import say, show_rows
from skybench.core import ProtocolName, Record, UsageError, folders, registry
from skybench.records import labels, store
from skybench.report import tables

if TYPE_CHECKING:
    from skybench.analysis.compare import Duel
    from skybench.analysis.ranks import Ranking

TESTS = {
    paired_tests.EXACT: "exact: McNemar's test of the images that one model has right and the "
    "other wrong",
    paired_tests.FLIPPED: "sign flips: the models swapped at random on every image, seeds averaged",
    paired_tests.BOOTSTRAP: "bootstrap: both models on the same resampled test images",
}


def _folder(results: Path | None) -> Path:
    return results or folders.results()


def _read(results: Path | None) -> list[Record]:
    found, skipped = store.read_all(_folder(results))
    for path, reason in skipped:
        say(f"skipped {path}: {reason}")
    return found


def _task(name: str) -> str:
    return registry.resolve("tasks", name) if name else ""


def _protocol(name: str) -> str:
    if name not in ("", *get_args(ProtocolName)):
        raise UsageError(registry.unknown("protocol", name, get_args(ProtocolName)))
    return name


def _p(value: float | None) -> str:
    if value is None:
        return ""
    return f"{value:.3f}" if value >= 0.001 else f"{max(value, 1e-99):.0e}"


def show_table(results: Path | None, task: str, form: str, paper: bool) -> None:
    """The records as tables, of one task or of all, or the paper's tables with ours beside."""
    from skybench.report import paper_tables as papers

    if form not in tables.FORMATS:
        raise UsageError(f"No format {form!r}. Known: {', '.join(tables.FORMATS)}.")
    task = _task(task)
    chosen = [r for r in _read(results) if task in ("", r.task)]
    if not chosen and form == "text" and not paper:
        say(f"No records in {_folder(results).resolve()}; `skybench run` makes them.")
    folder = _folder(results)
    print(papers.render(chosen, form) if paper else tables.render(chosen, form, folder))


def rescore(results: Path | None, task: str, metric: str, as_json: bool) -> int:
    """Kept predictions scored again; the exit code, 1 where none were kept."""
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
        **_place(row), "metric": row["metric"],
        "score": f"{row['score']:.2f}{labels.marks(row['flags'])}", "95 %": _interval(row),
        "recorded": "" if row["recorded"] is None else f"{row['recorded']:.2f}",
        "images": row["images"], "fingerprint": row["fingerprint"],
    }  # fmt: skip


def _place(row: dict[str, Any]) -> dict[str, Any]:
    """What was measured on what, of a row with all that tells it from others."""
    parts = ("dataset", "label", "protocol", "sensors", "settings")
    return {
        "model": "/".join(filter(None, (row[n] for n in ("model", "variant", "weights")))),
        "task": row["task"], "cell": " ".join(filter(None, (row[n] for n in parts))),
        "data": row["data"],
    }  # fmt: skip


def _interval(row: dict[str, Any]) -> str:
    return "" if row["low"] is None else f"[{row['low']:.1f}, {row['high']:.1f}]"


def _notes(rows: Sequence[dict[str, Any]]) -> None:
    """Below a table: demo data, and what the marks mean."""
    demo = [f"{labels.DEMO}."] if any(row["data"] == "demo" for row in rows) else []
    for line in [*demo, *labels.footnotes(f for row in rows for f in row["flags"])]:
        print(line)


def compare(
    models: tuple[str, str], task: str, protocol: str, results: Path | None, as_json: bool
) -> None:
    """Two models on the cells that both have."""
    from skybench.analysis import compare as module

    found, protocol = _read(results), _protocol(protocol)
    made = module.compare(found, _folder(results), models, _task(task), protocol)
    if as_json:
        print(json.dumps(made.plain(), indent=1))
        return
    show_rows([_duel(d, made.names) for d in made.duels], as_json=False)
    for test in dict.fromkeys(d.gap.test for d in made.duels if d.gap):
        print(f"{TESTS[test]}.")
    flags = [f for d in made.duels for r in (d.one, d.other) for f in r.flags]
    notes = dict.fromkeys(f"Not tested: {d.note}." for d in made.duels if d.note)
    apart = [f"Not compared: {cell}: {why}." for cell, why in made.apart.items()]
    print("\n".join([*labels.footnotes(flags), *notes, *apart, "", *made.summary()]))


def _duel(duel: Duel, names: tuple[str, str]) -> dict[str, Any]:
    row, gap, ground = duel.row(), duel.gap, duel.ground
    metric = labels.NAMES.get(ground.metric, ground.metric)
    parts = (ground.dataset, ground.label, metric, ground.protocol, ground.sensors, row["settings"])
    return {
        "task": ground.task, "cell": " ".join(filter(None, parts)),
        names[0]: f"{row['a']:.2f}{labels.marks(duel.one.flags)}",
        names[1]: f"{row['b']:.2f}{labels.marks(duel.other.flags)}",
        "difference": f"{duel.difference:+.2f}",
        "95 %": f"[{gap.low:+.2f}, {gap.high:+.2f}]" if gap else "",
        "p (Holm)": _p(row["p_holm"]),
        "in se": "" if row["effect"] is None else f"{row['effect']:+.1f}",
        "images": row["images"], "test": row["test"], "": duel.verdict or "not tested",
    }  # fmt: skip


def ranking(
    models: Sequence[str], task: str, protocol: str, impute: str, results: Path | None
) -> Ranking:
    """Models ranked on the records of a folder; see `ranks.rank`."""
    from skybench.analysis import ranks

    found = _read(results)
    return ranks.rank(found, _folder(results), models, _task(task), _protocol(protocol), impute)


def show_ranking(ranking: Ranking, plot: Path | None, as_json: bool) -> None:
    """The models by their mean rank."""
    if plot is not None:
        from skybench.report import plots

        plots.critical_difference(ranking, plot)
        say(f"drawn: {plot}")
    if as_json:
        print(json.dumps(ranking.plain(), indent=1))
        return
    cells = len(ranking.cells)
    union = cells if ranking.imputed else cells + len(ranking.lacking)
    show_rows(
        [
            {
                "model": f"{s.model}{labels.marks(s.flags)}", "cells": f"{s.measured}/{union}",
                "mean rank": f"{s.rank:.2f}", "over cells": _band(s.over_cells),
                "over images": _band(s.over_images) if s.over_images else "",
                "IQM": "" if s.iqm is None else f"{s.iqm:.3f}", "gain": f"{s.gain:+.2f}",
            }
            for s in ranking.standings
        ],
        as_json=False,
    )  # fmt: skip
    print("\n".join(_remarks(ranking)))


def _band(band: tuple[float, float]) -> str:
    return f"[{band[0]:.2f}, {band[1]:.2f}]"


def _remarks(ranking: Ranking) -> list[str]:
    """What the ranks rest on."""
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
    lines.append("gain: mean difference to the other models over the cells, in points.")
    lines.append(
        f"Friedman: {ranking.friedman:.2f}, p = {_p(ranking.p)}. Mean ranks that differ by less "
        f"than {ranking.critical:.2f} are not significantly apart (Nemenyi, 5 %): "
        + ("; ".join(", ".join(group) for group in ranking.groups) or "none")
        + "."
    )
    return [*lines, *filter(None, [ranking.note])]


def curve(model: str, task: str, plot: Path | None, results: Path | None, as_json: bool) -> None:
    """Scores by the fraction of the training data."""
    from skybench.analysis import label_fraction as module

    name = registry.resolve("baselines", model) if model else ""
    rows = module.points(_read(results), name, _task(task))
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
    return {
        **_place(row), "fraction": row["fraction"], "train images": row["train"],
        "metric": labels.NAMES.get(row["metric"], row["metric"]),
        "score": f"{row['score']:.2f}" + (f" ± {row['spread']:.2f}" if row["spread"] else "")
        + labels.marks(row["flags"]),
        "95 %": _interval(row),
    }  # fmt: skip
