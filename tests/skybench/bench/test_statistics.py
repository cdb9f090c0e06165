"""The short form of `skybench bench statistics`: rates within what its repetitions can tell."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skybench.analysis.intervals import uncertainty
from skybench.bench import statistics
from skybench.bench.simulated_scores import Shape, accuracies, segmentations
from skybench.bench.statistics import Case

REPEATED = 100
ERROR = 100 * np.sqrt(0.95 * 0.05 / REPEATED)  # 2.2 points


def case(title: str, *shapes: Shape) -> Case:
    (found,) = (c for c in statistics.CASES if c.title == title)
    return found._replace(shapes=shapes)


@pytest.mark.parametrize(
    "case",
    [
        case("OA of 80 %", Shape(50), Shape(14, 20, "strong")),
        case("AA", Shape(50)),
        case("mIoU", Shape(20), Shape(14, 20, "strong")),
        case("mF1", Shape(14, 20, "mild")),
        case("change F1", Shape(30), Shape(10, 30, "strong")),
    ],
    ids=lambda case: case.title,
)
def test_intervals_hold_and_equal_models_are_seldom_told_apart(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(statistics, "ENDLESS", 5000)
    for rates in statistics.bench_statistics(REPEATED, cases=[case]):
        assert rates.coverage > 93 - 2.5 * ERROR
        assert rates.null < 7 + 2.5 * ERROR
        assert rates.coverage_error == pytest.approx(ERROR, abs=ERROR)


def test_drawing_tiles_of_an_image_apart_would_be_far_too_narrow(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(statistics, "ENDLESS", 5000)
    rng, shape = np.random.default_rng(0), Shape(14, 20, "strong")
    mine = case("mIoU", shape)
    truth, held = statistics.true_score(mine, shape, rng), []
    for _ in range(40):
        metrics = segmentations(shape, 1, rng)
        tiles = [f"tile{i}" for i in range(280)]
        found = uncertainty(metrics, tiles).intervals["miou"]
        held.append(found.low <= truth <= found.high)
    assert np.mean(held) < 0.7  # of 14 images: 95 %


def test_rates_follow_the_seed_and_not_the_other_cases() -> None:
    small = Case("OA", "oa", accuracies(0.7), (Shape(10), Shape(20)))
    first, second = statistics.bench_statistics(20, cases=[small])
    assert (first.units, second.units) == (10, 20)
    assert [*statistics.bench_statistics(20, cases=[small._replace(shapes=[Shape(20)])])] == [
        second
    ]
    assert [*statistics.bench_statistics(20, 1, [small])] != [first, second]


def test_the_command_prints_a_row_for_each_test_set(
    skybench: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    small = Case("OA of 80 %", "oa", accuracies(0.8), (Shape(9),))
    monkeypatch.setattr(statistics, "CASES", (small,))
    (row,) = skybench("bench", "statistics", "--repetitions", "20", "--json").json
    assert (row["score"], row["units"]) == ("OA of 80 %", 9)
    assert 0 <= row["null"] <= 100
    wrong = skybench("bench", "statistics", "--score", "bleu")
    assert wrong.code == 2
    assert "Known: OA of 80 %" in wrong.err


def test_the_stored_rates_are_of_all_cases_and_within_what_they_promise() -> None:
    path = Path(__file__).parents[3] / "results" / "statistics.csv"
    with path.open(encoding="utf-8") as file:
        rows = [*csv.DictReader(file)]
    stored = {(r["score"], Shape(int(r["units"]), int(r["samples"]), r["effect"])) for r in rows}
    assert stored == {(case.title, shape) for case in statistics.CASES for shape in case.shapes}
    # An accuracy near 100 % takes few values: its rates cannot be nominal.
    held = [r for r in rows if not r["score"].startswith("OA of 9")]
    assert all(float(r["coverage"]) > 93 for r in held)
    assert all(float(r["null"]) < 7 for r in rows)
