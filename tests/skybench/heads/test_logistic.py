from __future__ import annotations

import functools
import math

import numpy as np
import pytest
import torch
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import average_precision_score
from torch import Tensor
from torch.nn import functional as F

from skybench.core import FitContext
from skybench.heads import logistic
from skybench.heads.logistic import LAMBDAS, Logistic
from skybench.heads.rows import FeatureRows

from . import _pooled
from ._pooled import Memory, answers, random_centres

SWEEP = torch.tensor(LAMBDAS)


def clusters(count: int, seed: int, classes: int = 3, apart: float = 0.7) -> Memory:
    return _pooled.clusters(count, seed, apart * random_centres(classes, 8), 1.0)


def fit_logistic(features: Tensor, labels: Tensor, classes: int, lambdas: Tensor) -> Tensor:
    return logistic.fit_logistic(FeatureRows(features), labels, classes, lambdas)


def probabilities(features: Tensor, weights: Tensor) -> Tensor:
    return (F.pad(features, (0, 1), value=1.0) @ weights).softmax(-1)


def scikit(data: Memory, strength: float) -> Tensor:
    model = LogisticRegression(C=strength, tol=1e-8, max_iter=5000)
    features = data.features.double().numpy()
    return torch.from_numpy(model.fit(features, data.ids.numpy()).predict_proba(features)).float()


@functools.cache
def closely_fitted(classes: int) -> Tensor:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logistic, "TOLERANCE", 1e-8)
        data = clusters(120, 0, classes)
        return fit_logistic(data.features, data.ids, classes, SWEEP)


@pytest.mark.parametrize("classes", [3, 5])
@pytest.mark.parametrize("index", [3, 5, 7, 10, 12])
def test_it_equals_scikit_learn(index: int, classes: int) -> None:
    data = clusters(120, 0, classes)
    weights = closely_fitted(classes)
    assert weights.shape == (len(LAMBDAS), 9, classes)
    expected = scikit(data, 1 / (LAMBDAS[index] * 120))
    found = probabilities(data.features, weights[index])
    # Not closer: in float32 the value stops falling at a gradient of some 1e-5.
    torch.testing.assert_close(found, expected, atol=1e-3, rtol=0)


@pytest.mark.parametrize("classes", [3, 5])
def test_every_lambda_reaches_the_usual_tolerance(classes: int) -> None:
    data = clusters(120, 0, classes)
    weights = fit_logistic(data.features, data.ids, classes, SWEEP).double().requires_grad_()
    x = F.pad(data.features.double(), (0, 1), value=1.0)
    for one, strength in zip(weights, LAMBDAS, strict=True):
        penalty = strength / 2 * (one[:-1] ** 2).sum()
        (slope,) = torch.autograd.grad(F.cross_entropy(x @ one, data.ids) + penalty, one)
        assert slope.abs().max() < 1.2 * logistic.TOLERANCE, strength
        expected = scikit(data, 1 / (strength * 120))
        found = probabilities(data.features, one.detach().float())
        torch.testing.assert_close(found, expected, atol=2e-2, rtol=0)


def test_two_classes_have_two_weight_vectors_and_half_the_penalty() -> None:
    data = clusters(80, 0, 2)
    weights = fit_logistic(data.features, data.ids, 2, torch.tensor([0.01]))[0]
    torch.testing.assert_close(weights[:-1, 0], -weights[:-1, 1], atol=1e-4, rtol=0)
    expected = scikit(data, 2 / (0.01 * 80))
    torch.testing.assert_close(probabilities(data.features, weights), expected, atol=2e-3, rtol=0)


def test_each_lambda_of_a_path_equals_that_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logistic, "TOLERANCE", 1e-6)
    data = clusters(60, 1)
    together = fit_logistic(data.features, data.ids, 3, SWEEP)
    for i in range(0, len(LAMBDAS), 3):
        (alone,) = fit_logistic(data.features, data.ids, 3, SWEEP[i : i + 1])
        torch.testing.assert_close(
            probabilities(data.features, together[i]),
            probabilities(data.features, alone),
            atol=2e-3,
            rtol=0,
        )


