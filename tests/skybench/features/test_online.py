"""Features of a backbone in training; see skybench.features.online."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from skybench.core import Batch, Features
from skybench.features.extraction import SourceSubset, split_features
from skybench.features.online import OnlineFeatures

from .._toys import Noise, Toy, looking

pytestmark = pytest.mark.usefixtures("own_cache")


class Learning(Toy):
    """A toy with a weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(1))

    def forward(self, batch: Batch) -> Features:
        found = super().forward(batch)
        return Features(found.pooled, tuple(x * self.weight for x in found.pyramid))


def test_a_live_source_gives_gradients_and_what_the_stored_one_has() -> None:
    samples, model = Noise(4, masks=True), Learning()
    live = OnlineFeatures(looking(model), samples)
    stored, _ = split_features(looking(model), samples, {"toy": 3}, "pyramid")
    levels = live.pyramid([2, 0])
    for one, other in zip(levels, stored.pyramid([2, 0]), strict=True):
        torch.testing.assert_close(one, other, rtol=1e-3, atol=0.1)
    torch.autograd.backward(levels[1].sum())
    assert model.weight.grad is not None
    assert float(model.weight.grad) != 0
    with torch.inference_mode():
        assert not live.pyramid([1])[0].requires_grad


def test_in_training_targets_are_those_of_the_augmented_images() -> None:
    samples, model = Noise(6, masks=True), Learning()
    online = OnlineFeatures(looking(model), samples, ("flip", "vflip"), seed=1)
    model.train()
    (fine, _), flipped = online.pyramid([0, 3, 5]), 0
    for place, index in enumerate((0, 3, 5)):
        sample = samples.read(index)
        image = sample.images["air"][0, [2, 1, 0]].float()
        axes = [a for a in ([], [-1], [-2], [-2, -1]) if torch.equal(image.flip(a), fine[place])]
        assert len(axes) == 1
        expected = torch.as_tensor(sample.target).flip(axes[0])
        np.testing.assert_array_equal(online.target(index), expected)
        flipped += bool(axes[0])
    assert flipped
    model.eval()
    np.testing.assert_array_equal(online.target(3), samples.read(3).target)


def test_neither_prefetching_nor_the_batch_changes_a_draw() -> None:
    samples, model, names = Noise(6), Learning().train(), ("rotate", "erase")
    plain, prefetched, later = (OnlineFeatures(looking(model), samples, names) for _ in range(3))
    plain.set_epoch(2)
    first = plain.pyramid([1, 4])[0]
    prefetched.set_epoch(2)
    source = SourceSubset(prefetched, range(6))
    source.prefetch([4, 1])
    torch.testing.assert_close(source.pyramid([4, 1])[0].flip(0), first)
    later.set_epoch(3)
    assert not torch.equal(later.pyramid([1, 4])[0], first)
