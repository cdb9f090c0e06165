"""The score by which heads select; see skybench.heads.validation_score."""

from __future__ import annotations

import pytest
import torch
from sklearn.metrics import average_precision_score

from skybench.heads.validation_score import selection_score


def test_class_ids_are_scored_by_overall_accuracy() -> None:
    scores = torch.tensor([[0.2, 0.9], [0.8, 0.1], [0.3, 0.4]])
    assert selection_score(scores, torch.tensor([1, 0, 0])) == pytest.approx(200 / 3)


def test_several_classes_are_scored_by_micro_average_precision() -> None:
    made = torch.Generator().manual_seed(0)
    scores = torch.randn(20, 4, generator=made)
    truth = (torch.rand(20, 4, generator=made) < 0.4).long()
    expected = average_precision_score(truth.flatten(), scores.flatten())
    assert selection_score(scores, truth) == pytest.approx(100 * expected)
