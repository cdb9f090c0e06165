"""Training curves as PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator
from numpy.typing import NDArray

from skybench.training import log

WINDOW = 40  # the bold line is the mean over a fortieth of the points to each side
FEW = 40  # points, up to which each is marked
Rows = Sequence[dict[str, Any]]


def write_training_curve(
    logs: Path | Sequence[Path], out: Path, title: str = "", scored_on: str = "validation"
) -> None:
    """Plot loss, score in training and learning rate against the steps.

    logs: the log.jsonl of each seed. Missing files are left out; where none has a step, no PNG is
    written. scored_on: the split of the scores, for their axis.
    """
    paths = [logs] if isinstance(logs, Path) else logs
    rows = [log.read_log(p) if p.is_file() else [] for p in paths]
    figure = training_figure(rows, scored_on)
    if figure is not None:
        figure.suptitle(title, fontsize=10)
        out.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(out, dpi=150, format="png")


def training_figure(seeds: Sequence[Rows], scored_on: str = "validation") -> Figure | None:
    """Draw the figure of `write_training_curve` from the rows of logs; None without any step.

    The loss is drawn thin, its moving mean bold; on a logarithmic axis where that mean spans more
    than a decade. Dotted: where training was resumed.
    """
    losses, scores, rates = ([_points(rows, n) for rows in seeds] for n in ("loss", "val", "rate"))
    if not any(len(x) for x, _ in losses):
        return None
    heights = [3.0, 1.6, 0.9] if any(len(x) for x, _ in scores) else [3.0, 0.9]
    figure = Figure(figsize=(8, 1.2 * sum(heights) + 0.5), layout="constrained")
    top, *middle, bottom = figure.subplots(
        len(heights), sharex=True, gridspec_kw={"height_ratios": heights}
    )
    for seed in range(len(seeds)):
        colour, label = f"C{seed % 10}", f"seed {seed}"
        _loss(top, *losses[seed], colour, label)
        bottom.plot(*rates[seed], color=colour, lw=1.2, marker=_mark(rates[seed][0]), ms=3)
        for axes in middle:
            axes.plot(*scores[seed], color=colour, marker="o", ms=3.5, lw=1.0, label=label)
            axes.set_ylabel(f"{scored_on} score")
        again = [r for r in seeds[seed] if r.get("event") == "resumed" and r.get("step", 0) > 0]
        for row in again:
            said = f"seed {seed} resumed" if row is again[0] else None
            top.axvline(row["step"], color=colour, ls=":", lw=1.0, label=said)
    _dress(figure, np.concatenate([moving_mean(y) for _, y in losses]))
    return figure


def moving_mean(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the moving mean over a symmetric window; [N] -> [N].

    The window is narrower at both ends, so that the initial fall stays in place.

    >>> moving_mean(np.arange(200.0))[[0, 1, 100, 199]].tolist()
    [2.0, 3.0, 100.0, 196.5]
    """
    place = np.arange(len(values))
    half = np.minimum(len(values) // WINDOW, place + 4)  # the first ones are not left alone
    low, high = np.maximum(place - half, 0), np.minimum(place + half + 1, len(values))
    total = np.concatenate([[0.0], np.cumsum(values)])
    return np.asarray((total[high] - total[low]) / (high - low))


def _points(rows: Rows, name: str) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Steps and values, by rising step; the last value where a step has several."""
    found = {r["step"]: r[name] for r in rows if {"step", name} <= r.keys()}
    pairs = np.array(sorted(found.items()), np.float64).reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def _loss(
    axes: Axes, steps: NDArray[np.float64], raw: NDArray[np.float64], colour: str, label: str
) -> None:
    axes.plot(steps, raw, color=colour, alpha=0.25, lw=0.6)
    axes.plot(steps, moving_mean(raw), color=colour, lw=1.8, marker=_mark(steps), ms=4, label=label)


def _mark(steps: NDArray[np.float64]) -> str:
    return "o" if len(steps) <= FEW else ""


def _dress(figure: Figure, means: NDArray[np.float64]) -> None:
    """Scales, names and the legend."""
    top, *_, bottom = figure.axes
    if means.min() > 0 and means.max() > 10 * means.min():
        top.set_yscale("log")
        near = means.max() < 1000 * means.min()
        top.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if near else (1,)))
        top.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        top.minorticks_off()
    top.set_ylabel("training loss")
    bottom.set(xlabel="step", ylabel="learning\nrate")
    bottom.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1, steps=[1, 2, 5, 10]))
    for axes in figure.axes:
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    if len(top.get_legend_handles_labels()[1]) > 1:
        top.legend(fontsize=8, loc="upper right")
