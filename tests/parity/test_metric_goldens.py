"""The semantic change score against stored outputs of DynamicEarthNet's official scorer."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from skybench.metrics import semantic_change
from skybench.metrics.semantic_change import SemanticChange

OWN = Path(__file__).parents[1] / "goldens"
FOLDER = Path(os.environ.get("SKYBENCH_GOLDENS") or OWN) / "metrics"
TRUTHS = {"no_ignore": "gt", "with_ignore255": "gt_ignore"}


def golden(name: str) -> tuple[np.ndarray, np.ndarray, dict[str, float]]:
    """Predicted and true class maps [2, 4, 16, 16], and the official scores in percent."""
    folder = FOLDER if FOLDER.is_dir() else OWN / "metrics"
    with np.load(folder / "scs.npz") as maps:
        predicted, true = maps["pred"], maps[TRUTHS[name]]
    scores = json.loads((folder / "scs.json").read_text())[name]
    return predicted, true, {key: 100 * value for key, value in scores.items()}


@pytest.mark.parametrize("name", TRUTHS)
def test_the_scores_are_those_of_the_official_scorer(name: str) -> None:
    predicted, true, expected = golden(name)
    found = semantic_change(predicted, true)
    assert list(found) == ["SCS", "BC", "SC", "mIoU"]
    assert found == pytest.approx(expected, abs=1e-9, rel=0)


@pytest.mark.parametrize("name", TRUTHS)
def test_cubes_cut_into_tiles_give_the_same(name: str) -> None:
    predicted, true, expected = golden(name)
    metric = SemanticChange(tuple("abcdef"))
    for cube, y, x in np.ndindex(2, 2, 2):
        part = (cube, slice(None), slice(8 * y, 8 * y + 8), slice(8 * x, 8 * x + 8))
        metric.update(predicted[part], true[part], f"{cube}_{8 * y}_{8 * x}")
    found = metric.scores()
    assert {key: found[key] for key in expected} == pytest.approx(expected, abs=1e-9, rel=0)
    whole = [semantic_change(predicted[[i]], true[[i]])["SCS"] for i in range(2)]
    assert found["SCS_cube"] == pytest.approx(np.mean(whole))


def test_ignored_pixels_tell_the_variants_apart() -> None:
    predicted, true, expected = golden("with_ignore255")
    metric = SemanticChange(tuple("abcdef"))
    for cube in range(2):
        metric.update(predicted[cube], true[cube], f"{cube}_0_0")
    assert abs(metric.scores()["SCS_masked"] - expected["SCS"]) > 1
