from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skybench.core import FitContext, Recipe
from skybench.heads.decoders import Levels, Linear, UPerNet, conv
from skybench.heads.dense import CHUNK, Dense, Standardise, classify
from skybench.metrics.segmentation import Segmentation

from ._dense import FOUR, ONE, RECIPE, Memory, halves, noise, predictions, pyramid


def test_linear_equals_one_convolution_on_the_stacked_levels() -> None:
    head = Linear(FOUR, 3, 0)
    levels = pyramid(FOUR, 2, 64)
    (found,) = head(levels)
    finest = levels[0].shape[-2:]
    stacked = torch.cat([F.interpolate(x, finest, mode="bilinear") for x in levels], 1)
    layers = [m for m in head.each if isinstance(m, nn.Conv2d)]
    weight = torch.cat([m.weight for m in layers], 1)
    bias = torch.stack([m.bias for m in layers if m.bias is not None]).sum(0)
    torch.testing.assert_close(found, F.conv2d(stacked, weight, bias), atol=1e-5, rtol=1e-5)
    assert found.shape == (2, 3, 16, 16)


@pytest.mark.parametrize(("levels", "finest"), [(FOUR, 16), (FOUR[:2], 16), (ONE, 16)])
def test_upernet_gives_an_auxiliary_answer_in_training_only(levels: Levels, finest: int) -> None:
    head = UPerNet(levels, 3, 8)
    maps = pyramid(levels, 2, 64)
    logits, auxiliary = head.train()(maps)
    assert logits.shape == (2, 3, finest, finest)
    assert auxiliary.shape[:2] == (2, 3)
    assert auxiliary.shape[2] in (2, 4, 8, 16)
    (again,) = head.eval()(maps)
    assert again.shape == logits.shape
    (alone,) = head([x[:1] for x in maps])
    torch.testing.assert_close(alone, again[:1], atol=1e-5, rtol=1e-4)