def odd_data(name: str) -> tuple[Tensor, Tensor, int]:
    """Training data that break careless solvers: features, labels, classes."""
    data = clusters(40, 2)
    x, y = data.features, data.ids
    if name == "separable":
        return x + 100 * F.one_hot(y, 8), y, 3
    if name == "duplicate columns":
        return x[:, :1].repeat(1, 8), y, 3
    if name == "constant columns":
        return torch.cat([torch.full((40, 4), 100.1), torch.zeros(40, 3), x[:, :1]], 1), y, 3
    if name == "a class without samples":
        return x, y % 2, 3
    if name == "one class only":
        return x, y * 0, 3
    if name == "one sample":
        return x[:1], y[:1], 3
    return x * 1e4 + 1e5, y, 3


@pytest.mark.parametrize(
    "name",
    ["separable", "duplicate columns", "constant columns", "a class without samples",
     "one class only", "one sample", "large numbers"],
)  # fmt: skip
def test_odd_data_give_finite_weights_that_fit(name: str) -> None:
    x, y, classes = odd_data(name)
    raw = fit_logistic(x, y, classes, SWEEP[::4])
    assert raw.isfinite().all()
    head = Logistic(classes, refit=True)
    chosen = head.fit(Memory(x, y), Memory(x, y), FitContext(0))
    assert head.weights.isfinite().all()
    assert all(math.isfinite(v) for v in chosen["sweep"].values())
    found = torch.tensor(answers(head.predict(Memory(x, y))))
    assert chosen["val"] >= 100 * float((y == y.mode().values).float().mean())
    if name in ("separable", "one class only", "one sample"):
        assert torch.equal(found, y)
    assert set(found.tolist()) <= set(y.tolist())


@pytest.mark.parametrize("value", [0.0, 0.1, 100.1, 3e4])
def test_a_column_that_is_constant_in_training_decides_nothing(value: float) -> None:
    data = clusters(80, 0, 2, apart=3.0)
    labels = torch.where(torch.arange(80) < 60, data.ids, 0)  # the classes are not balanced
    x = torch.cat([data.features, torch.full((80, 1), value)], 1)
    head = Logistic(2, refit=False)
    head.fit(Memory(x, labels), Memory(x, labels), FitContext(0))
    before = answers(head.predict(Memory(x, labels)))
    x[:, -1] += 0.01 + 0.01 * value
    assert answers(head.predict(Memory(x, labels))) == before


def test_features_are_standardised_as_in_training() -> None:
    train, test = clusters(60, 0), clusters(30, 1)
    head = Logistic(3, refit=False)
    head.fit(train, clusters(30, 2), FitContext(0))
    plain = answers(head.predict(test))

    def moved(data: Memory) -> Memory:
        return Memory(data.features * 50 - 300, data.ids)

    head.fit(moved(train), moved(clusters(30, 2)), FitContext(0))
    assert answers(head.predict(moved(test))) == plain
    scaled = torch.cat([x for _, x in head._rows(moved(train).features)])
    torch.testing.assert_close(scaled.mean(0), torch.zeros(8), atol=1e-4, rtol=0)
    torch.testing.assert_close(scaled.std(0, correction=0), torch.ones(8), atol=1e-4, rtol=0)


def test_lambda_is_the_largest_of_the_best_on_validation() -> None:
    train, val = clusters(40, 0, apart=0.4), clusters(60, 1, apart=0.4)
    head = Logistic(3, refit=False)
    chosen = head.fit(train, val, FitContext(0))
    mean, std = train.features.mean(0), train.features.std(0, correction=0)
    sweep = fit_logistic((train.features - mean) / std, train.ids, 3, SWEEP)
    for strength, weights in zip(LAMBDAS, sweep, strict=True):
        found = probabilities((val.features - mean) / std, weights).argmax(1)
        accuracy = 100 * float((found == val.ids).float().mean())
        assert chosen["sweep"][str(strength)] == pytest.approx(accuracy)
    best = max(chosen["sweep"].values())
    assert len(set(chosen["sweep"].values())) > 2
    assert chosen["val"] == best
    assert chosen["lambda"] == max(s for s in LAMBDAS if chosen["sweep"][str(s)] == best)
    assert not chosen["refitted"]
    torch.testing.assert_close(head.weights, sweep[LAMBDAS.index(chosen["lambda"])])


