from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skybench.core import Batch, Features, FitContext, ModelCard, Recipe, SkybenchError
from skybench.core.model import Model
from skybench.training import fit, lr_schedules

RECIPE = Recipe("linear", epochs=4, batch=2, lr=0.1, weight_decay=0.5)


class Memory:
    """A source of maps [N, 2, 4, 4] that notes in which order it is asked; see core.Source."""

    def __init__(self, count: int, ignored: bool = False) -> None:
        rng = np.random.default_rng(0)
        self.masks = rng.integers(0, 3, (count, 8, 8)).astype(np.uint8)
        self.masks[:] = 255 if ignored else self.masks
        self.maps = torch.from_numpy(rng.normal(size=(count, 2, 4, 4)).astype(np.float32))
        self.asked: list[list[int]] = []

    def __len__(self) -> int:
        return len(self.masks)

    def pooled(self) -> Tensor:
        return self.maps.mean((2, 3))

    def pyramid(self, indices: Sequence[int]) -> tuple[Tensor, ...]:
        self.asked.append(list(indices))
        return (self.maps[list(indices)],)

    def vectors(self, indices: Sequence[int]) -> Tensor:
        return self.pooled()[list(indices)]

    def target(self, index: int) -> Any:
        return self.masks[index]

    def labels(self) -> Tensor:
        return torch.zeros(len(self), dtype=torch.long)


class Pixel(nn.Module):
    """A 1x1 convolution, and the same logits again as auxiliary answers."""

    def __init__(self, auxiliary: int = 0) -> None:
        super().__init__()
        self.layer, self.auxiliary = nn.Conv2d(2, 3, 1), auxiliary
        for parameter in self.layer.parameters():
            nn.init.constant_(parameter, 0.1)

    def forward(self, levels: Sequence[Tensor]) -> list[Tensor]:
        return [self.layer(levels[0])] * (1 + self.auxiliary)


def rates(monkeypatch: pytest.MonkeyPatch, source: Memory, recipe: Recipe) -> list[list[float]]:
    """The learning rate and decay of both groups of parameters at every step."""
    seen: list[list[float]] = []
    step = torch.optim.AdamW.step

    def noted(self: torch.optim.AdamW, *words: Any) -> Any:
        seen.append([g[k] for g in self.param_groups for k in ("lr", "weight_decay")])
        return step(self, *words)

    monkeypatch.setattr(torch.optim.AdamW, "step", noted)
    fit.dense_training(Pixel(), source, recipe, FitContext(0)).run()
    return seen


