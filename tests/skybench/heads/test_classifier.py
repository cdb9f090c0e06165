"""A linear classifier that is trained with the backbone; see skybench.heads.classifier."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

from skybench.core import FitContext, Recipe
from skybench.heads.classifier import Finetuned, SafeBatchNorm1d

from . import _pooled
from ._pooled import random_centres

RECIPE = Recipe("finetune", epochs=30, batch=8, lr=0.05)


class Memory(_pooled.Memory):
    """Pooled features of a batch too."""

    def vectors(self, indices: Sequence[int]) -> Tensor:
        return self.features[list(indices)]


def clusters(count: int, seed: int, scale: float = 1.0) -> Memory:
    made = _pooled.clusters(count, seed, random_centres(3, 6), 0.3)
    return Memory(scale * made.features, made.ids)


@pytest.mark.parametrize("scale", [0.1, 1.0, 1e3])
def test_clusters_of_any_scale_are_learned_at_one_rate(scale: float) -> None:
    head = Finetuned(6, 3, False, RECIPE)
    facts = head.fit(clusters(24, 0, scale), None, FitContext(0))
    assert facts["parameters"] == 7 * 3
    assert facts["loss"][-1] < 0.1 * facts["loss"][0]
    test = clusters(21, 1, scale)
    found = [int(np.argmax(one)) for one in head.predict(test)]
    assert found == test.ids.tolist()


def test_several_classes_an_image_are_learned_one_by_one() -> None:
    train = clusters(24, 0)
    train.ids = torch.stack([train.ids == 0, train.ids != 1, train.ids >= 0], 1).to(torch.uint8)
    train.target = lambda index: train.ids[index].numpy()  # type: ignore[method-assign]
    head = Finetuned(6, 3, True, RECIPE)
    head.fit(train, None, FitContext(0))
    found = np.stack([*head.predict(train)]) > 0
    np.testing.assert_array_equal(found, train.ids.bool())


def test_a_sample_alone_is_normalised_by_the_running_statistics() -> None:
    norm = SafeBatchNorm1d(4, affine=False)
    x = torch.randn(8, 4, generator=torch.Generator().manual_seed(0)) + 3
    norm.train()(x)
    single = norm(x[:1])
    assert single.abs().min() > 0
    torch.testing.assert_close(single, norm.eval()(x[:1]))
