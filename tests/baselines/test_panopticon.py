"""Panopticon beyond the contract: published layouts, channel ids, sensors together."""

from __future__ import annotations

import importlib
from typing import Any

import pytest
import torch
from torch import Tensor

from skybench.baselines._networks.panopticon import ChannelCodes, ChannelPatches
from skybench.core import Batch, CannotRun, UsageError, WeightsError
from skybench.weights.load import load_model

adapter = importlib.import_module("skybench.baselines._adapters.panopticon")


def published() -> dict[str, Tensor]:
    """A tiny network's weights, of another seed."""
    state = load_model("panopticon", "random", "tiny", seed=7).state_dict()
    return {key.removeprefix("net."): tensor for key, tensor in state.items()}


def batch(**images: Tensor) -> Batch:
    """One date of images [B, C, H, W]."""
    count = len(next(iter(images.values())))
    dated = {n: x[:, None] for n, x in images.items()}
    seen = {n: torch.ones(count, 1, dtype=torch.bool) for n in images}
    days = {n: torch.full((count, 1), -1) for n in images}
    return Batch(("a",) * count, dated, seen, days, torch.zeros(count, 2))


@pytest.mark.parametrize("prefix", ["", "model.", "module."])
def test_every_layout_loads(prefix: str) -> None:
    state = published()
    file = {f"{prefix}{key}": t for key, t in (state | {"mask_token": torch.zeros(1, 32)}).items()}
    model = load_model("panopticon", file, "tiny")
    coverage = model.loaded.coverage
    assert coverage is not None
    assert (coverage.share, coverage.missing, coverage.unexpected) == (1, (), ())
    own = model.state_dict()
    assert all(torch.equal(own[f"net.{key}"], tensor) for key, tensor in state.items())


def test_a_plain_dinov2_is_refused() -> None:
    state = {k: t for k, t in published().items() if not k.startswith("patch_embed.")}
    kernel = {"patch_embed.proj.weight": torch.zeros(32, 3, 14, 14)}
    with pytest.raises(WeightsError, match="do not fit panopticon"):
        load_model("panopticon", state | kernel, "tiny")


def test_an_attention_that_does_not_divide_is_refused() -> None:
    with pytest.raises(UsageError, match="multiple of 2 heads, but got 45"):
        load_model("panopticon", "random", "tiny", inner=45)


def test_patches_are_what_torchgeos_are() -> None:
    theirs = importlib.import_module("torchgeo.models.panopticon").PanopticonPE(
        attn_dim=48, embed_dim=32, patch_size=14, chnfus_cfg={"attn_cfg": {"num_heads": 2}}
    )
    made = torch.Generator().manual_seed(0)
    shapes = {key: tensor.shape for key, tensor in theirs.state_dict().items()}
    state = {key: 0.3 * torch.randn(shape, generator=made) for key, shape in shapes.items()}
    theirs.load_state_dict(state)
    ours = ChannelPatches(32, 14, 48, 2)
    ours.load_state_dict(state)
    images = torch.randn(2, 5, 28, 42, generator=made)
    numbers = [664.0, 2203.6, -1.0, -6.0, -12.0]
    with torch.inference_mode():
        ids = torch.tensor([numbers, numbers])
        expected = theirs({"imgs": images, "chn_ids": ids}).mT.reshape(2, 32, 2, 3)
        torch.testing.assert_close(ours(images, numbers), expected, atol=1e-4, rtol=1e-4)


def test_radar_channels_are_told_apart_by_polarisation_and_orbit() -> None:
    channels = ChannelCodes(6)
    with torch.no_grad():
        channels.embed_transmit[:] = torch.tensor([[1.0, 1], [2, 2]])
        channels.embed_receive[:] = torch.tensor([[3.0, 3], [4, 4]])
        channels.embed_orbit[:] = torch.tensor([[5.0, 5], [7, 7]])
    found = {-1: [1, 3, 6], -2: [1, 4, 6], -3: [2, 4, 6], -4: [2, 3, 6], -6: [1, 4, 5]}
    for number, parts in {**found, -12: [2, 3, 7]}.items():
        assert channels([number])[0, ::2].tolist() == parts


def test_both_sensors_are_channels_of_one_image() -> None:
    model: Any = load_model("panopticon", "random", "tiny")
    s2, s1 = torch.rand(2, 13, 28, 42), torch.rand(2, 2, 28, 42)
    numbers = [442, 493, 559, 664, 704, 740, 782, 827, 864, 945, 1373, 1613, 2203, -1, -2]
    normed = torch.cat((model.normalise["s2"](s2), model.normalise["s1"](s1)), 1)
    with torch.inference_mode():
        found = model(batch(s1=s1, s2=s2, s2_rgb=s2[:, :3]))
        expected = model.extract(normed, numbers)
        turned = model.extract(normed.flip(1), numbers[::-1])
    assert torch.equal(found.pooled, expected.pooled)
    torch.testing.assert_close(turned.pooled, expected.pooled)


def test_sensors_on_different_grids_are_refused() -> None:
    model: Any = load_model("panopticon", "random", "tiny")
    with pytest.raises(CannotRun, match=r"one grid, but got sizes \[\(28, 28\), \(42, 42\)\]"):
        model(batch(s2=torch.zeros(1, 13, 42, 42), s1=torch.zeros(1, 2, 28, 28)))


def test_images_are_standardised_band_by_band() -> None:
    rgb = adapter.NORMALISE["s2_rgb"](torch.full((1, 3, 1, 1), 2000.0))
    assert rgb[0, 0, 0, 0].item() == pytest.approx((2000 - 1408.1113) / 994.7734)
    assert rgb[0, 2, 0, 0].item() == pytest.approx((2000 - 1383.9951) / 595.0351)
    s1 = adapter.NORMALISE["s1"](torch.full((1, 2, 1, 1), -15.0))
    assert s1[0, 1, 0, 0].item() == pytest.approx((-15 + 19.35255814) / 5.59050560)
    hr = adapter.NORMALISE["hr"](torch.full((1, 3, 1, 1), 255.0))
    assert hr[0, 1, 0, 0].item() == pytest.approx((255 - 106.19051078) / 66.91165971)
    assert adapter.CHANNEL_IDS["s2_20m"] == (493, 559, 664, 704, 740, 782, 827, 864, 1613, 2203)


def test_the_grid_of_the_positions_is_that_of_the_file() -> None:
    made = load_model("panopticon", "random", "tiny", 3, grid=5).state_dict()
    state = {f"model.{key.removeprefix('net.')}": tensor for key, tensor in made.items()}
    model = load_model("panopticon", state, "tiny")
    assert model.loaded.decided == {"grid": 5}
    assert torch.equal(model.state_dict()["net.pos_embed"], made["net.pos_embed"])
