from __future__ import annotations

import math

import pytest
import torch
from torch.nn import functional as F

from skybench.baselines._networks.galileo import (
    BandGroup,
    Galileo,
    Tokens,
    grid_codes,
    kernel_resizer,
    sincos_codes,
)


@pytest.fixture(scope="module")
def net() -> Galileo:
    torch.manual_seed(0)
    made = Galileo(32, 2, 4).eval()
    for name, parameter in made.named_parameters():
        if name.endswith("channel_embed"):
            torch.nn.init.normal_(parameter)
    return made


def group(channels: int, dates: int = 2, seed: int = 0) -> BandGroup:
    made = torch.Generator().manual_seed(seed)
    values = torch.randn(2, dates, channels, 8, 12, generator=made)
    return BandGroup(values, torch.tensor([[3, 7, 11][:dates], [0, 1, 2][:dates]]))


def test_waves_have_the_official_slow_frequencies() -> None:
    codes = sincos_codes(torch.tensor([3.0]), 4)[0]
    expected = [math.sin(3), math.sin(3 / 10000**0.125), math.cos(3), math.cos(3 / 10000**0.125)]
    assert codes.tolist() == pytest.approx(expected)


def test_grid_codes_hold_columns_first() -> None:
    codes = grid_codes(2, 3, 0.5, torch.empty(1, 32))
    assert codes.shape == (2, 3, 8)
    assert torch.equal(codes[0, 2, :4], sincos_codes(torch.tensor(1.0), 4))
    assert torch.equal(codes[1, 2, 4:], sincos_codes(torch.tensor(0.5), 4))


@pytest.mark.parametrize("patch", [1, 2, 4, 6])
def test_a_resized_kernel_is_the_best_substitute_on_resized_images(patch: int) -> None:
    torch.manual_seed(0)
    small, kernel = torch.randn(patch * patch), torch.randn(64)
    # Least squares: the kernel that, once enlarged by resizing's transpose, is nearest.
    resized = kernel_resizer(patch, torch.device("cpu")) @ kernel
    pixels = torch.eye(64).view(-1, 1, 8, 8)
    shrink = F.interpolate(pixels, (patch, patch), mode="bicubic", antialias=True).flatten(1)

    def error(candidate: torch.Tensor) -> float:
        return float((shrink @ candidate - kernel).square().sum())

    assert error(resized) < error(resized + 0.01 * small)
    assert error(resized) < error(resized - 0.01 * small)


def test_leaving_a_group_out_is_the_same_as_not_seeing_it(net: Galileo) -> None:
    rgb, radar = group(3), group(2, seed=1)
    blind = radar._replace(seen=torch.zeros(2, 2, dtype=torch.bool))
    with torch.inference_mode():
        alone = net({"S2_RGB": rgb}, 4)["S2_RGB"]
        both = net({"S1": blind, "S2_RGB": rgb}, 4)
        seen = net({"S1": radar, "S2_RGB": rgb}, 4)["S2_RGB"]
    torch.testing.assert_close(alone.values, both["S2_RGB"].values, atol=1e-5, rtol=1e-5)
    assert not both["S1"].seen.any()
    assert not torch.allclose(alone.values, seen.values, atol=1e-3)


@pytest.mark.parametrize("patch", [2, 4])
def test_tokens_have_a_place_for_each_patch_and_date(net: Galileo, patch: int) -> None:
    with torch.inference_mode():
        tokens = net({"S2_RGB": group(3), "DW": BandGroup(torch.randn(2, 9, 8, 12))}, patch)
    assert tokens["S2_RGB"].values.shape == (2, 2, 8 // patch, 12 // patch, 32)
    assert tokens["DW"].values.shape == (2, 8 // patch, 12 // patch, 32)
    assert all(isinstance(t, Tokens) and t.seen.all() for t in tokens.values())


def test_month_date_and_place_matter(net: Galileo) -> None:
    given = group(3)
    still = given._replace(values=torch.ones_like(given.values))
    assert still.months is not None
    with torch.inference_mode():
        base = net({"S2_RGB": still}, 4)["S2_RGB"].values
        later = net({"S2_RGB": still._replace(months=still.months.flip(1))}, 4)["S2_RGB"].values
        coarse = net({"S2_RGB": still}, 4, metres=30.0)["S2_RGB"].values
    assert not torch.allclose(base, later, atol=1e-4)
    assert not torch.allclose(base, coarse, atol=1e-4)
    assert not torch.allclose(base[:, 0], base[:, 1], atol=1e-4)
    assert not torch.allclose(base[:, :, 0, 0], base[:, :, 0, 1], atol=1e-4)


def test_a_sample_that_sees_nothing_stays_finite(net: Galileo) -> None:
    seen = torch.tensor([[True, False], [False, False]])
    with torch.inference_mode():
        tokens = net({"S2_RGB": group(3)._replace(seen=seen)}, 4)["S2_RGB"]
    assert torch.isfinite(tokens.values).all()
    assert torch.equal(tokens.seen[:, :, 0, 0], seen)


def test_a_kernel_resized_in_inference_mode_serves_in_training(net: Galileo) -> None:
    kernel_resizer.cache_clear()
    with torch.inference_mode():
        net({"S2_RGB": group(3)}, 4)
    net({"S2_RGB": group(3)}, 4)["S2_RGB"].values.sum().backward()
    net.zero_grad()
