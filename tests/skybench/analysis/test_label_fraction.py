"""Scores by the fraction of the training data."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from skybench.analysis import label_fraction
from skybench.cli import app
from skybench.core import Record, UsageError
from skybench.report import plots

Made = Callable[..., Record]
RNG = np.random.default_rng(0)


def of(made: Made, model: str, fraction: float, **changes: object) -> Record:
    right = RNG.random(60) < 0.5 + 0.4 * fraction
    return made(model, right, recipe={"fraction": fraction}, keep=False, **changes)


def test_a_curve_is_what_differs_in_the_fraction_alone(made: Made) -> None:
    records = [of(made, "a", f) for f in (1.0, 0.1, 0.5)]
    records += [of(made, "b", 0.1), of(made, "a", 0.1, dataset="eurosat")]  # one point: no curve
    records += [of(made, "a", 0.1, used={"weights": "random"}), of(made, "a", 1.0, data="demo")]
    rows = label_fraction.curve_points(records)
    assert [(r["model"], r["dataset"], r["fraction"]) for r in rows] == [
        ("a", "aid", 0.1), ("a", "aid", 0.5), ("a", "aid", 1.0)
    ]  # fmt: skip
    assert [r["score"] for r in rows] == [records[i].scores["oa"] for i in (1, 2, 0)]
    assert all(r["low"] <= r["score"] <= r["high"] for r in rows)
    assert {r["settings"] for r in rows} == {""}


def test_models_and_tasks_can_be_chosen(made: Made) -> None:
    records = [of(made, m, f) for m in "ab" for f in (0.1, 1.0)]
    assert {r["model"] for r in label_fraction.curve_points(records, model="b")} == {"b"}
    with pytest.raises(UsageError, match="--fraction"):
        label_fraction.curve_points(records, task="semantic_segmentation")


@pytest.mark.parametrize("panels", [1, 6])
def test_curves_are_drawn_with_and_without_intervals(
    panels: int, made: Made, tmp_path: Path
) -> None:
    records = [of(made, "a", f, dataset=f"d{i}") for i in range(panels) for f in (0.1, 1.0)]
    rows = label_fraction.curve_points(records)
    for row in rows[: len(rows) // 2]:
        row.update(low=None, high=None)
    path = tmp_path / "curve.png"
    plots.fraction_curves(rows, path)
    assert path.read_bytes().startswith(b"\x89PNG")


def test_the_command_prints_a_row_a_point(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for fraction in (0.1, 1.0):
        of(made, "imagenet", fraction, data="demo")
    words = ["skybench", "curve", "--model", "imagenet", "--results", str(tmp_path)]
    for extra in ([], ["--json"], ["--plot", str(tmp_path / "x.png")]):
        monkeypatch.setattr(sys, "argv", [*words, *extra])
        with pytest.raises(SystemExit) as end:
            app.main()
        assert not end.value.code
        out = capsys.readouterr().out
        if "--json" in extra:
            assert [r["fraction"] for r in json.loads(out)] == [0.1, 1.0]
        else:
            assert "DEMO DATA" in out
    assert (tmp_path / "x.png").is_file()
