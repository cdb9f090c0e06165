"""Mistakes of released evaluation suites, as behaviours that must not be here: metrics, heads.

Found by running or reading PANGAEA, torchgeo-bench, GEO-Bench, OlmoEarth's and Galileo's
evaluations and timm's bulk runner.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import torch
from torch import Tensor

from skybench import metrics
from skybench.core import FitContext
from skybench.data.subsampling import stratified_subset
from skybench.heads import knn
from skybench.metrics.segmentation import Segmentation

from .contract._pretend_gpu import PretendGpu


class Memory:
    """Pooled features with classes; see core.Source."""

    def __init__(self, features: Tensor, labels: Tensor) -> None:
        self.features, self.known = features, labels

    def __len__(self) -> int:
        return len(self.features)

    def pooled(self) -> Tensor:
        return self.features

    def labels(self) -> Tensor:
        return self.known

    def pyramid(self, _: Any) -> Any: ...
    def target(self, _: Any) -> Any: ...


def pairs_of_labels(count: int, seed: int) -> Memory:
    """Images with two of six classes each; the features say which."""
    made = torch.Generator().manual_seed(seed)
    first = torch.arange(count) % 6
    labels = torch.nn.functional.one_hot(first, 6) + torch.nn.functional.one_hot((first + 1) % 6, 6)
    return Memory(labels + 0.05 * torch.randn((count, 6), generator=made), labels)


def fitted() -> tuple[knn.KNN, Memory]:
    """A head that learned from such images, and others to test it on."""
    train, val, test = (pairs_of_labels(60, seed) for seed in range(3))
    head = knn.KNN(6, refit=False)
    head.fit(train, val, FitContext(0))
    return head, test


def test_b1_precision_and_recall_are_not_exchanged() -> None:
    """PANGAEA: its matrix is [predicted, true], its precision divides by the sums for that."""
    true, predicted = np.array([[0, 1, 1, 1, 2]]), np.array([[0, 0, 1, 1, 2]])
    metric = Segmentation(("a", "b", "c"), "miou")
    metric.update(predicted, true)
    found = metric.per_class()
    assert [found[c]["precision"] for c in "abc"] == [50, 100, 100]
    assert [found[c]["recall"] for c in "abc"] == pytest.approx([100, 200 / 3, 100])
    change = metrics.change_f1([[1, 1, 1, 0]], [[1, 0, 0, 0]])
    assert change["precision"] == pytest.approx(100 / 3)
    assert change["recall"] == 100


def test_b2_a_class_that_the_split_lacks_takes_nothing_from_a_perfect_score() -> None:
    """PANGAEA: 66.7 for a perfect prediction with one of three classes absent."""
    true = np.array([[0, 0, 1, 1]])
    scores = metrics.mean_iou(true, true, classes=3)
    assert (scores["miou"], scores["mf1"]) == (100, 100)
    assert scores["miou_all"] == pytest.approx(200 / 3)  # that policy goes by its own name


@pytest.mark.parametrize(
    "kind", [list, np.array, torch.tensor, lambda x: [torch.tensor(i) for i in x]]
)
def test_b3_a_tenth_of_a_set_is_a_tenth_of_every_class(kind: Any) -> None:
    """PANGAEA: tensors as keys of a dict, so that all 100 samples came back."""
    labels = [i % 5 for i in range(100)]
    chosen = stratified_subset(kind(labels), 100, 10, seed=0)
    assert len(chosen) == 10
    assert sorted(labels[i] for i in chosen) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]


def test_b6_neighbours_reach_100_with_two_labels_an_image() -> None:
    """PANGAEA: always the 10 highest classes, so F1 was 0.333 at most; and averaged by batch."""
    head, test = fitted()
    said = np.stack(list(head.predict(test)))
    true = test.labels().numpy()
    assert metrics.mean_average_precision(said, true)["map_micro"] == 100
    assert ((said > 0.5) == true).all()  # as many classes as the neighbours have


def test_b6_a_score_is_one_count_and_no_mean_over_batches() -> None:
    rng = np.random.default_rng(0)
    said, true = rng.random((40, 5)), rng.integers(0, 2, (40, 5))
    whole = metrics.mean_average_precision(said, true)["map_micro"]
    order = rng.permutation(40)
    assert metrics.mean_average_precision(said[order], true[order])["map_micro"] == whole
    parts = [
        metrics.mean_average_precision(said[i : i + 8], true[i : i + 8])["map_micro"]
        for i in range(0, 40, 8)
    ]
    assert np.mean(parts) != pytest.approx(whole, abs=0.1)


def test_b12_distances_are_computed_once_whatever_the_number_of_classes(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """OlmoEarth and Galileo: the whole matrix of distances again for every class."""
    head, test = fitted()
    spy = Mock(wraps=knn.nearest_neighbours)
    monkeypatch.setattr(knn, "nearest_neighbours", spy)
    list(head.predict(test))
    spy.assert_called_once()


def test_b14_the_device_does_not_change_the_measure_of_distance() -> None:
    """torchgeo-bench: `metric=` is ignored on the CPU."""
    train, val, test = (pairs_of_labels(60, seed) for seed in range(3))
    made = torch.Generator().manual_seed(9)
    lengths = [torch.rand((60, 1), generator=made) * 9 + 0.1 for _ in range(3)]
    scaled = [
        Memory(m.features * x, m.known) for m, x in zip((train, val, test), lengths, strict=True)
    ]
    found = []
    for parts, device in (((train, val, test), "cpu"), (scaled, "cpu"), (scaled, "cuda")):
        head = knn.KNN(6, refit=False)
        with PretendGpu() if device == "cuda" else nullcontext():
            head.fit(parts[0], parts[1], FitContext(0, device))
            found.append(np.stack(list(head.predict(parts[2]))))
    np.testing.assert_allclose(found[1], found[0], atol=1e-5)  # cosine: lengths do not matter
    np.testing.assert_array_equal(found[2], found[1])
