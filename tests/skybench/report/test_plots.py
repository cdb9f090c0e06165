"""What pictures of results show, read off the figures."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from matplotlib.figure import Figure

from skybench.analysis.ranks import Band, Ranking, RankRow
from skybench.report import plots

BAND = Band(1.0, 2.0)


def ranking(
    ranks: Sequence[float], critical: float, flags: Sequence[Sequence[str]] = ((), (), ())
) -> Ranking:
    """Three models, which are all one group."""
    standings = [
        RankRow(name, 2, rank, BAND, BAND, None, 0.0, own)
        for name, rank, own in zip("abc", ranks, flags, strict=True)
    ]
    group = [s.model for s in standings]
    return Ranking(
        "frozen",
        "real",
        ["one", "two"],
        {},
        "",
        "",
        standings,
        1.0,
        0.5,
        critical,
        [group],
        "%",
        "",
    )


def point(model: str, fraction: float, *flags: str, dataset: str = "aid") -> dict[str, Any]:
    """A row of `curve.points`."""
    return {
        "data": "real", "task": "scene_classification", "dataset": dataset, "label": "20 %",
        "protocol": "frozen", "settings": "", "model": model, "variant": "base", "weights": "1f",
        "fraction": fraction, "score": 50.0, "low": None, "high": None, "metric": "oa",
        "unit": "%", "higher_is_better": True,
        "flags": [*flags],
    }  # fmt: skip


def below(figure: Figure) -> str:
    """The line under the picture, with its line ends as spaces."""
    return figure.get_supxlabel().replace("\n", " ")


def words(figure: Figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def test_names_in_the_ranks_have_marks_that_are_explained() -> None:
    figure = plots.rank_figure(ranking((1, 2, 3), 1, (["chance", "limited"], ["limited"], [])))
    assert {"a (cl)  1.00", "b (l)  2.00", "c  3.00"} <= {*words(figure)}
    assert below(figure).startswith("(c) chance: ")
    assert below(figure).count("(l) limited: ") == 1
    plain = plots.rank_figure(ranking((1, 2, 3), 1))
    assert below(plain) == ""
    assert plain.get_figheight() < figure.get_figheight()


def test_names_of_curves_have_the_marks_of_any_of_their_points() -> None:
    rows = [point("a", 0.1, "limited", "chance"), point("a", 1, "limited"), point("b", 1)]
    figure = plots.fraction_figure(rows)
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert [t.get_text() for t in legend.get_texts()] == ["a (base, 1f) (lc)", "b (base, 1f)"]
    assert "(c) chance: " in below(figure)
    assert "(l) limited: " in below(figure)
    assert below(plots.fraction_figure(rows[2:])) == ""


@pytest.mark.parametrize("ranks", [(1, 2, 3), (2, 2, 2)])
def test_the_bar_of_a_group_is_seen_and_reaches_over_its_models(ranks: Sequence[float]) -> None:
    figure = plots.rank_figure(ranking(ranks, 3))
    (bar,) = (line for line in figure.axes[0].lines if line.get_color() == plots.BAR)
    left, right = np.asarray(bar.get_xdata(), float)
    assert left < min(ranks) <= max(ranks) < right


@pytest.mark.parametrize(
    ("critical", "end", "marker", "said"),
    [
        (0.75, 1.75, "|", "critical difference 0.75"),
        (2.0, 3.0, "|", "critical difference 2.00"),
        (2.5, 3.0, ">", "critical difference 2.50 (longer than the axis)"),
    ],
)
def test_a_critical_difference_longer_than_the_axis_ends_in_an_arrow(
    critical: float, end: float, marker: str, said: str
) -> None:
    figure = plots.rank_figure(ranking((1, 2, 3), critical))
    *_, last = (line for line in figure.axes[0].lines if line.get_marker() == marker)
    assert np.asarray(last.get_xdata()).tolist() == [end]
    assert said in words(figure)