def test_among_equals_the_largest_lambda_is_chosen() -> None:
    train, val = clusters(60, 0, apart=5.0), clusters(30, 1, apart=5.0)
    chosen = Logistic(3, refit=False).fit(train, val, FitContext(0))
    assert set(chosen["sweep"].values()) == {100.0}
    assert chosen["lambda"] == 10.0


def test_with_refit_both_parts_are_learned_with_the_chosen_lambda() -> None:
    train, val = clusters(40, 0, apart=0.4), clusters(20, 1, apart=0.4)
    plain, head = Logistic(3, refit=False), Logistic(3, refit=True)
    before = plain.fit(train, val, FitContext(0))
    chosen = head.fit(train, val, FitContext(0))
    assert chosen == {**before, "refitted": True}
    x, y = torch.cat([train.features, val.features]), torch.cat([train.ids, val.ids])
    assert head.scale is not None
    torch.testing.assert_close(head.scale.mean, x.mean(0))
    scaled = (x - x.mean(0)) / x.std(0, correction=0)
    (weights,) = fit_logistic(scaled, y, 3, torch.tensor([chosen["lambda"]]))
    torch.testing.assert_close(head.weights, weights, atol=1e-4, rtol=1e-4)
    assert not torch.allclose(head.weights, plain.weights)


def test_predictions_are_ids_in_order_and_the_fit_is_deterministic() -> None:
    train, test = clusters(60, 0, apart=3.0), clusters(20, 1, apart=3.0)
    runs = []
    for _ in range(2):
        head = Logistic(3, refit=False)
        head.fit(train, clusters(30, 2, apart=3.0), FitContext(0))
        runs.append(answers(head.predict(test)))
    assert runs[0] == runs[1]
    assert all(type(c) is int for c in runs[0])
    assert np.mean(np.array(runs[0]) == test.ids.numpy()) > 0.9


def test_without_validation_samples_the_usual_strength_is_taken_and_said() -> None:
    for val in (None, clusters(0, 1)):
        head = Logistic(3, refit=True)
        chosen = head.fit(clusters(30, 0, apart=3.0), val, FitContext(0))
        assert (chosen["lambda"], chosen["val"]) == (1e-2, None)
        assert "no sample was left to choose on" in chosen["note"]
        test = clusters(30, 2, apart=3.0)
        assert np.mean(np.array(answers(head.predict(test))) == test.ids.numpy()) > 0.9


def test_several_classes_are_each_against_the_rest_as_in_scikit_learn() -> None:
    data = clusters(150, 0)
    hot = torch.stack([data.ids == 0, data.ids != 1, data.features[:, 0] > 0], 1).long()
    strength = 1e-2
    (weights,) = fit_logistic(data.features, hot, 3, torch.tensor([strength]))
    for c in range(3):
        oracle = LogisticRegression(C=1 / (strength * len(hot)), tol=1e-8, max_iter=10_000)
        oracle.fit(data.features.numpy(), hot[:, c].numpy())
        np.testing.assert_allclose(weights[:-1, c].numpy(), oracle.coef_[0], atol=5e-3)
        np.testing.assert_allclose(float(weights[-1, c]), oracle.intercept_[0], atol=5e-3)
    head = Logistic(3, refit=False)
    several = Memory(data.features, hot)
    chosen = head.fit(several, several, FitContext(0))
    scores = np.stack(list(head.predict(several)))
    assert scores.shape == (150, 3)
    micro = 100 * average_precision_score(hot.numpy(), scores, average="micro")
    assert chosen["val"] == pytest.approx(micro)
