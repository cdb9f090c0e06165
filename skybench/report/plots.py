"""Plots of rankings and label-fraction curves, as PNG files."""

from __future__ import annotations

import textwrap
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from skybench.analysis.ranks import Ranking
from skybench.analysis.score_text import score_heading
from skybench.core import ScoreInfo
from skybench.records.labels import DEMO, flag_marks, footnotes

STEP = 0.32  # inches between two lines of text
ACROSS = 4  # panels side by side
INK, BAR = "#222222", "#c2410c"


def critical_difference(ranking: Ranking, path: Path) -> None:
    """Write the figure of `rank_figure` as a PNG file."""
    _save(rank_figure(ranking), path)


def rank_figure(ranking: Ranking) -> Figure:
    """Draw a critical-difference diagram: bars join models that are not significantly different.

    Source: Demsar, Statistical Comparisons of Classifiers over Multiple Data Sets, JMLR 2006, 7,
    figure 1.
    """
    count, bars = len(ranking.standings), len(ranking.groups)
    below = bars / 2 + (count + 1) // 2 + 0.5
    figure = Figure(figsize=(8, STEP * (below + 5)), layout="constrained")
    axes = figure.add_subplot()
    pad = 0.02 * (count - 1)
    axes.set(xlim=(1 - pad, count + pad), ylim=(-below, 2.8))
    axes.axis("off")
    _scale(axes, count, ranking.critical)
    places = {s.model: s.rank for s in ranking.standings}
    for i, group in enumerate(ranking.groups):
        ends = (places[group[0]] - pad / 2, places[group[-1]] + pad / 2)  # seen if ranks are equal
        axes.plot(ends, [-0.45 - i / 2] * 2, color=BAR, lw=4, solid_capstyle="round")
    for i, standing in enumerate(ranking.standings):
        right = i >= (count + 1) // 2
        y = -(bars / 2 + (count - 1 - i if right else i) + 0.6)
        edge, x, align = (count + pad, 1.02, "left") if right else (1 - pad, -0.02, "right")
        axes.plot([standing.rank, standing.rank, edge], [0, y, y], color=INK, lw=0.9)
        text = f"{standing.model}{flag_marks(standing.flags)}  {standing.rank:.2f}"
        across = axes.get_yaxis_transform()
        axes.text(x, y, text, transform=across, ha=align, va="center", fontsize=9)
    figure.suptitle(
        f"Mean rank over {len(ranking.cells)} cells, {ranking.protocol} (bars: Nemenyi, 5 %)"
        + (f"\n{DEMO}" if ranking.data == "demo" else ""),
        fontsize=10,
    )
    _explain(figure, [f for s in ranking.standings for f in s.flags])
    return figure


def _scale(axes: Axes, count: int, critical: float) -> None:
    """Draw the axis of ranks, and above it the critical difference."""
    axes.plot([1, count], [0, 0], color=INK, lw=1.2)
    for place in range(1, count + 1):
        axes.plot([place, place], [0, 0.2], color=INK, lw=1.2)
        axes.text(place, 0.35, str(place), ha="center", va="bottom", fontsize=9)
    longer = 1 + critical > count
    axes.plot([1, min(1 + critical, count)], [1.8] * 2, color=INK)
    axes.plot(1, 1.8, color=INK, marker="|", ms=8)
    axes.plot(min(1 + critical, count), 1.8, color=INK, marker=">" if longer else "|", ms=8)
    said = f"critical difference {critical:.2f}" + " (longer than the axis)" * longer
    axes.text(1, 2.1, said, va="bottom", fontsize=9)


def fraction_curves(rows: Sequence[dict[str, Any]], path: Path) -> None:
    """Write the figure of `fraction_figure` as a PNG file."""
    _save(fraction_figure(rows), path)


def fraction_figure(rows: Sequence[dict[str, Any]]) -> Figure:
    """Draw scores against the share of the training data: a panel a cell, a line a model.

    rows: of `label_fraction.curve_points`. Shaded: the 95 % interval over test images.
    """
    panels: dict[tuple[Any, ...], dict[tuple[Any, ...], list[dict[str, Any]]]] = {}
    for row in rows:
        cell = tuple(row[n] for n in ("data", "task", "dataset", "label", "protocol", "settings"))
        line = tuple(row[n] for n in ("model", "variant", "weights"))
        panels.setdefault(cell, {}).setdefault(line, []).append(row)
    across = min(ACROSS, len(panels))
    down = -(-len(panels) // across)
    figure = Figure(figsize=(5 * across, 4 * down), layout="constrained")
    every = figure.subplots(down, across, squeeze=False).ravel()
    for axes in every[len(panels) :]:
        axes.axis("off")
    for axes, (cell, lines) in zip(every, panels.items(), strict=False):
        for (model, *words), own in lines.items():
            flags = dict.fromkeys(f for r in own for f in r["flags"])  # of any point
            name = f"{model} ({', '.join(filter(None, words))}){flag_marks([*flags])}"
            fractions = [100 * r["fraction"] for r in own]
            (drawn,) = axes.plot(fractions, [r["score"] for r in own], marker="o", label=name)
            band = [(f, r["low"], r["high"]) for f, r in zip(fractions, own, strict=True)
                    if r["low"] is not None]  # fmt: skip
            if band:
                axes.fill_between(*zip(*band, strict=True), alpha=0.15, color=drawn.get_color())
        row = next(iter(lines.values()))[0]
        info = ScoreInfo(row["higher_is_better"], row["unit"])
        heading = score_heading(row["metric"], info)
        axes.set(xscale="log", xlabel="% of the training data", ylabel=heading)
        ticks = sorted({100 * r["fraction"] for own in lines.values() for r in own})
        axes.set_xticks(ticks, [f"{t:g}" for t in ticks])
        axes.minorticks_off()
        data, task, *place = cell
        title = f"{' '.join(filter(None, place))}\n{task}"
        axes.set_title(title + (f"\n{DEMO}" if data == "demo" else ""), fontsize=9)
        axes.grid(alpha=0.3)
        axes.legend(fontsize=8)
    _explain(figure, [f for r in rows for f in r["flags"]])
    return figure


def _explain(figure: Figure, flags: Iterable[str]) -> None:
    """Put footnotes of these flags below the figure, which grows by their height."""
    if notes := footnotes(flags):
        lines = textwrap.wrap(" ".join(notes), int(18 * figure.get_figwidth()))
        figure.set_figheight(figure.get_figheight() + 0.15 * len(lines))
        figure.supxlabel("\n".join(lines), x=0.01, ha="left", fontsize=7)


def _save(figure: Figure, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=150, format="png")