def test_training_follows_the_schedule(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = rates(monkeypatch, Memory(10), RECIPE)
    assert len(seen) == 4 * 5
    for step, (weights, decay, biases, none) in enumerate(seen):
        assert weights == biases == pytest.approx(0.1 * lr_schedules.linear_decay(step, 20))
        assert (decay, none) == (0.5, 0.0)


def test_every_epoch_sees_every_sample_once_in_the_seeds_order() -> None:
    orders = []
    for seed in (0, 0, 1):
        source = Memory(5)
        trained = fit.dense_training(Pixel(), source, RECIPE, FitContext(seed)).run()
        assert trained.steps == len(source.asked) == 4 * 3
        assert len(trained.losses) == 4
        assert max(map(len, source.asked)) <= RECIPE.batch
        epochs = [list(itertools.chain(*source.asked[i : i + 3])) for i in range(0, 12, 3)]
        assert all(sorted(e) == list(range(5)) for e in epochs)
        assert len({tuple(e) for e in epochs}) > 1
        orders.append(source.asked)
    assert orders[0] == orders[1] != orders[2]


def test_the_loss_of_an_epoch_is_the_mean_over_its_samples() -> None:
    source = Memory(3)
    recipe = Recipe("linear", epochs=1, batch=2, lr=0.0)
    (loss,) = fit.dense_training(Pixel(), source, recipe, FitContext(0)).run().losses
    logits = Pixel()([source.maps])[0]
    masks = torch.from_numpy(source.masks)
    each = [fit.cross_entropy(logits[i : i + 1], masks[i : i + 1]).item() for i in range(3)]
    assert loss == pytest.approx(np.mean(each), abs=2e-5)


def test_auxiliary_answers_count_with_their_weight() -> None:
    recipe = Recipe("linear", epochs=1, batch=4, lr=0.0)
    (plain,) = fit.dense_training(Pixel(), Memory(4), recipe, FitContext(0)).run().losses
    (more,) = fit.dense_training(Pixel(2), Memory(4), recipe, FitContext(0)).run().losses
    assert more == pytest.approx(plain * (1 + 2 * fit.AUXILIARY), abs=2e-5)


def test_training_lowers_the_loss_and_ends_in_evaluation_mode() -> None:
    head = Pixel()
    source = Memory(4)
    source.masks[:] = 2
    reports: list[tuple[str, int, int]] = []
    setting = FitContext(0, report=lambda *words: reports.append(words))
    losses = fit.dense_training(head, source, RECIPE, setting).run().losses
    assert losses[-1] < 0.7 * losses[0]
    assert not head.training
    assert [words[1:] for words in reports] == [(i + 1, 8) for i in range(8)]
    assert all(words[0].startswith("training, loss ") for words in reports)


def test_predictions_are_made_of_fewer_samples_at_once_where_memory_is_short() -> None:
    asked: list[tuple[int, int]] = []

    def answers(start: int, most: int) -> list[int]:
        asked.append((start, most))
        if most > fits:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return [*range(start, min(start + most, 7))]

    fits = 3
    assert [*fit.predict_in_batches(7, 8, answers)] == [*range(7)]
    assert asked == [(0, 8), (0, 4), (0, 2), (2, 2), (4, 2), (6, 2)]
    fits = 0
    with pytest.raises(torch.OutOfMemoryError):
        next(fit.predict_in_batches(7, 8, answers))


def test_the_loss_is_the_mean_over_the_pixels_that_count() -> None:
    logits = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    masks = torch.randint(0, 3, (2, 4, 4), generator=torch.Generator().manual_seed(1))
    masks[0, :2] = 255
    masks = masks.to(torch.uint8)
    expected = F.cross_entropy(logits, masks.long(), ignore_index=255)
    torch.testing.assert_close(fit.cross_entropy(logits, masks), expected)
    large = masks.repeat_interleave(2, 1).repeat_interleave(2, 2)
    resized = F.interpolate(logits, (8, 8), mode="bilinear")
    expected = F.cross_entropy(resized, large.long(), ignore_index=255)
    torch.testing.assert_close(fit.cross_entropy(logits, large), expected)


def test_the_loss_over_all_pixels_is_mmsegmentations_default() -> None:
    """Its mean divides by the labels' count, ignored ones included; see `avg_non_ignore`."""
    logits = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    masks = torch.randint(0, 3, (2, 4, 4), generator=torch.Generator().manual_seed(1))
    masks[0, :2] = 255
    each = F.cross_entropy(logits, masks, ignore_index=255, reduction="none")
    found = fit.cross_entropy(logits, masks.to(torch.uint8), all_pixels=True)
    torch.testing.assert_close(found, each.mean())
    assert found < fit.cross_entropy(logits, masks.to(torch.uint8))
    smooth = F.cross_entropy(logits, masks, ignore_index=255, label_smoothing=0.2)
    torch.testing.assert_close(fit.cross_entropy(logits, masks, smoothing=0.2), smooth)


def test_ignored_pixels_give_no_gradient() -> None:
    logits = torch.zeros(1, 3, 2, 2, requires_grad=True)
    masks = torch.tensor([[[0, 255], [255, 1]]], dtype=torch.uint8)
    (gradient,) = torch.autograd.grad(fit.cross_entropy(logits, masks), logits)
    assert gradient[0, :, 0, 1].tolist() == gradient[0, :, 1, 0].tolist() == [0, 0, 0]
    assert gradient[0, :, 0, 0].abs().sum() > 0


@pytest.mark.parametrize("ignore", [0, 250])
def test_another_ignore_value_is_left_out_of_the_loss(ignore: int) -> None:
    logits = torch.randn(1, 3, 2, 2, generator=torch.Generator().manual_seed(0))
    masks = torch.tensor([[[ignore, 1], [2, ignore]]], dtype=torch.uint8)
    expected = F.cross_entropy(logits, masks.long(), ignore_index=ignore)
    torch.testing.assert_close(fit.cross_entropy(logits, masks, ignore), expected)


def test_masks_without_a_label_give_loss_0_and_no_gradient() -> None:
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    loss = fit.cross_entropy(logits, torch.full((2, 8, 8), 255, dtype=torch.uint8))
    assert loss.item() == 0.0
    (gradient,) = torch.autograd.grad(loss, logits)
    assert gradient.abs().max() == 0.0
    head = Pixel()
    recipe = Recipe("linear", epochs=2, batch=2, lr=0.1)
    assert fit.dense_training(
        head, Memory(4, ignored=True), recipe, FitContext(0)
    ).run().losses == (
        0.0,
        0.0,
    )
    assert torch.equal(head.layer.weight, Pixel().layer.weight)


def test_a_loss_that_is_not_finite_is_an_error() -> None:
    source = Memory(4)
    source.maps[2] = float("nan")
    with pytest.raises(SkybenchError, match=r"loss became nan in epoch 1; .* smaller .* than 0\.1"):
        fit.dense_training(Pixel(), source, RECIPE, FitContext(0)).run()


def test_iterations_end_in_the_middle_of_a_pass() -> None:
    source = Memory(5)
    trained = fit.dense_training(
        Pixel(), source, replace(RECIPE, iterations=4), FitContext(0)
    ).run()
    assert (trained.steps, len(source.asked), len(trained.losses)) == (4, 4, 2)


class Blank(Model):
    """A backbone without parameters."""

    def forward(self, batch: Batch) -> Features:
        raise NotImplementedError


def test_the_backbone_is_in_training_mode_only_while_it_learns() -> None:
    backbone = Blank(ModelCard("toy", "", "extra", (), 2, (), "", "", "")).eval()
    modes = []

    def report(*_: object) -> None:
        modes.append(backbone.training)

    recipe = replace(RECIPE, protocol="finetune")
    fit.dense_training(
        Pixel(), Memory(4), recipe, FitContext(0, report=report, backbone=backbone)
    ).run()
    assert set(modes) == {True}
    assert not backbone.training


@pytest.mark.parametrize("size", [(6, 4), (9, 4)])
def test_maps_of_the_right_size_are_not_interpolated(size: tuple[int, int]) -> None:
    maps = torch.randn(2, 3, 6, 4, generator=torch.Generator().manual_seed(0))
    found = fit.resize_maps(maps, size)
    assert torch.equal(found, torch.nn.functional.interpolate(maps, size, mode="bilinear"))
    assert (found is maps) == (size == (6, 4))
