from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skybench.core import Recipe, Setting
from skybench.heads.dense import (
    CHUNK,
    Dense,
    Difference,
    EachDate,
    Levels,
    Linear,
    Scale,
    UNet,
    UPerNet,
    conv,
)  # fmt: skip
from skybench.metrics.segmentation import Segmentation

FOUR = ((4, 4), (6, 8), (8, 16), (10, 32))  # (channels, stride)
ONE = ((5, 16),)
RECIPE = Recipe("frozen", epochs=2, batch=2, lr=1e-3, weight_decay=0.01, width=8)


def pyramid(levels: Levels, count: int, side: int, seed: int = 0) -> list[Tensor]:
    made = torch.Generator().manual_seed(seed)
    return [torch.randn(count, c, side // s, side // s, generator=made) for c, s in levels]


class Memory:
    """Pyramids and masks; see core.Source."""

    def __init__(self, levels: Sequence[Tensor], masks: np.ndarray) -> None:
        self.levels, self.masks = levels, masks
        self.asked: list[int] = []

    def __len__(self) -> int:
        return len(self.masks)

    def pooled(self) -> Tensor:
        return self.levels[-1].mean((2, 3))

    def pyramid(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        self.asked.append(len(indices))
        return tuple(x[list(indices)] for x in self.levels)

    def target(self, index: int) -> Any:
        return self.masks[index]

    def labels(self) -> Tensor:
        return torch.zeros(len(self), dtype=torch.long)


def noise(levels: Levels, count: int, seed: int = 0) -> Memory:
    masks = np.random.default_rng(seed).integers(0, 3, (count, 64, 64)).astype(np.uint8)
    return Memory(pyramid(levels, count, 64, seed), masks)


def halves(levels: Levels) -> Memory:
    """4 samples: each quarter of an image has a class, and features with a trace of it."""
    quarters = np.random.default_rng(0).integers(0, 3, (4, 2, 2)).astype(np.uint8)
    masks = quarters.repeat(32, 1).repeat(32, 2)
    maps = pyramid(levels, 4, 64)
    for x in maps:
        small = F.interpolate(torch.from_numpy(quarters)[:, None].float(), x.shape[-2:])
        x[:, :1] += 3 * small
    return Memory(maps, masks)


def predictions(
    build: Callable[..., nn.Module],
    train: Memory,
    test: Memory,
    recipe: Recipe = RECIPE,
    seed: int = 0,
) -> list[np.ndarray]:
    levels = [(x.shape[1], 64 // x.shape[2]) for x in train.levels]
    head = Dense(build, levels, 3, recipe)
    chosen = head.fit(train, None, Setting(seed))
    assert np.isfinite(chosen["loss"]).all()
    return list(head.predict(test))


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
    chosen = head.fit(data, None, Setting(0))
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
    for x in Scale(data)(data.levels):
        torch.testing.assert_close(x.mean((0, 2, 3)), torch.zeros(x.shape[1]), atol=1e-3, rtol=0)
        deviation = x.std((0, 2, 3), correction=0)
        torch.testing.assert_close(deviation, torch.ones(x.shape[1]), atol=1e-3, rtol=0)


def test_a_large_mean_does_not_hide_the_deviation() -> None:
    data = Memory([1000 + 0.5 * torch.randn(4, 1, 16, 16)], np.zeros((4, 64, 64), np.uint8))
    (scaled,) = Scale(data)(data.levels)
    assert float(scaled.std()) == pytest.approx(1, abs=0.01)


@pytest.mark.parametrize("value", [0.0, 0.1, 1000.1])
def test_a_channel_that_is_constant_in_training_is_not_blown_up(value: float) -> None:
    data = noise(ONE, 3)
    data.levels[0][:, 0] = value
    scale = Scale(data)
    assert scale(data.levels)[0][:, 0].abs().max() < 1e-3
    other = [data.levels[0] + 0.01]
    assert scale(other)[0][:, 0].abs().max() < 0.1


def test_the_scale_is_learned_from_samples_over_the_whole_split() -> None:
    data = noise(ONE, 600)
    data.levels[0][300:] += 10
    scale = Scale(data)
    assert len(data.asked) == 200  # every third
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
        head.fit(train, None, Setting(seed))
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
    assert head.fit(train, None, Setting(0))["loss"] == (0.0, 0.0)


def test_predictions_have_the_shape_of_each_target_and_come_in_order() -> None:
    train = halves(FOUR)
    recipe = Recipe("linear", epochs=30, batch=4, lr=0.1)
    head = Dense(Linear, FOUR, 3, recipe)
    head.fit(train, None, Setting(0))
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
    head.fit(source, None, Setting(0))
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


def series(levels: Levels, masks: np.ndarray, dates: int) -> Memory:
    """Every date's maps show that date's mask, with noise and an offset of the sample's own."""
    made = torch.Generator().manual_seed(1)
    stacked = torch.from_numpy(masks).float().reshape(len(masks), dates, 1, 64, 64)
    offset = 0.3 * torch.randn(len(masks), 1, 1, 1, 1, generator=made)
    maps = []
    for channels, stride in levels:
        seen = F.avg_pool2d(stacked.flatten(0, 1), stride)
        seen = seen.reshape(len(masks), dates, 1, *seen.shape[-2:])
        noise = torch.randn(len(masks), dates, channels, *seen.shape[-2:], generator=made)
        maps.append(2 * seen + offset + 0.1 * noise)
    return Memory(maps, masks)


@pytest.mark.parametrize("levels", [FOUR, ONE])
@pytest.mark.parametrize("kind", [Linear, UPerNet, UNet])
def test_a_change_is_found_from_the_difference_of_two_dates(levels: Levels, kind: Any) -> None:
    rng = np.random.default_rng(0)
    before, after = rng.integers(0, 2, (2, 6, 4, 4)).astype(np.uint8).repeat(16, 2).repeat(16, 3)
    pair = series(levels, np.stack([before, after], 1), 2)
    changes = Memory(pair.levels, before ^ after)
    head = Dense(
        lambda *a: Difference(kind(*a)), levels, 2, replace(RECIPE, epochs=40, batch=3, lr=1e-2)
    )
    head.fit(changes, None, Setting(0))
    found = np.stack(list(head.predict(changes)))
    assert found.shape == (6, 64, 64)
    assert (found == changes.masks).mean() > 0.78  # one map of 4 x 4 cells blurs the edges


def test_each_date_gets_a_map_of_its_own() -> None:
    rng = np.random.default_rng(0)
    masks = rng.integers(0, 2, (4, 3, 4, 4)).astype(np.uint8).repeat(16, 2).repeat(16, 3)
    source = series(FOUR, masks.copy(), 3)
    masks[0, 1, :32] = 255
    source.masks = masks
    head = Dense(
        lambda *a: EachDate(UPerNet(*a)), FOUR, 2, replace(RECIPE, epochs=30, batch=2, lr=1e-2)
    )
    chosen = head.fit(source, None, Setting(0))
    assert chosen["loss"][-1] < chosen["loss"][0]
    found = np.stack(list(head.predict(source)))
    assert found.shape == masks.shape
    assert (found == masks)[masks != 255].mean() > 0.9


def test_the_scale_of_a_series_is_that_of_all_its_dates() -> None:
    levels = [torch.randn(3, 2, 4, 8, 8, generator=torch.Generator().manual_seed(0))]
    masks = np.zeros((3, 2, 32, 32), np.uint8)
    scaled = Scale(Memory(levels, masks))(levels)[0]
    torch.testing.assert_close(scaled.mean((0, 1, 3, 4)), torch.zeros(4), atol=1e-5, rtol=0)
    assert scaled.shape == levels[0].shape
