"""No command sets side by side, averages or writes what differs in kind without saying so."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skybench.analysis import comparable, compare, label_fraction, ranks
from skybench.cli import app
from skybench.core import Record, UsageError
from skybench.records.labels import DEMO
from skybench.report import claims, long_rows, reproduce, rescore

Made = Callable[..., Record]
Run = Callable[..., str]
GOOD, FAIR = [True] * 30 + [False] * 10, [True, False] * 20
# What must never be taken for the plain record: how it differs, and what tells it.
KINDS: dict[str, tuple[dict[str, Any], str]] = {
    "demo": ({"data": "demo"}, "demo"),
    "random": ({"flags": ["random weights"], "used": {"weights": "random"}}, "random"),
    "partial": (
        {"flags": ["partial checkpoint"], "used": {"weights": "cd" * 32}},
        "partial checkpoint",
    ),
    "tiny": ({"flags": ["tiny variant"], "used": {"variant": "tiny"}}, "tiny"),
    "limited": ({"flags": ["limited"], "recipe": {"limit": 50}}, "limit=50"),
    "a fraction": ({"flags": ["limited"], "recipe": {"fraction": 0.1}}, "fraction=0.1"),
    "overridden": ({"recipe": {"epochs": 5}, "used": {"overridden": ["epochs"]}}, "epochs=5"),
    "another network": ({"used": {"arch": {"depth": 3}}}, "depth=3"),
    "other sensors": ({"used": {"sensors": ["hr", "s1"]}}, "hr+s1"),
    "protocol": ({"recipe": {"protocol": "knn"}}, "knn"),
}
DEEP = {"used": {"arch": {"depth": 3, "stages": [1, 2]}}}


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a command on the records that `made` wrote; what it prints."""

    def call(*words: str) -> str:
        capsys.readouterr()
        monkeypatch.setattr(sys, "argv", ["skybench", *words, "--results", str(tmp_path)])
        with pytest.raises(SystemExit) as end:
            app.main()
        assert not end.value.code
        return capsys.readouterr().out

    return call


def told(row: dict[str, Any]) -> str:
    return " ".join(map(str, row.values()))


@pytest.mark.parametrize("kind", KINDS)
def test_rescored_rows_tell_it(kind: str, made: Made, tmp_path: Path, run: Run) -> None:
    changes, mark = KINDS[kind]
    other = made("imagenet", FAIR, **changes)
    ((plain,), _), ((row,), _) = (
        rescore.rescored([r], tmp_path, "oa") for r in (made("imagenet", GOOD), other)
    )
    assert mark in told(row)
    assert mark not in told(plain)
    assert all(flag in row["flags"] for flag in other.flags)
    assert {
        r["fingerprint"]: r for r in json.loads(run("rescore", "--metric", "oa", "--json"))
    } == {r["fingerprint"]: r for r in (plain, row)}


def test_rescored_rows_show_marks_and_what_they_mean(made: Made, run: Run) -> None:
    made("imagenet", GOOD, data="demo", flags=["partial checkpoint"], recipe={"limit": 50})
    out = run("rescore", "--metric", "oa")
    assert "75.00 (k)" in out
    assert "linear hr limit=50   demo" in out
    assert DEMO in out
    assert "(k) partial checkpoint: " in out


@pytest.mark.parametrize("kind", KINDS)
def test_plain_rows_tell_it(kind: str, made: Made) -> None:
    changes, mark = KINDS[kind]
    plain, row = long_rows.long_rows([made("imagenet", GOOD), made("imagenet", FAIR, **changes)])
    assert mark in told(row)
    assert mark not in told(plain)


@pytest.mark.parametrize("kind", sorted(set(KINDS) - {"protocol"}))
def test_a_record_that_is_set_out_for_a_repeat_tells_it(kind: str, made: Made) -> None:
    changes, mark = KINDS[kind]
    plain, row = (reproduce.reproduction(made("gfm", GOOD, **c)) for c in ({}, changes))
    assert mark in told({n: v for n, v in row.items() if n != "command"})
    assert mark not in told(plain)


def test_a_network_of_other_settings_is_meant_only_where_they_are_named(made: Made) -> None:
    plain, deep = made("imagenet", GOOD), made("imagenet", FAIR, **DEEP)
    deep = replace(deep, made="2026-02-01T00:00:00+00:00")
    for asked, record in (("imagenet", plain), ("imagenet/depth=3/stages=1+2", deep)):
        assert list(comparable.records_of_model([plain, deep], asked).values()) == [record]
    with pytest.raises(UsageError, match=r"There are imagenet/full/\w+/depth=3/stages=1\+2"):
        comparable.records_of_model([deep], "imagenet")


