"""Scale-MAE beyond the contract: published layouts, and positions in metres."""

from __future__ import annotations

import functools
import importlib
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from skybench.core import UsageError, WeightsError
from skybench.weights.load import load_model

adapter = importlib.import_module("skybench.baselines._adapters.scale_mae")
LAYOUTS = {
    "authors": ("model", "", ("decoder_embed.weight", "fpn.0.fpn1.0.weight", "mask_token")),
    "parallel": ("model", "module.", ("decoder_embed.weight",)),
    "torchgeo": (None, "", ()),
}


def published(prefix: str, further: tuple[str, ...]) -> dict[str, Tensor]:
    """A tiny network's weights under the published names, with positions that are not used."""
    own = load_model("scale_mae", "random", "tiny", seed=7).state_dict()
    state = {key.removeprefix("net."): tensor for key, tensor in own.items()}
    state |= {key: torch.zeros(4) for key in further} | {"pos_embed": torch.ones(1, 17, 64)}
    return {prefix + key: tensor for key, tensor in state.items()}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_loads(layout: str) -> None:
    container, prefix, further = LAYOUTS[layout]
    file: Any = published(prefix, further)
    model = load_model("scale_mae", {container: file} if container else file, "tiny")
    coverage = model.loaded.coverage
    assert coverage is not None
    assert (coverage.share, coverage.missing, coverage.unexpected) == (1, (), ())
    own = model.state_dict()
    assert all(
        torch.equal(own[f"net.{key}"], tensor)
        for key, tensor in published("", ()).items()
        if key != "pos_embed"
    )


def test_positions_of_another_network_are_refused() -> None:
    """SatMAE's temporal network has the same keys, but narrower positions."""
    state = published("", ()) | {"pos_embed": torch.ones(1, 17, 40)}
    with pytest.raises(WeightsError, match="positions are 40 wide, its tokens 64"):
        load_model("scale_mae", state, "tiny")


def test_a_wider_network_is_refused() -> None:
    with pytest.raises(WeightsError, match="do not fit scale_mae"):
        load_model("scale_mae", published("", ()), "tiny", dim=128)


@pytest.mark.parametrize("gsd", [1.0, 0.3])
def test_it_computes_what_torchgeos_does(gsd: float) -> None:
    theirs = importlib.import_module("torchgeo.models.scale_mae").ScaleMAE(
        res=gsd, img_size=96, patch_size=16, embed_dim=64, depth=4, num_heads=4, num_classes=0,
        norm_layer=functools.partial(nn.LayerNorm, eps=1e-6),
    )  # fmt: skip
    state = theirs.eval().state_dict()
    model: Any = load_model("scale_mae", state, "tiny", gsd=gsd)
    images = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = theirs.forward_features(images)
        found = model.extract(images)
    torch.testing.assert_close(found.pooled, expected[:, 0], atol=1e-5, rtol=1e-5)
    flat = found.pyramid[0].flatten(2).mT
    torch.testing.assert_close(flat, expected[:, 1:], atol=1e-5, rtol=1e-5)


def test_a_position_is_the_column_then_the_row_in_metres() -> None:
    codes = adapter.gsd_positions(2, 3, 8, torch.tensor([0.5, 10.0]))
    assert codes.shape == (2, 6, 8)
    column, row = 2 * 10.0, 1 * 10.0
    expected = [
        f(place / 10000 ** (i / 2)) for place in (column, row) for f in (math.sin, math.cos)
        for i in range(2)
    ]  # fmt: skip
    torch.testing.assert_close(codes[1, 5], torch.tensor(expected))


def test_images_of_two_resolutions_are_read_as_each_alone() -> None:
    model: Any = load_model("scale_mae", "random", "tiny")
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        alone = []
        for gsd in (0.5, 10.0):
            model.gsd = torch.tensor([gsd])
            alone.append(model.extract(images).pooled)
        model.gsd = torch.tensor([0.5, 10.0])
        together = model.extract(images).pooled
    assert not torch.allclose(alone[0], alone[1], atol=1e-3)
    expected = torch.stack((alone[0][0], alone[1][1]))
    torch.testing.assert_close(together, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("gsd", [0.0, -1.0, float("nan"), float("inf")])
def test_a_distance_that_is_none_is_refused(gsd: float) -> None:
    with pytest.raises(UsageError, match="gsd in metres per pixel"):
        load_model("scale_mae", "random", "tiny", gsd=gsd)


def test_the_images_are_scaled_as_imagenets() -> None:
    model: Any = load_model("scale_mae", "random", "tiny")
    pixels = torch.tensor([0.0, 255.0, 255.0])[None, :, None, None]
    found = model.normalise["hr"](pixels).flatten()
    expected = [-0.485 / 0.229, (1 - 0.456) / 0.224, (1 - 0.406) / 0.225]
    torch.testing.assert_close(found, torch.tensor(expected))
