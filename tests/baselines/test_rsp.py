"""RSP: published files, normalisation, windows, and the stock networks that it equals."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor

from skybench.baselines._networks.vitae_v2 import Attention, Pyramid
from skybench.core import Batch, WeightsError, registry
from skybench.weights.load import load_model

GOLDENS = Path(__file__).parents[1] / "goldens"
PLUGIN: Any = registry.model("rsp")
VARIANT = {
    "rsp_vitaev2_s": "vitaev2_s", "rsp_swin_t": "swin_t", "rsp_resnet50": "resnet50",
    "rsp_vitaev2_tiny": "", "samrs_vit_b_rvsa": "",
}  # fmt: skip


def published(name: str) -> dict[str, Tensor]:
    """A published file's entries, all of them, without values."""
    keys = json.loads((GOLDENS / f"{name}.keys.json").read_text())["keys"]
    return {
        k: torch.empty(e["shape"], dtype=getattr(torch, e["dtype"]), device="meta")
        for k, e in keys.items()
    }


@pytest.mark.parametrize("name", VARIANT)
def test_a_file_tells_its_network(name: str) -> None:
    state = published(name)
    assert PLUGIN.variant_of(state) == VARIANT[name]
    assert PLUGIN.variant_of({f"module.{k}": t for k, t in state.items()}) == VARIANT[name]


@pytest.mark.parametrize("name", [n for n, variant in VARIANT.items() if variant])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_the_classifier_and_what_is_not_used_are_left_out(name: str, prefix: str) -> None:
    with torch.device("meta"):
        model = load_model(
            "rsp", {"model": {f"{prefix}{k}": t for k, t in published(name).items()}}
        )
    coverage = model.loaded.coverage
    assert coverage is not None
    assert (coverage.share, coverage.missing, coverage.unexpected) == (1, (), ())


@pytest.mark.parametrize("name", ["rsp_swin_t", "rsp_resnet50", "rsp_vitaev2_tiny"])
def test_the_file_of_another_variant_is_refused(name: str) -> None:
    with torch.device("meta"), pytest.raises(WeightsError, match="do not fit rsp"):
        load_model("rsp", {"model": published(name)}, "vitaev2_s")


@pytest.mark.parametrize("variant", ["tiny", "tiny_swin_t", "tiny_resnet50"])
def test_colours_are_normalised_as_imagenets(variant: str) -> None:
    model: Any = load_model("rsp", "random", variant)
    red, green, blue = torch.rand(3, 1, 128, 128) * 255
    one = torch.ones(1, 1, dtype=torch.bool)
    images = torch.stack((red, green, blue), 1)[:, None]
    given = Batch(("0",), {"hr": images}, {"hr": one}, {"hr": -1 * one}, torch.zeros(1, 2))
    by_hand = ((red - 123.675) / 58.395, (green - 116.28) / 57.12, (blue - 103.53) / 57.375)
    with torch.inference_mode():
        found, expected = model(given), model.extract(torch.stack(by_hand, 1))
    torch.testing.assert_close(found.pooled, expected.pooled, atol=1e-5, rtol=1e-5)


def test_swin_is_timms() -> None:
    model: Any = load_model("rsp", "random", "tiny_swin_t")
    stock = timm.models.SwinTransformer(
        128, embed_dim=16, depths=(2, 2, 2, 2), num_heads=(1, 2, 4, 8), window_size=4, num_classes=0
    ).eval()
    state = {k.replace("norms.3", "norm"): t for k, t in model.net.state_dict().items()}
    later = r"layers\.(\d)\.downsample"
    state = {
        re.sub(later, lambda m: f"layers.{int(m[1]) + 1}.downsample", k): t
        for k, t in state.items()
    }
    stock.load_state_dict(state)
    images = torch.randn(2, 3, 128, 128)
    with torch.inference_mode():
        torch.testing.assert_close(
            model.extract(images).pooled, stock(images), atol=1e-5, rtol=1e-5
        )


def test_windows_are_filled_up_with_zeros() -> None:
    attention = Attention(6, 6, 2, window=4, add_values=False).eval()
    x = torch.randn(1, 5, 7, 6)
    filled = torch.zeros(1, 8, 8, 6)
    filled[:, :5, :7] = x
    whole = Attention(6, 6, 2, window=0, add_values=False)
    whole.load_state_dict(attention.state_dict())
    expected = torch.zeros_like(filled)
    for row in (slice(0, 4), slice(4, 8)):
        for column in (slice(0, 4), slice(4, 8)):
            expected[:, row, column] = whole(filled[:, row, column])
    torch.testing.assert_close(attention(x), expected[:, :5, :7])


@pytest.mark.parametrize(("stage", "side"), [(0, 32), (1, 16), (2, 14), (3, 6)])
def test_the_branches_of_the_pyramid_have_one_size(stage: int, side: int) -> None:
    out = Pyramid(3, 4, stage)(torch.randn(1, 3, side, 2 * side))
    stride, branches = (4, 2, 2, 2)[stage], (4, 3, 2, 2)[stage]
    assert out.shape == (1, 4 * branches, side // stride, 2 * side // stride)


def test_a_picture_on_its_side_gives_the_maps_of_vitae_on_their_side() -> None:
    """With kernels that are alike in both directions nothing tells rows from columns."""
    model: Any = load_model("rsp", "random", "tiny")
    for module in model.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.weight.data = module.weight.data + module.weight.data.mT
    images = torch.randn(1, 3, 160, 128)
    with torch.inference_mode():
        upright, turned = model.extract(images), model.extract(images.mT)
    for a, b in zip(upright.pyramid, turned.pyramid, strict=True):
        torch.testing.assert_close(a.mT, b, atol=1e-5, rtol=1e-4)


def test_batch_norms_keep_their_statistics_in_training() -> None:
    model: Any = load_model("rsp", "random", "tiny").train()
    before = model.net.layers[0].RC.PCM[1].running_mean.clone()
    model.extract(torch.randn(2, 3, 128, 128))
    assert torch.equal(model.net.layers[0].RC.PCM[1].running_mean, before)