def test_two_models_are_compared_under_their_names_and_on_what_part(
    made: Made, tmp_path: Path
) -> None:
    part: dict[str, Any] = {"recipe": {"limit": 50}}
    records = [made("imagenet", GOOD, **DEEP, **part), made("rcf", FAIR, **part)]
    names = ("imagenet/depth=3/stages=1+2", "rcf")
    found = compare.compare_models(records, tmp_path, names, "", "linear")
    (duel,) = found.cells
    assert duel.row()["settings"] == "limit=50"  # those of the network are the model's
    assert found.summary()[0].startswith("imagenet/depth=3/stages=1+2 is 25.00 points above rcf")
    assert "of 1 common cell(s) on a part of the data (linear)" in found.summary()[0]


def test_ranks_are_of_usual_networks_unless_others_are_named(made: Made, tmp_path: Path) -> None:
    labels = ({"label": "20 %"}, {"label": "50 %"})
    records = [made(m, r, recipe=n) for m, r in (("gfm", GOOD), ("rcf", FAIR)) for n in labels]
    records += [made("imagenet", FAIR, recipe=n, **DEEP) for n in labels]
    assert {s.model for s in ranks.rank_models(records, tmp_path).standings} == {"gfm", "rcf"}
    names = ("imagenet/depth=3/stages=1+2", "gfm")
    found = ranks.rank_models(records, tmp_path, names)
    assert {s.model for s in found.standings} == set(names)
    assert not any("depth" in cell for cell in found.cells)


def test_curves_show_flags_and_are_of_one_network(made: Made, run: Run) -> None:
    flagged = [made("gfm", GOOD, flags=["partial checkpoint"], recipe={"fraction": f})
               for f in (0.1, 1.0)]  # fmt: skip
    lone = made("imagenet", GOOD), made("imagenet", GOOD, recipe={"fraction": 0.1}, **DEEP)
    rows = label_fraction.curve_points([*flagged, *lone])
    assert [(r["model"], r["flags"]) for r in rows] == [("gfm", ["partial checkpoint"])] * 2
    out = run("curve")
    assert out.count("75.00 (k)") == 2
    assert "(k) partial checkpoint: " in out


def test_gains_are_over_trained_whole_models_on_all_of_the_data(made: Made) -> None:
    records = [made("imagenet", GOOD), made("rcf", FAIR)]
    for number, (changes, _) in enumerate(KINDS.values()):
        if changes.get("flags") or changes.get("data"):
            records += [made(m, r, dataset=f"d{number}", **changes)
                        for m, r in (("imagenet", FAIR), ("rcf", GOOD))]  # fmt: skip
    (claim,) = claims.measured_claims("imagenet", records)
    assert (claim.model, claim.cells, claim.recomputed) == ("rcf", 1, 25.0)


def test_gains_are_of_one_checkpoint_and_network_on_equal_recipes(made: Made) -> None:
    own = made("imagenet", GOOD)
    others = [made("galileo", r, used={"variant": v}) for v, r in (("base", GOOD), ("nano", FAIR))]
    apart = [made("rcf", FAIR, **DEEP), made("gfm", FAIR, recipe={"epochs": 5})]
    made_ = claims.measured_claims("imagenet", [own, *others, *apart])
    assert {c.model: c.recomputed for c in made_} == {
        "galileo/base/abababab": 0.0, "galileo/nano/abababab": 25.0
    }  # fmt: skip
    again = claims.measured_claims("galileo", [own, *others])
    assert {c.of for c in again} == {c.model for c in made_}


def test_gains_show_settings_and_flags(made: Made, run: Run) -> None:
    five: dict[str, Any] = {"recipe": {"epochs": 5}, "used": {"overridden": ["epochs"]}}
    made("imagenet", GOOD, flags=["override", "nominal units"], **five)
    made("rcf", FAIR, flags=["override"], **five)
    out = run("claims", "--model", "imagenet")
    assert "hr epochs=5" in out
    assert "75.00 (ou) -  50.00 (o) = +25.00" in out
    assert "(u) nominal units: " in out
    (claim,) = json.loads(run("claims", "--model", "imagenet", "--json"))
    assert claim["pairs"][0]["flags"] == {
        "imagenet": ["override", "nominal units"], "rcf": ["override"]
    }  # fmt: skip


def test_without_a_common_cell_no_gain_is_taken_for_a_papers(made: Made, run: Run) -> None:
    made("imagenet", GOOD)
    assert run("claims", "--model", "imagenet").startswith("No other model has a cell in common")
    made("rcf", [False] * 40)
    assert "+75.0000 from 1 cells" in run("claims", "--model", "imagenet")  # of nothing no share
