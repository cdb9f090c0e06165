"""RandAugment; see skybench.augment.randaugment."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skybench.augment.apply import augment
from skybench.augment.randaugment import OPERATIONS, Colour, Move, randaugment
from skybench.core import Sample

from ._augment import RGB, S2, card, noise


def test_at_level_0_nothing_moves() -> None:
    sample = Sample("k", {"s2": noise((1, 2, 9, 9), torch.int16)}, noise((9, 9)) // 100)
    for seed in range(20):
        after = augment(sample, ["randaugment=15,0,0"], card(S2), (seed,))
        assert torch.equal(after.images["s2"], sample.images["s2"])
        assert torch.equal(after.target, sample.target)


def test_at_the_highest_level_the_ground_moves_in_both_directions() -> None:
    ramp = torch.arange(20, dtype=torch.float32).expand(1, 2, 20, 20).clone()
    centres = {
        float(augment(Sample("k", {"s2": ramp}, 0), ["randaugment=1,10,0"], card(S2), (s,))
              .images["s2"][0, 0, 10, 10])
        for s in range(200)
    }  # fmt: skip
    assert min(centres) < 5  # 45 % to the left
    assert max(centres) > 15


def test_the_number_of_operations_is_that_of_the_recipe(monkeypatch: pytest.MonkeyPatch) -> None:
    class Always(np.random.Generator):
        def random(self, *given: object) -> object:  # type: ignore[override]
            return np.zeros(2)

    seen = []
    change = Colour(lambda x, _: seen.append(1) or x)  # type: ignore[func-returns-value]
    monkeypatch.setattr("skybench.augment.randaugment.OPERATIONS", (change,))
    rng = Always(np.random.PCG64(0))
    randaugment(Sample("k", {"hr": noise((2, 3, 4, 4))}, 0), (5, 9, 0.5), rng, card(RGB))
    assert len(seen) == 5


def test_there_are_timms_fifteen_operations() -> None:
    assert len(OPERATIONS) == 15
    assert sum(isinstance(o, Move) for o in OPERATIONS) == 5