def test_upernet_takes_maps_that_are_not_square_and_a_single_pixel() -> None:
    head = UPerNet(FOUR, 3, 8).eval()
    wide = [torch.zeros(1, c, 32 // s, 96 // s) for c, s in FOUR]
    assert head(wide)[0].shape == (1, 3, 8, 24)
    single = UPerNet(ONE, 3, 8).eval()
    assert single([torch.zeros(1, 5, 1, 1)])[0].shape == (1, 3, 4, 4)


@pytest.mark.parametrize("levels", [FOUR, ONE])
def test_every_parameter_of_upernet_is_trained(levels: Levels) -> None:
    head = UPerNet(levels, 3, 8).train()
    logits, auxiliary = head(pyramid(levels, 2, 128))
    loss = (logits**2).sum() + (auxiliary**2).sum()
    gradients = torch.autograd.grad(loss, list(head.parameters()))
    assert all(g.abs().max() > 0 for g in gradients)


@pytest.mark.parametrize("size", [1, 6])
def test_normalisation_in_training_is_that_of_the_batch(size: int) -> None:
    x = torch.randn(3, 2, size, size, generator=torch.Generator().manual_seed(0))
    layer = conv(2, 4, 1)
    y = layer(x)
    raw = layer[0](x)
    mean, variance = raw.mean((0, 2, 3), keepdim=True), raw.var((0, 2, 3), False, keepdim=True)
    torch.testing.assert_close(y, F.relu((raw - mean) / (variance + 1e-5).sqrt()))


@pytest.mark.parametrize(
    ("build", "levels", "lr"), [(Linear, FOUR, 0.1), (UPerNet, FOUR, 0.01), (UPerNet, ONE, 0.01)]
)
def test_it_overfits_four_samples(
    build: Callable[..., nn.Module], levels: Levels, lr: float
) -> None:
    recipe = Recipe("frozen", epochs=40, batch=4, lr=lr, width=16)
    data = halves(levels)
    head = Dense(build, levels, 3, recipe)
    chosen = head.fit(data, None, FitContext(0))
    metric = Segmentation(("a", "b", "c"), "miou")
    for index, prediction in enumerate(head.predict(data)):
        metric.update(prediction, data.target(index))
    assert chosen["loss"][-1] < 0.2 * chosen["loss"][0]  # dropout keeps UPerNet's from 0
    assert metric.scores()["miou"] > 95
    assert chosen["steps"] == 40
    assert chosen["parameters"] == sum(p.numel() for p in head.head.parameters())


def test_features_are_brought_to_mean_0_and_deviation_1() -> None:
    data = noise(FOUR, 5)
    made = torch.Generator().manual_seed(3)
    for x in data.levels:
        x *= 10 ** torch.empty(x.shape[1], 1, 1).uniform_(-3, 3, generator=made)
        x += torch.empty(x.shape[1], 1, 1).uniform_(-5, 5, generator=made)
    for x in Standardise(data)(data.levels):
        torch.testing.assert_close(x.mean((0, 2, 3)), torch.zeros(x.shape[1]), atol=1e-3, rtol=0)
        deviation = x.std((0, 2, 3), correction=0)
        torch.testing.assert_close(deviation, torch.ones(x.shape[1]), atol=1e-3, rtol=0)


def test_a_large_mean_does_not_hide_the_deviation() -> None:
    data = Memory([1000 + 0.5 * torch.randn(4, 1, 16, 16)], np.zeros((4, 64, 64), np.uint8))
    (scaled,) = Standardise(data)(data.levels)
    assert float(scaled.std()) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("value", [0.0, 0.1, 1000.1])
def test_a_channel_that_is_constant_in_training_is_not_blown_up(value: float) -> None:
    data = noise(ONE, 3)
    data.levels[0][:, 0] = value
    scale = Standardise(data)
    assert scale(data.levels)[0][:, 0].abs().max() < 1e-3
    other = [data.levels[0] + 0.01]
    assert scale(other)[0][:, 0].abs().max() < 0.1


def test_the_scale_is_learned_from_samples_over_the_whole_split() -> None:
    data = noise(ONE, 600)
    data.levels[0][300:] += 10
    scale = Standardise(data)
    assert data.asked == [8] * 25  # every third sample, some at a time
    assert float(scale.get_buffer("mean0").mean()) == pytest.approx(5, abs=0.3)


@pytest.mark.parametrize("build", [Linear, UPerNet])
def test_a_head_follows_its_seed_and_leaves_the_global_one_alone(
    build: Callable[..., nn.Module],
) -> None:
    train = halves(FOUR)
    before = torch.random.get_rng_state()
    fitted = []
    for seed in (0, 0, 1):
        head = Dense(build, FOUR, 3, RECIPE)
        head.fit(train, None, FitContext(seed))
        fitted.append(nn.utils.parameters_to_vector(head.head.parameters()).detach())
    assert torch.equal(torch.random.get_rng_state(), before)
    assert torch.equal(fitted[0], fitted[1])
    assert not torch.equal(fitted[0], fitted[2])


@pytest.mark.parametrize("build", [Linear, UPerNet])
@pytest.mark.parametrize("levels", [FOUR, ONE])
@pytest.mark.parametrize("count", [1, 3])
def test_a_batch_may_hold_one_sample(
    build: Callable[..., nn.Module], levels: Levels, count: int
) -> None:
    found = predictions(build, noise(levels, count), noise(levels, 1, 1))
    assert len(found) == 1
    assert found[0].shape == (64, 64)


def test_what_lies_under_ignored_pixels_is_not_learned() -> None:
    train = halves(FOUR)
    truth = train.masks.copy()
    lied = np.where(np.arange(64) < 32, truth, (truth + 1) % 3).astype(np.uint8)
    hidden = np.where(np.arange(64) < 32, truth, 255).astype(np.uint8)
    recipe = Recipe("linear", epochs=30, batch=4, lr=0.1)
    shares = []
    for masks in (hidden, lied):
        found = predictions(Linear, Memory(train.levels, masks), train, recipe)
        shares.append(float((np.array(found) == truth).mean()))
    assert shares[0] > 0.75
    assert shares[1] < shares[0] - 0.1


def test_a_sample_without_any_label_teaches_nothing_and_breaks_nothing() -> None:
    train = noise(FOUR, 3)
    train.masks[1] = 255
    assert len(predictions(UPerNet, train, noise(FOUR, 2, 1))) == 2
    train.masks[:] = 255
    head = Dense(Linear, FOUR, 3, RECIPE)
    assert head.fit(train, None, FitContext(0))["loss"] == (0.0, 0.0)


def test_predictions_have_the_shape_of_each_target_and_come_in_order() -> None:
    train = halves(FOUR)
    recipe = Recipe("linear", epochs=30, batch=4, lr=0.1)
    head = Dense(Linear, FOUR, 3, recipe)
    head.fit(train, None, FitContext(0))
    order = [0, 1, 2, 3, 3, 2, 1, 0, 0, 3]
    many = Memory([x[order] for x in train.levels], train.masks[order][:, ::2])  # [N, 32, 64]
    found = list(head.predict(many))
    assert many.asked == [CHUNK, 2]
    for prediction, mask in zip(found, many.masks, strict=True):
        assert prediction.shape == (32, 64)
        assert (prediction == mask).mean() > 0.9
    assert not torch.is_inference_mode_enabled()


def test_predictions_do_with_the_memory_that_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    source = noise(FOUR, 9)
    head = Dense(Linear, FOUR, 5, replace(RECIPE, epochs=1))
    head.fit(source, None, FitContext(0))
    whole = list(head.predict(source))
    plain = Memory.pyramid

    def short(self: Memory, indices: Sequence[int]) -> tuple[Tensor, ...]:
        if len(indices) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return plain(self, indices)

    monkeypatch.setattr(Memory, "pyramid", short)
    found = list(head.predict(source))
    assert len(found) == len(whole) == 9
    assert all((a == b).all() for a, b in zip(found, whole, strict=True))


def test_the_loss_is_the_recipes() -> None:
    maps = torch.randn(1, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    masks = torch.zeros(1, 4, 4, dtype=torch.uint8)
    masks[0, 0] = 9
    usual = classify(9).loss(maps, masks)
    torch.testing.assert_close(classify(9, RECIPE).loss(maps, masks), usual)
    every = classify(9, replace(RECIPE, loss="all-pixels")).loss(maps, masks)
    torch.testing.assert_close(every, 0.75 * usual)
    smooth = classify(9, replace(RECIPE, smoothing=0.1)).loss(maps, masks)
    expected = F.cross_entropy(maps, masks.long(), ignore_index=9, label_smoothing=0.1)
    torch.testing.assert_close(smooth, expected)
