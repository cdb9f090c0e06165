"""MTP: its files, whose grid of positions differs, and what it is not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from skybench.core import WeightsError, registry
from skybench.weights.load import load_model

GOLDENS = Path(__file__).parents[1] / "goldens"
PLUGIN: Any = registry.model("mtp")


def keys(name: str) -> dict[str, Tensor]:
    """Keys and shapes of a golden, without values."""
    case = json.loads((GOLDENS / f"{name}.keys.json").read_text())
    return {k: torch.empty(e["shape"], device="meta") for k, e in case["keys"].items()}


@pytest.mark.parametrize(
    ("name", "variant"),
    [("mtp_vit_b_rvsa", "vit_b_rvsa"), ("mtp_vit_l_rvsa", "vit_l_rvsa"), ("mtp_rvsa_tiny", "")],
)
@pytest.mark.parametrize("prefix", ["", "encoder.", "module.encoder."])
def test_the_width_tells_the_variant(name: str, variant: str, prefix: str) -> None:
    state = {prefix + key: tensor for key, tensor in keys(name).items()}
    assert PLUGIN.variant_of(state) == variant
    if variant:  # "full" is then that one
        with torch.device("meta"):
            model = load_model("mtp", {"state_dict": state})
        assert model.card == PLUGIN.card(variant)
        assert model.loaded.coverage is not None
        assert model.loaded.coverage.share == 1


def test_the_file_decides_the_grid_of_the_positions() -> None:
    fresh: Any = load_model("mtp", "random", "tiny", grid=28)
    file = {
        k.removeprefix("net.").replace("blocks.1.attn.rel", "blocks.1.attn.full_attn_rel"): t
        for k, t in fresh.state_dict().items()
    }
    assert file["blocks.1.attn.full_attn_rel_pos_h"].shape == (55, 8)
    model: Any = load_model("mtp", {"state_dict": file}, "tiny")
    assert model.net.settings.grid == 28
    assert torch.equal(model.net.blocks[1].attn.rel_pos_h, fresh.net.blocks[1].attn.rel_pos_h)


def test_pooled_is_the_mean_of_tokens_that_are_not_normed() -> None:
    model: Any = load_model("mtp", "random", "tiny", taken=(0, 1, 3, 3))
    model.net.norm.weight.data.zero_()
    images = torch.randn(2, 3, 128, 160, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        features = model.extract(images)
        tokens = model.net(images).tokens
    assert torch.equal(features.pooled, tokens.mean(1))
    assert torch.equal(features.pyramid[2], tokens.mT.reshape(2, 32, 8, 10))


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("samrs_vit_b_rvsa", "no net.pos_embed"),
        ("rvsa_vitb_cls", "do not fit mtp"),
        ("rvsa_vitb_seg_kvdiff", "windows of their own"),
        ("rvsa_vitaeb_seg", "convolutions beside"),
    ],
)
def test_a_file_of_its_relatives_is_refused(name: str, reason: str) -> None:
    with torch.device("meta"), pytest.raises(WeightsError, match=reason):
        load_model("mtp", {"state_dict": keys(name)}, "vit_b_rvsa")
