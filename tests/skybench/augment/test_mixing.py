"""Mixup and CutMix of batches; see skybench.augment.mixing."""

from __future__ import annotations

import importlib
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from skybench.augment.geometry import RelativeWindow
from skybench.augment.mixing import Mixing, cut_window, draw_mixing, mix_classes, mix_images
from skybench.core import Batch

from ._augment import noise

timm_mixup: Any = importlib.import_module("timm.data.mixup")
timm_loss: Any = importlib.import_module("timm.loss")


def batch(*shapes: tuple[int, ...], dates: int = 1) -> Batch:
    """A batch with a sensor of each shape [B, T, C, H, W]."""
    images = {f"s{i}": noise(shape, seed=i) for i, shape in enumerate(shapes)}
    count = shapes[0][0]
    seen = {name: torch.ones(count, x.shape[1], dtype=torch.bool) for name, x in images.items()}
    days = {name: torch.zeros(count, x.shape[1]) for name, x in images.items()}
    return Batch(("",) * count, images, seen, days, torch.zeros(count, 2))


@pytest.mark.parametrize("share", [0.0, 0.13, 0.5, 0.99, 1.0])
@pytest.mark.parametrize("centre", [(0, 0), (3, 20), (15, 23)])
def test_a_window_is_timms(
    share: float, centre: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn = iter(centre)
    monkeypatch.setattr(np.random, "randint", lambda low, high, size: next(drawn))
    (top, bottom, left, right), kept = timm_mixup.cutmix_bbox_and_lam((2, 3, 16, 24), share)
    window = cut_window(share, centre, (16, 24))
    ones = torch.zeros(16, 24)
    window.pixels(ones).fill_(1)
    expected = torch.zeros(16, 24)
    expected[top:bottom, left:right] = 1
    assert torch.equal(ones, expected)
    assert 1 - window.height * window.width == pytest.approx(kept)


@pytest.mark.parametrize("cut", [False, True])
def test_images_and_classes_are_mixed_as_in_timm(
    cut: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """timm's Mixup with label smoothing, and its loss of soft targets, from the same draws."""
    share, centre = 0.3, (5, 9)
    drawn = iter(centre)
    monkeypatch.setattr(np.random, "randint", lambda low, high, size: next(drawn))
    theirs = timm_mixup.Mixup(
        mixup_alpha=0.0 if cut else 1.0, cutmix_alpha=float(cut), label_smoothing=0.1, num_classes=5
    )
    monkeypatch.setattr(np.random, "beta", lambda *_: share)
    given, ids = batch((4, 1, 3, 16, 24)), torch.tensor([1, 4, 0, 1])
    x, target = theirs(given.images["s0"][:, 0].float(), ids)
    window = cut_window(share, centre, (16, 24)) if cut else None
    mixing = Mixing(1 - window.height * window.width if window else share, window)
    torch.testing.assert_close(mix_images(given, mixing).images["s0"][:, 0], x)
    logits = torch.randn(4, 5, generator=torch.Generator().manual_seed(0))
    soft = mix_classes(ids, 5, mixing)
    found = F.cross_entropy(logits, soft, label_smoothing=0.1)
    torch.testing.assert_close(found, timm_loss.SoftTargetCrossEntropy()(logits, target))
    assert not torch.equal(given.images["s0"][:, 0].float(), x)  # which stays as it was


def test_several_classes_an_image_are_mixed_one_by_one() -> None:
    classes = torch.tensor([[1, 1, 0], [0, 1, 0]], dtype=torch.uint8)
    found = mix_classes(classes, 3, Mixing(0.75))
    assert found.tolist() == [[0.75, 1.0, 0.0], [0.25, 1.0, 0.0]]


def test_a_window_covers_the_same_ground_in_every_sensor_and_date() -> None:
    given = batch((2, 3, 2, 16, 16), (2, 1, 1, 4, 4))
    found = mix_images(given, Mixing(0.75, RelativeWindow(0.25, 0.5, 0.5, 0.5)))
    for name, x in given.images.items():
        n = x.shape[-1]
        inside = torch.zeros(n, n, dtype=torch.bool)
        inside[n // 4 : 3 * n // 4, n // 2 :] = True
        expected = torch.where(inside, x.flip(0), x).float()
        assert torch.equal(found.images[name], expected)


def test_a_date_that_a_partner_lacks_is_not_seen() -> None:
    given = batch((3, 2, 1, 4, 4))
    given.seen["s0"][0, 1] = False
    assert mix_images(given, Mixing(0.5)).seen["s0"].tolist() == [
        [True, False], [True, True], [True, False],
    ]  # fmt: skip


def drawn(mixup: float, cutmix: float, count: int = 400) -> list[Mixing]:
    rng = np.random.default_rng(0)
    return [draw_mixing(mixup, cutmix, (32, 48), rng) for _ in range(count)]


def test_both_are_drawn_half_the_time_and_each_alone_always() -> None:
    cuts = np.array([m.window is not None for m in drawn(0.8, 1.0)])
    assert 0.4 < cuts.mean() < 0.6
    assert all(m.window is None for m in drawn(0.8, 0.0, 20))
    assert all(m.window is not None for m in drawn(0.0, 1.0, 20))
    # The share of mixup has a beta distribution of its alpha: variance 1 / (4 (2 alpha + 1)).
    shares = np.array([m.share for m in drawn(0.8, 0.0, 2000)])
    assert shares.mean() == pytest.approx(0.5, abs=0.03)
    assert shares.var() == pytest.approx(1 / (4 * 2.6), rel=0.1)
    assert all(0 <= m.share <= 1 for m in drawn(0.8, 1.0))


def test_the_share_of_cutmix_is_that_of_the_pixels_that_stay() -> None:
    for mixing in drawn(0.0, 1.0, 20):
        kept: Tensor = torch.ones(32, 48)
        assert mixing.window is not None
        mixing.window.pixels(kept).fill_(0)
        assert mixing.share == pytest.approx(float(kept.mean()))
