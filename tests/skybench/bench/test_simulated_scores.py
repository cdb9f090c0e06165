from __future__ import annotations

import numpy as np
import pytest

from skybench.bench import simulated_scores as simulated
from skybench.bench.simulated_scores import Shape
from skybench.bench.statistics import CASES, Case


def test_the_samples_of_a_unit_share_its_effects() -> None:
    shape = Shape(3, 4, "strong")
    assert shape.groups == [f"unit{i}" for i in range(3) for _ in range(4)]
    effects = simulated.unit_effects(shape, 2, np.random.default_rng(0))
    assert effects.luck.shape == (2, 12)
    for values in (effects.easy, effects.size, *effects.luck):
        assert len(set(values[:4])) == 1
        assert len(set(values)) == 3
    none = simulated.unit_effects(Shape(3), 1, np.random.default_rng(0))
    assert not none.easy.any()


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_models_are_scored_on_the_same_truth_and_follow_the_seed(case: Case) -> None:
    shape = Shape(60, 2, "mild")
    one, other = case.simulate(shape, 2, np.random.default_rng(1))
    again, _ = case.simulate(shape, 2, np.random.default_rng(1))
    scores = one.scores()[case.score]
    assert 0 < scores < 100
    assert scores == again.scores()[case.score]
    parts = np.random.default_rng(2).integers(0, 3, (5, 120)).astype(float)
    assert (one.scores(parts)[case.score] != other.scores(parts)[case.score]).any()
    drawn = one.scores(np.ones((2, 120)))[case.score]
    assert drawn == pytest.approx([scores, scores])


def test_images_with_strong_effects_differ_more() -> None:
    def deviation(effect: str) -> float:
        (metric,) = simulated.segmentations(Shape(200, 1, effect), 1, np.random.default_rng(2))
        right = metric.scores(np.eye(200))["oa"]
        return float(np.std(right))

    assert deviation("strong") > 2 * deviation("none")
