"""Two models on all cells that both have."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from skybench.analysis import compare, paired_tests
from skybench.analysis.compare import Comparison
from skybench.cli import app
from skybench.core import Record, UsageError
from skybench.records import predictions
from skybench.records.store import write_record

Made = Callable[..., Record]
RNG = np.random.default_rng(0)
GOOD = RNG.random(120) < 0.9
FAIR = RNG.random(120) < 0.6
LEVELS = {"imagenet": GOOD, "rcf": FAIR}


@pytest.fixture
def cells(made: Made) -> list[Record]:
    """Two models on three cells; on the last they are alike but for three images."""
    found = [made(m, r, recipe={"label": f"{n} %"}) for m, r in LEVELS.items() for n in (20, 50)]
    near = np.where(np.arange(120) < 3, ~GOOD, GOOD)
    return [*found, *(made(m, r, dataset="resisc45")
                      for m, r in (("imagenet", near), ("rcf", GOOD)))]  # fmt: skip


def of(records: list[Record], results: Path, *names: str, protocol: str = "") -> Comparison:
    one, other = names or tuple(LEVELS)
    return compare.compare_models(records, results, (one, other), "", protocol)


def test_every_common_cell_is_a_row_with_its_paired_difference(
    cells: list[Record], tmp_path: Path
) -> None:
    found = of(cells, tmp_path)
    assert [(d.key.dataset, d.key.label) for d in found.cells] == [
        ("aid", "20 %"), ("aid", "50 %"), ("resisc45", "20 %")
    ]  # fmt: skip
    for d in found.cells:
        assert d.gap is not None
        assert d.gap.value == pytest.approx(d.difference)
        assert d.gap.low <= d.difference <= d.gap.high
        assert d.gap.test == paired_tests.EXACT
    assert [d.verdict for d in found.cells] == ["win", "win", "tie"]
    assert not found.apart


def test_p_is_corrected_for_the_number_of_cells(cells: list[Record], tmp_path: Path) -> None:
    found = of(cells, tmp_path)
    ps = [d.gap.p for d in found.cells if d.gap]
    assert [d.corrected for d in found.cells] == paired_tests.holm(ps)
    assert [d.corrected for d in found.cells] != ps


def test_the_gain_is_the_mean_difference_over_every_cell(
    cells: list[Record], tmp_path: Path
) -> None:
    found = of(cells, tmp_path)
    (total,) = found.totals()
    scores = [[r.scores["oa"] for r in cells if r.model == m] for m in LEVELS]
    assert total.gain == pytest.approx(np.mean(scores[0]) - np.mean(scores[1]))
    assert total[:2] == ("linear", 3)
    assert (total.wins, total.ties, total.losses, total.untested) == (2, 1, 0, 0)
    (sentence,) = found.summary()
    assert f"imagenet is {total.gain:.2f} points above rcf on the mean of 3" in sentence
    assert "significantly better on 2, worse on 0, not told apart on 1" in sentence
    (turned,) = of(cells, tmp_path, "rcf", "imagenet").summary()
    assert "points below imagenet" in turned
    assert "better on 0, worse on 2, not told apart on 1" in turned


def test_effects_are_in_standard_errors_and_as_cohens_h(
    cells: list[Record], tmp_path: Path
) -> None:
    row = of(cells, tmp_path).cells[0].row()
    one, other = GOOD.mean(), FAIR.mean()
    error = np.std(GOOD.astype(float) - FAIR, ddof=1) / np.sqrt(120)
    assert row["effect"] == pytest.approx((one - other) / error, rel=0.15)
    assert row["h"] == pytest.approx(2 * np.arcsin(np.sqrt(one)) - 2 * np.arcsin(np.sqrt(other)))
    assert json.dumps(of(cells, tmp_path).plain())


def test_one_training_of_a_model_stands_for_itself_alone(made: Made, tmp_path: Path) -> None:
    records = [made(m, right, recipe={"protocol": "finetune"})
               for m, right in (("imagenet", GOOD), ("rcf", FAIR))]  # fmt: skip
    assert "these trained networks" in of(records, tmp_path).summary()[-1]
    linear = [made(m, right) for m, right in (("imagenet", GOOD), ("rcf", FAIR))]
    assert "trained networks" not in " ".join(of(linear, tmp_path).summary())
    seeds = [made(m, [right, np.roll(right, 1) & right], recipe={"protocol": "finetune"})
             for m, right in (("imagenet", GOOD), ("rcf", FAIR))]  # fmt: skip
    found = of(seeds, tmp_path)
    assert found.cells[0].row()["test"] == paired_tests.SEEDS
    assert "trained networks" not in " ".join(found.summary())


def test_without_predictions_the_difference_stands_untested(made: Made, tmp_path: Path) -> None:
    records = [made("imagenet", GOOD), made("rcf", FAIR, keep=False)]
    found = of(records, tmp_path)
    (duel,) = found.cells
    assert (duel.gap, duel.corrected, duel.verdict) == (None, None, "")
    assert duel.difference > 0
    assert "no predictions of rcf on aid were kept" in duel.note
    assert "not tested on 1" in found.summary()[0]


def test_the_sentence_says_over_how_many_tests_p_was_corrected(
    cells: list[Record], made: Made, tmp_path: Path
) -> None:
    untested = [made(m, r, dataset="eurosat", keep=False) for m, r in LEVELS.items()]
    found = of([*cells, *untested], tmp_path)
    (sentence,) = found.summary()
    assert "the mean of 4 common" in sentence
    assert "not tested on 1 (paired tests, Holm over 3, 5 %)" in sentence


def test_other_test_images_are_refused(made: Made, tmp_path: Path) -> None:
    records = [made("imagenet", GOOD), made("rcf", FAIR[:100])]
    (duel,) = of(records, tmp_path).cells
    assert duel.gap is None
    assert "other test images" in duel.note
    kept = predictions.load_predictions(records[1], tmp_path)
    path = (tmp_path / records[1].path).with_suffix(".npz")
    records[1] = made("rcf", FAIR)
    predictions.save_predictions(path, [f"other{i}" for i in range(100)], kept.metrics)
    (duel,) = of(records, tmp_path).cells
    assert "other test images" in duel.note


def test_cells_of_one_model_are_listed_with_the_reason(made: Made, tmp_path: Path) -> None:
    failed = replace(
        made("rcf", FAIR, recipe={"label": "50 %"}), status="failed", note="disk", scores={}
    )
    records = [
        made("imagenet", GOOD), made("rcf", FAIR), made("imagenet", GOOD, dataset="eurosat"),
        made("rcf", FAIR, dataset="eurosat", recipe={"epochs": 5}), failed,
        made("imagenet", GOOD, recipe={"label": "50 %"}),
        *(made(m, GOOD, data="demo") for m in LEVELS),
        made("imagenet", GOOD, dataset="ben_s2"), made("rcf", GOOD, dataset="ben_s2",
                                                       used={"weights": "random"}),
        made("rcf", GOOD, dataset="fmow_s2"),
    ]  # fmt: skip
    found = of(records, tmp_path)
    assert [d.key.dataset for d in found.cells] == ["aid"]
    place = "scene_classification: {} hr, linear ({} data)"
    assert found.apart == {
        place.format("aid 20 %", "demo"):
            "cells on demo data or on a part of the data are not averaged with others",
        place.format("aid 50 %", "real"): "rcf failed: disk",
        place.format("eurosat 20 %", "real"): found.apart[place.format("eurosat 20 %", "real")],
        place.format("ben_s2 20 %", "real"): "rcf has it only as full/random",
        place.format("fmow_s2 20 %", "real"): "imagenet was not measured",
    }  # fmt: skip
    assert "has it with epochs" in found.apart[place.format("eurosat 20 %", "real")]


def test_protocols_are_never_averaged(made: Made, tmp_path: Path) -> None:
    records = [made(m, r, recipe={"protocol": p}) for m, r in LEVELS.items()
               for p in ("knn", "linear")]  # fmt: skip
    found = of(records, tmp_path)
    assert [t.protocol for t in found.totals()] == ["knn", "linear"]
    assert len(found.summary()) == 2
    assert [d.key.protocol for d in of(records, tmp_path, protocol="knn").cells] == ["knn"]


def test_a_trained_model_is_compared_with_its_random_self_where_asked(
    made: Made, tmp_path: Path
) -> None:
    flags = ["random weights"]
    records = [made("imagenet", GOOD),
               made("imagenet", FAIR, used={"weights": "random"}, flags=flags)]  # fmt: skip
    found = of(records, tmp_path, "imagenet", "imagenet/random")
    assert found.cells[0].row()["flags_b"] == ["random weights"]
    assert "imagenet is" in found.summary()[0]
    assert "above imagenet/random" in found.summary()[0]


def test_nothing_in_common_is_said_with_the_reasons(made: Made, tmp_path: Path) -> None:
    records = [made("imagenet", GOOD), made("rcf", FAIR, dataset="eurosat")]
    with pytest.raises(UsageError, match=r"no measured cell in common.\n- .*rcf was not measured"):
        of(records, tmp_path)


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["skybench", *words])
    with pytest.raises(SystemExit) as end:
        app.main()
    return int(end.value.code or 0)


def test_the_command_prints_rows_marks_and_one_sentence(
    cells: list[Record],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    write_record(
        replace(cells[0], flags=["nominal units"], made="2026-02-01T00:00:00+00:00"), tmp_path
    )
    words = ("compare", "imagenet", "rcf", "--results", str(tmp_path))
    assert call(monkeypatch, *words) == 0
    out = capsys.readouterr().out
    assert "(u)" in out
    assert "nominal units:" in out
    assert "Not tested: no predictions" not in out  # the file is still beside the newer record
    assert out.strip().splitlines()[-1].startswith("imagenet is ")
    assert call(monkeypatch, *words, "--json") == 0
    assert len(json.loads(capsys.readouterr().out)["cells"]) == 3
    assert call(monkeypatch, "compare", "imagenet", "galileo", "--results", str(tmp_path)) == 2
    assert "Nothing of galileo" in capsys.readouterr().err
    assert call(monkeypatch, *words, "--task", "nothing") == 2


def test_the_table_command_uses_the_kept_predictions(
    cells: list[Record],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert call(monkeypatch, "table", "--results", str(tmp_path)) == 0
    out = capsys.readouterr().out
    assert "paired tests" in out
    assert out.count("*") == 4  # the best of two columns, and two models alike in the third


def test_a_field_that_only_one_recipe_changes_is_told_with_its_default(
    made: Made, tmp_path: Path
) -> None:
    other = made("b", GOOD, recipe={"schedule": "cosine", "clip": 35.0})
    expected = "a has it with schedule none, not cosine, clip 0.0, not 35.0"
    with pytest.raises(UsageError, match=expected):
        compare.compare_models([made("a", GOOD), other], tmp_path, ("a", "b"), "", "")
