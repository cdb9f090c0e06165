"""What papers claim to gain, from their cells."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from skybench.core import Record
from skybench.records.published import PaperCell
from skybench.report import claims


def by_model() -> Mapping[str, claims.Claim]:
    return {f"{c.of} over {c.model}": c for c in claims.paper_claims()}


@pytest.mark.parametrize(
    ("model", "cells", "value", "claimed"),
    [("gfm", 14, 2.7629, 2.76), ("satlas", 20, 3.67, 3.67), ("scale_mae", 12, 3.6117, 3.61),
     ("best previous", 6, 1.8617, 1.86), ("cmid", 1, 3.99, 3.99)],
)  # fmt: skip
def test_the_papers_gains_reproduce(model: str, cells: int, value: float, claimed: float) -> None:
    claim = by_model()[f"skysense over {model}"]
    assert (claim.cells, claim.claimed, claim.reproduces) == (cells, claimed, True)
    assert claim.recomputed == pytest.approx(value, abs=5e-5)
    assert claim.recomputed == pytest.approx(
        sum(c.difference for c in claim.pairs) / len(claim.pairs), abs=5e-5
    )


def test_no_other_rule_fits_the_abstract() -> None:
    for model in ("gfm", "satlas", "scale_mae"):
        claim = by_model()[f"skysense over {model}"]
        assert all(round(v, 2) != claim.claimed for v in claim.others.values())


def test_the_second_versions_gain_does_not_reproduce() -> None:
    claim = by_model()["skysense_v2 over skysense"]
    assert (claim.cells, claim.reproduces) == (20, False)
    assert claim.recomputed == pytest.approx(1.61, abs=5e-3)
    assert claim.others["dataset means"] == pytest.approx(1.73, abs=5e-3)
    assert "does NOT reproduce" in claims.claims_text([claim])


def test_pairs_count_as_two_cells_and_are_told_apart() -> None:
    place = PaperCell("dyna_pla", "semantic_segmentation", "pair[0]", "", "mIoU")
    other = place._replace(split="pair[1]")
    pairs = claims.paired(
        {place: 3.0, other: 9.0, place._replace(split="x"): 1.0}, {place: 1.0, other: 3.0}
    )
    found = {name: rule(pairs) for name, rule in claims.RULES.items()}
    assert found["every cell"] == 4
    assert (found["first of a pair"], found["last of a pair"]) == (2, 6)
    assert found["relative gains"] == pytest.approx(200)


def record(model: str, score: float, **changes: Any) -> Record:
    recipe = {"protocol": "linear", "label": ""}
    fields: dict[str, Any] = {"dataset": "aid", "data": "real", "flags": [], **changes}
    return Record(model, "scene_classification", recipe=recipe, status="measured",
                  fingerprint=model, scores={"oa": score}, **fields)  # fmt: skip


def test_a_model_measured_here_is_compared_on_common_cells_only() -> None:
    found = [
        record("a", 90.0), record("b", 80.0), record("b", 10.0, dataset="resisc45"),
        record("c", 1.0, data="demo"), record("d", 1.0, flags=["random weights"]),
    ]  # fmt: skip
    (claim,) = claims.measured_claims("a", found)
    assert (claim.model, claim.cells, claim.recomputed, claim.claimed) == ("b", 1, 10.0, None)
    assert "claimed" not in claims.claims_text([claim])
