"""Ranks and tests beside scikit-posthocs, autorank and statsmodels, where these are installed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import scipy.integrate
import scipy.stats

from skybench.analysis import compare, paired_tests, ranks
from skybench.analysis.ranks import Band, RankRow
from skybench.core import Record

Made = Callable[..., Record]
# Cells and models; the scores are rounded, so that some of a cell are equal.
SHAPES = [(5, 3), (8, 4), (14, 6), (30, 10), (12, 19)]


def oracle(name: str) -> Any:
    return pytest.importorskip(name, reason=f"needs {name.partition('.')[0]} to compare with")


def table(cells: int, models: int) -> np.ndarray:
    rng = np.random.default_rng(cells)
    return np.asarray((rng.normal(0, 1, (cells, models)) + np.linspace(0, 4, models)).round(1))


def ranked(scores: np.ndarray) -> np.ndarray:
    return np.asarray(scipy.stats.rankdata(-scores, axis=1))


def by_autorank(scores: np.ndarray) -> Any:
    names = [f"m{i}" for i in range(scores.shape[1])]
    frame = pd.DataFrame(scores, columns=names)
    return oracle("autorank").autorank(frame, force_mode="nonparametric")


@pytest.mark.parametrize(("cells", "models"), SHAPES)
def test_ranks_friedmans_p_and_the_critical_difference_are_autoranks(
    cells: int, models: int
) -> None:
    scores = table(cells, models)
    found, places = by_autorank(scores), ranked(scores)
    means = {f"m{i}": mean for i, mean in enumerate(places.mean(0))}
    assert found.rankdf["meanrank"].to_dict() == pytest.approx(means)
    assert found.pvalue == pytest.approx(ranks.friedman(places)[1])
    # autorank takes the quantile from statsmodels' qsturng, an approximation (Gleason 1999) that
    # is up to 0.005 % off for these numbers of models; the next test has the integral itself.
    assert found.cd == pytest.approx(ranks.nemenyi(models, cells), rel=1e-4)


@pytest.mark.parametrize("models", [2, 3, 6, 10, 19, 30])
def test_the_critical_difference_solves_the_integral(models: int) -> None:
    """The range of k normal variables exceeds q in 5 % of the cases; cells: k (k + 1) / 6 of 1."""
    q = ranks.nemenyi(models, 1) / np.sqrt(models * (models + 1) / 12)

    def within(x: float) -> float:
        inside = scipy.stats.norm.cdf(x) - scipy.stats.norm.cdf(x - q)
        return float(models * scipy.stats.norm.pdf(x) * inside ** (models - 1))

    share, _ = scipy.integrate.quad(within, -10, 10 + q, limit=200, epsabs=1e-12)
    assert 1 - share == pytest.approx(paired_tests.LEVEL, abs=1e-9)


@pytest.mark.parametrize(("cells", "models"), SHAPES)
def test_models_further_apart_than_the_critical_difference_are_posthocs_significant_ones(
    cells: int, models: int
) -> None:
    scores = table(cells, models)
    p = oracle("scikit_posthocs").posthoc_nemenyi_friedman(scores).to_numpy()
    means = ranked(scores).mean(0)
    gaps = np.abs(means[:, None] - means)
    np.testing.assert_array_equal(p < paired_tests.LEVEL, gaps > ranks.nemenyi(models, cells))
    assert (p < paired_tests.LEVEL).any()


@pytest.mark.parametrize(("cells", "models"), SHAPES)
def test_the_groups_of_the_diagram_are_autoranks(cells: int, models: int) -> None:
    result = by_autorank(table(cells, models))
    # Its table begins with the worst, which has the highest mean rank.
    _, names, spans = oracle("autorank._util").get_sorted_rank_groups(result, reverse=True)
    standings = [
        RankRow(n, cells, result.rankdf["meanrank"][n], Band(1, 2), None, None, 0.0, [])
        for n in names
    ]
    found = ranks.groups(standings, ranks.nemenyi(models, cells))
    assert found == [names[first : last + 1] for first, last in spans]


@pytest.mark.parametrize("count", [1, 2, 5, 20])
def test_holms_correction_is_that_of_statsmodels(count: int) -> None:
    ps = np.random.default_rng(count).beta(0.4, 2, count).round(2)  # some are equal, some 0
    expected = oracle("statsmodels.stats.multitest").multipletests(ps, method="holm")[1]
    assert paired_tests.holm(ps.tolist()) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("won", "lost"), [(4, 0), (9, 3), (20, 19), (0, 1), (130, 95)])
def test_the_test_of_accuracies_is_statsmodels_mcnemar(won: int, lost: int) -> None:
    both = [[50, won], [lost, 10]]
    exact = oracle("statsmodels.stats.contingency_tables").mcnemar(both, exact=True).pvalue
    # The mid-p takes half of the observed outcome off both tails.
    expected = exact - scipy.stats.binom.pmf(won, won + lost, 0.5)
    p, test = paired_tests.sign_flip([1] * won + [-1] * lost + [0] * 60)
    assert test == paired_tests.EXACT
    assert p == pytest.approx(expected)


def test_the_effect_of_accuracies_is_statsmodels_cohens_h(made: Made, tmp_path: Path) -> None:
    shares = {"imagenet": 0.95, "rcf": 0.7}
    records = [made(m, np.arange(40) < 40 * share) for m, share in shares.items()]
    (duel,) = compare.compare_models(records, tmp_path, ("imagenet", "rcf"), "", "").cells
    expected = oracle("statsmodels.stats.proportion").proportion_effectsize(*shares.values())
    assert duel.row()["h"] == pytest.approx(expected)
