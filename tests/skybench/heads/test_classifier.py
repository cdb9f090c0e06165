"""A linear classifier that is trained with the backbone; see skybench.heads.classifier."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

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


def loss_of(head: Finetuned, source: Memory) -> Tensor:
    """The loss of all samples, of a head without training."""
    head.device = "cpu"
    head.head = torch.nn.Sequential(torch.nn.Identity())
    found: Tensor = head._loss(source)(list(range(len(source))), np.random.default_rng(0))
    return found


@pytest.mark.parametrize("soft", [False, True])
def test_losses_of_several_classes_are_torchs(soft: bool) -> None:
    source = clusters(6, 0)
    source.features = source.features[:, :3]
    target = torch.eye(3)[source.ids] * (0.7 if soft else 1)
    source.target = lambda index: target[index].numpy()  # type: ignore[method-assign]
    softmargin = loss_of(Finetuned(3, 3, True, replace(RECIPE, loss="softmargin")), source)
    expected = torch.nn.MultiLabelSoftMarginLoss()(source.features, target)
    torch.testing.assert_close(softmargin, expected)
    usual = loss_of(Finetuned(3, 3, True, RECIPE), source)
    torch.testing.assert_close(usual, 3 * expected)


def test_labels_of_one_class_are_smoothed_and_may_be_soft() -> None:
    source = clusters(6, 0)
    source.features = source.features[:, :3]
    head = Finetuned(3, 3, False, replace(RECIPE, smoothing=0.1))
    expected = torch.nn.CrossEntropyLoss(label_smoothing=0.1)(source.features, source.ids)
    torch.testing.assert_close(loss_of(head, source), expected)
    target = torch.eye(3)[source.ids]
    source.target = lambda index: target[index].numpy()  # type: ignore[method-assign]
    torch.testing.assert_close(loss_of(head, source), expected)


def test_dropout_is_before_the_linear_layer_in_training_alone() -> None:
    head = Finetuned(6, 3, False, replace(RECIPE, epochs=1, dropout=0.5))
    facts = head.fit(clusters(9, 0), None, FitContext(0))
    assert facts["parameters"] == 7 * 3
    assert [type(m).__name__ for m in head.head] == ["SafeBatchNorm1d", "Dropout", "Linear"]
    (first,), (again,) = ([*head.predict(clusters(1, 1))] for _ in range(2))
    np.testing.assert_array_equal(first, again)


def test_a_sample_alone_is_normalised_by_the_running_statistics() -> None:
    norm = SafeBatchNorm1d(4, affine=False)
    x = torch.randn(8, 4, generator=torch.Generator().manual_seed(0)) + 3
    norm.train()(x)
    single = norm(x[:1])
    assert single.abs().min() > 0
    torch.testing.assert_close(single, norm.eval()(x[:1]))
