"""Ranks over many models, beside SciPy and published critical values."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from skybench.analysis import ranks
from skybench.analysis.ranks import Ranking, RankRow
from skybench.cli import app
from skybench.core import Record, UsageError

Made = Callable[..., Record]
DATASETS = ("aid", "resisc45", "eurosat")
SHARES = {"imagenet": 0.9, "rcf": 0.7, "galileo": 0.68, "image_stats": 0.4}


def rights(model: str, dataset: str, images: int = 150) -> np.ndarray:
    """Which images a model is right on; the difficulty of an image is common to all models."""
    hard = np.random.default_rng(DATASETS.index(dataset)).random(images)
    return np.asarray(hard < SHARES[model])


@pytest.fixture
def matrix(made: Made) -> list[Record]:
    return [made(m, rights(m, d), dataset=d) for m in SHARES for d in DATASETS]


def by_model(ranking: Ranking) -> dict[str, RankRow]:
    return {s.model: s for s in ranking.standings}


def test_models_are_ranked_on_every_cell_and_averaged(matrix: list[Record], tmp_path: Path) -> None:
    found = ranks.rank_models(matrix, tmp_path)
    scores = np.array([[r.scores["oa"] for r in matrix if r.model == m] for m in SHARES])  # [M, D]
    expected = scipy.stats.rankdata(-scores, axis=0).mean(1)
    standings = by_model(found)
    assert [standings[m].rank for m in SHARES] == pytest.approx(expected)
    assert [s.rank for s in found.standings] == sorted(s.rank for s in found.standings)
    for i, model in enumerate(SHARES):
        others = np.delete(scores, i, axis=0).mean()
        assert standings[model].gain == pytest.approx(scores[i].mean() - others)
    assert len(found.cells) == 3
    assert json.dumps(found.plain())


def test_the_interval_over_images_says_whose_scores_are_told_apart(
    matrix: list[Record], tmp_path: Path
) -> None:
    standings = by_model(ranks.rank_models(matrix, tmp_path))
    assert standings["imagenet"].over_images == (1, 1)
    assert standings["image_stats"].over_images == (4, 4)
    close = [standings[m].over_images for m in ("rcf", "galileo")]
    assert all(band is not None and band.high > band.low for band in close)


def test_the_interval_over_cells_is_that_of_resampled_cells(made: Made, tmp_path: Path) -> None:
    first, second = np.arange(40) < 30, np.arange(40) < 20
    records = [
        made(m, right, recipe={"label": str(i)})
        for i in range(4)
        for m, right in (("a", first if i else second), ("b", second if i else first))
    ]
    a = by_model(ranks.rank_models(records, tmp_path, ["a", "b"]))["a"]
    assert a.rank == 1.25
    worst = scipy.stats.binom.ppf([0.025, 0.975], 4, 0.25) / 4 + 1
    assert a.over_cells == pytest.approx(worst)


def test_without_predictions_there_is_no_interval_over_images(made: Made, tmp_path: Path) -> None:
    records = [made(m, rights(m, d), dataset=d, keep=m != "rcf") for m in ("imagenet", "rcf")
               for d in DATASETS]  # fmt: skip
    found = ranks.rank_models(records, tmp_path)
    assert all(s.over_images is None for s in found.standings)
    assert "no predictions of rcf" in found.note


def test_only_cells_that_all_have_count(matrix: list[Record], tmp_path: Path) -> None:
    short = [r for r in matrix if (r.model, r.dataset) != ("rcf", "eurosat")]
    found = ranks.rank_models(short, tmp_path)
    assert len(found.cells) == 2
    assert list(found.lacking.values()) == [["rcf"]]
    assert {s.model: s.measured for s in found.standings} == dict.fromkeys(SHARES, 3) | {"rcf": 2}
    assert len(ranks.rank_models(short, tmp_path, ["imagenet", "galileo"]).cells) == 3


@pytest.mark.parametrize("impute", ["worst", "floor"])
def test_a_missing_score_is_imputed_only_where_that_is_declared(
    impute: str, matrix: list[Record], tmp_path: Path
) -> None:
    short = [r for r in matrix if (r.model, r.dataset) != ("imagenet", "eurosat")]
    found = ranks.rank_models(short, tmp_path, impute=impute)
    assert (len(found.cells), found.imputed) == (3, impute)
    assert list(found.lacking.values()) == [["imagenet"]]
    assert by_model(found)["imagenet"].rank == pytest.approx((1 + 1 + 3.5) / 3)  # ties image_stats
    with pytest.raises(UsageError, match="Expected --impute worst or floor, but got 'mean'"):
        ranks.rank_models(short, tmp_path, impute="mean")


def test_imputed_scores_are_the_worst_or_the_floor() -> None:
    scores = np.array([[5.0, np.nan, 3.0], [1.0, 2.0, 3.0]])
    floors = np.array([1.0, 0.0])
    assert ranks.impute_missing(scores, floors, "worst")[0].tolist() == [5, 3, 3]
    assert ranks.impute_missing(scores, floors, "floor")[0].tolist() == [5, 1, 3]
    assert ranks.impute_missing(scores, floors, "floor")[1].tolist() == [1, 2, 3]
    drawn = np.stack([scores, scores + 1], axis=-1)
    assert ranks.impute_missing(drawn, floors[:, None], "worst")[0, 1].tolist() == [3, 4]
    assert ranks.impute_missing(drawn, floors[:, None], "floor")[0, 1].tolist() == [1, 1]


def test_the_floor_is_image_stats_where_it_is_everywhere_else_chance(
    matrix: list[Record], tmp_path: Path
) -> None:
    found = ranks.rank_models(matrix, tmp_path)
    assert found.floor == "image_stats"
    assert by_model(found)["image_stats"].iqm == 0
    assert by_model(found)["imagenet"].iqm == 1
    some = [r for r in matrix if (r.model, r.dataset) != ("image_stats", "aid")]
    chosen = ranks.rank_models(some, tmp_path, ["imagenet", "rcf"])
    assert chosen.floor == "chance"
    oa = {m: np.array([r.scores["oa"] for r in matrix if r.model == m]) for m in SHARES}
    expected = ((oa["rcf"] - 20) / (oa["imagenet"] - 20)).mean()
    assert by_model(chosen)["rcf"].iqm == pytest.approx(expected)
    bare = [replace(r, used={k: v for k, v in r.used.items() if k != "chance"}) for r in some]
    unknown = ranks.rank_models(bare, tmp_path, ["imagenet", "rcf"])
    assert (unknown.floor, by_model(unknown)["rcf"].iqm) == ("", None)
    with pytest.raises(UsageError, match="impute the worst"):
        ranks.rank_models(bare, tmp_path, ["imagenet", "rcf"], impute="floor")


def test_the_floor_is_the_newest_record_of_it(
    made: Made, matrix: list[Record], tmp_path: Path
) -> None:
    old = [made("image_stats", rights("rcf", d), dataset=d, used={"revision": "old"},
                made="2025-01-01T00:00:00+00:00") for d in DATASETS]  # fmt: skip
    for records in ([*old, *matrix], [*matrix, *old]):
        assert by_model(ranks.rank_models(records, tmp_path))["image_stats"].iqm == 0


def test_too_few_models_or_cells_are_refused(matrix: list[Record], tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"there are 1 models and 3 such cells"):
        ranks.rank_models(matrix, tmp_path, ["imagenet"])
    single = [r for r in matrix if r.dataset == "aid"]
    with pytest.raises(UsageError, match=r"1 such cells of 1 \(galileo 1, image_stats 1"):
        ranks.rank_models(single, tmp_path)
    with pytest.raises(UsageError, match="0 models and 0 such cells"):
        ranks.rank_models([], tmp_path)


def test_protocols_and_kinds_of_data_are_never_mixed(made: Made, tmp_path: Path) -> None:
    pair = ("imagenet", "rcf")
    records = [made(m, rights(m, d), dataset=d, recipe={"protocol": p})
               for m in pair for d in DATASETS for p in ("knn", "linear")]  # fmt: skip
    with pytest.raises(UsageError, match=r"give --protocol: \['knn', 'linear'\]"):
        ranks.rank_models(records, tmp_path)
    assert ranks.rank_models(records, tmp_path, protocol="knn").protocol == "knn"
    demo = [made(m, rights(m, d), dataset=d, data="demo") for m in pair for d in DATASETS]
    assert len(ranks.rank_models([*records, *demo], tmp_path, protocol="linear").cells) == 3
    assert ranks.rank_models(demo, tmp_path).data == "demo"


def test_random_weights_are_ranked_only_where_asked(
    made: Made, matrix: list[Record], tmp_path: Path
) -> None:
    random = [made("rcf", rights("image_stats", d), dataset=d, used={"weights": "random"},
                   flags=["random weights"]) for d in DATASETS]  # fmt: skip
    found = ranks.rank_models([*matrix, *random], tmp_path)
    assert len(found.standings) == 4
    asked = ranks.rank_models([*matrix, *random], tmp_path, ["rcf", "rcf/random"])
    assert by_model(asked)["rcf/random"].flags == ["random weights"]


TABLES = st.integers(2, 6).flatmap(
    lambda k: st.lists(st.lists(st.integers(0, 4), min_size=k, max_size=k), min_size=2, max_size=8)
)


@given(TABLES)
def test_friedmans_test_agrees_with_scipy(rows: list[list[int]]) -> None:
    scores = np.array(rows, float)
    statistic, p = ranks.friedman(scipy.stats.rankdata(-scores, axis=1))
    if all(len(set(row)) == 1 for row in rows):
        assert (statistic, p) == (0, 1)
    elif scores.shape[1] > 2:  # SciPy wants three
        expected = scipy.stats.friedmanchisquare(*scores.T)
        assert statistic == pytest.approx(expected.statistic, abs=1e-9)
        assert p == pytest.approx(expected.pvalue, abs=1e-9)


def test_two_models_give_the_sign_test() -> None:
    won = np.array([[1.0, 2.0]] * 9 + [[2.0, 1.0]])
    statistic, p = ranks.friedman(won)
    assert statistic == pytest.approx((9 - 1) ** 2 / 10)
    assert p == pytest.approx(2 * scipy.stats.norm.sf(8 / np.sqrt(10)))


@pytest.mark.parametrize(
    ("models", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (10, 3.164)]
)
def test_critical_differences_are_those_of_demsars_table(models: int, q: float) -> None:
    for cells in (2, 14, 30):  # JMLR 2006, 7, table 5 a
        expected = q * np.sqrt(models * (models + 1) / (6 * cells))
        assert ranks.nemenyi(models, cells) == pytest.approx(expected, rel=1e-3)


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=30))
def test_the_interquartile_mean_agrees_with_scipy(values: list[float]) -> None:
    expected = scipy.stats.trim_mean(values, 0.25)
    assert ranks.iqm(np.array(values)) == pytest.approx(expected, abs=1e-9)


def standing(name: str, rank: float) -> RankRow:
    return RankRow(name, 1, rank, ranks.Band(1, 2), None, None, 0.0, [])


@pytest.mark.parametrize(
    ("places", "expected"),
    [([1, 2, 3, 6], ["ABC"]), ([1, 3, 5], ["AB", "BC"]), ([1, 4, 7], []), ([1, 1, 1], ["ABC"]),
     ([1, 2, 3.5, 4], ["AB", "BCD"])],
)  # fmt: skip
def test_groups_are_the_largest_that_lie_within_the_critical_difference(
    places: Sequence[float], expected: list[str]
) -> None:
    every = [standing(name, place) for name, place in zip("ABCD", places, strict=False)]
    assert ["".join(group) for group in ranks.groups(every, 2.0)] == expected


def test_the_command_prints_ranks_draws_and_says_what_is_left_out(
    matrix: list[Record],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def call(*words: str) -> int:
        monkeypatch.setattr(sys, "argv", ["skybench", "rank", "--results", str(tmp_path), *words])
        with pytest.raises(SystemExit) as end:
            app.main()
        return int(end.value.code or 0)

    (tmp_path / matrix[-1].path).unlink()  # image_stats on eurosat
    picture = tmp_path / "new" / "ranks.png"
    assert call("--plot", str(picture)) == 0
    out = capsys.readouterr().out
    assert "eurosat 20 % hr, linear: left out (missing: image_stats)" in out
    assert "2/3" in out
    assert picture.read_bytes().startswith(b"\x89PNG")
    assert call("--impute", "worst") == 0
    assert "imputed by the worst (missing: image_stats)" in capsys.readouterr().out
    assert call("--models", "rcf,galileo", "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["standings"]) == 2
    assert call("--models", "rcf") == 2
    assert "at least 2 models and 2 cells" in capsys.readouterr().err
