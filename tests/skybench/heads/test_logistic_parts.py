"""Logistic regression: loss, metric, memory, row space."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from torch.nn import functional as F

from skybench.core import FitContext
from skybench.heads import logistic
from skybench.heads.logistic import LinearLoss, Logistic, Regularised, principal
from skybench.heads.rows import CHUNK, RESIDENT, FeatureRows

from ._memory import Largest
from ._pooled import Memory
from .test_logistic import SWEEP, clusters, fit_logistic, probabilities


@pytest.mark.parametrize("several", [False, True])
def test_the_gradient_is_that_of_autograd(several: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CHUNK, "cpu", 4 * 8 * 64)  # 64 rows
    data = clusters(100, 0)
    labels = F.one_hot(data.ids, 3) | (data.features[:, :1] > 0) if several else data.ids
    rows = FeatureRows(data.features)
    problem = Regularised(LinearLoss(rows, labels, 3), principal(rows), 0.1)
    made = torch.Generator().manual_seed(3)
    weights = torch.randn(3, 9, generator=made)
    index = torch.arange(3 if several else 1)
    value, gradient = problem.objective(index, weights.view(len(index), -1))
    w = weights.double().requires_grad_()
    z = F.pad(data.features.double(), (0, 1), value=1.0) @ w.T
    if several:
        each = F.binary_cross_entropy_with_logits(z, labels.double(), reduction="none").mean(0)
    else:
        each = F.cross_entropy(z, data.ids)[None]
    expected = each + 0.05 * (w[:, :-1] ** 2).sum(1).view(len(index), -1).sum(1)
    (slope,) = torch.autograd.grad(expected.sum(), w)
    torch.testing.assert_close(value, expected.detach(), rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(gradient.view(3, 9).double(), slope, rtol=1e-4, atol=1e-6)
    p = z.detach().sigmoid() if several else z.detach().softmax(1)
    spread = (p * (1 - p)).mean(0)[:, None].float()
    torch.testing.assert_close(problem.loss.spread, spread, rtol=1e-4, atol=1e-6)
    if several:  # a class by itself
        one, alone = problem.objective(torch.tensor([2]), weights[2:])
        torch.testing.assert_close(one, value[2:])
        torch.testing.assert_close(alone, gradient[2:])


def test_the_metric_is_the_inverse_hessian_where_all_is_known() -> None:
    """At weights of 0, with fewer features than principal directions: exactly, for one class."""
    x = clusters(100, 0).features
    rows = FeatureRows(x - x.mean(0))
    labels = (x[:, :1] > 0).long()
    problem = Regularised(LinearLoss(rows, labels, 1), principal(rows), 0.1)
    hessian = torch.eye(9) * 0.25
    hessian[:8, :8] = 0.25 * rows.x.T @ rows.x / 100 + 0.1 * torch.eye(8)
    found = torch.cat([problem.metric(torch.arange(1), e[None]) for e in torch.eye(9)])
    torch.testing.assert_close(found @ hessian, torch.eye(9), atol=1e-4, rtol=0)


@pytest.mark.parametrize("several", [False, True])
def test_with_fewer_samples_than_features_the_optimum_is_the_same(
    several: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logistic, "TOLERANCE", 1e-7)
    made = torch.Generator().manual_seed(5)
    x = torch.randn(30, 80, generator=made) + torch.arange(30)[:, None] % 3
    y = torch.arange(30) % 3
    truth = F.one_hot(y, 3) if several else y
    (weights,) = fit_logistic(x, truth, 3, torch.tensor([0.01]))
    for c in range(3):
        oracle = LogisticRegression(C=1 / (0.01 * 30), tol=1e-9, max_iter=10_000)
        oracle.fit(x.double().numpy(), (truth[:, c] if several else y).numpy())
        row = 0 if several else c
        np.testing.assert_allclose(weights[:-1, c].numpy(), oracle.coef_[row], atol=2e-3)
    usual = logistic._path(FeatureRows(x), truth, 3, torch.tensor([0.01]))[0]
    torch.testing.assert_close(weights, usual, atol=2e-3, rtol=0)


def test_chunks_do_not_matter(monkeypatch: pytest.MonkeyPatch) -> None:
    data = clusters(300, 0)
    whole = fit_logistic(data.features, data.ids, 3, SWEEP)
    monkeypatch.setitem(CHUNK, "cpu", 4 * 8 * 64)  # 64 rows
    parts = fit_logistic(data.features, data.ids, 3, SWEEP)
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(
            probabilities(data.features, one), probabilities(data.features, other),
            atol=2e-3, rtol=0,
        )  # fmt: skip


@pytest.mark.parametrize("several", [False, True])
def test_memory_does_not_grow_with_the_samples(
    several: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(CHUNK, "cpu", 4 * 8 * 512)
    monkeypatch.setitem(RESIDENT, "cpu", 0)
    data = clusters(2500, 0)  # 80 kB; of 13 lambdas all logits would take 390 kB
    labels = F.one_hot(data.ids, 3).bool() if several else data.ids
    head = Logistic(3, refit=False)
    with Largest() as seen:
        head.fit(Memory(data.features, labels), None, FitContext(0))
    assert seen.bytes < 60_000
