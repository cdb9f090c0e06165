"""SoftCon beyond the contract: published layouts, whose file it is, statistics, positions."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor, nn
from torch.nn import functional as F

from skybench.core import WeightsError, registry
from skybench.weights.load import load_model

PLUGIN: Any = registry.model("softcon")
GOLDENS = Path(__file__).parents[1] / "goldens"


def published(variant: str) -> dict[str, Tensor]:
    """A tiny network's weights, of another seed, under the published names."""
    state = load_model("softcon", "random", variant, seed=7).state_dict()
    return {key.removeprefix("net."): tensor for key, tensor in state.items()}


@pytest.mark.parametrize("variant", ["tiny", "tiny_s1", "tiny_resnet"])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_every_layout_loads(variant: str, prefix: str) -> None:
    state = published(variant)
    file = {f"{prefix}{key}": t for key, t in (state | {"mask_token": torch.zeros(1, 32)}).items()}
    model = load_model("softcon", file, variant)
    coverage = model.loaded.coverage
    assert coverage is not None
    assert (coverage.share, coverage.missing, coverage.unexpected) == (1, (), ())
    own = model.state_dict()
    assert all(torch.equal(own[f"net.{key}"], tensor) for key, tensor in state.items())


def test_a_file_of_the_other_sensor_is_refused() -> None:
    with pytest.raises(WeightsError, match="do not fit softcon"):
        load_model("softcon", published("tiny_s1"), "tiny")


@pytest.mark.parametrize(
    ("golden", "variant"),
    [
        ("softcon_vit_base14_s2", "vit_base_s2"),
        ("softcon_vit_small14_s2", "vit_small_s2"),
        ("decur_rn50_s1", "resnet50_s1"),  # the same network
        ("decur_vits16_s2", ""),
        ("dinov3_vitl16_sat", ""),
        ("panopticon_vitb14", ""),
        ("croma_tiny", ""),
    ],
)
def test_a_file_tells_its_network(golden: str, variant: str) -> None:
    entries = json.loads((GOLDENS / f"{golden}.keys.json").read_text())["keys"]
    state = {key: torch.empty(entry["shape"], device="meta") for key, entry in entries.items()}
    assert PLUGIN.variant_of(state) == variant


def test_it_computes_what_timms_does() -> None:
    theirs = VisionTransformer(
        56, 14, 13, 0, embed_dim=32, depth=2, num_heads=2, init_values=0.5,
        norm_layer=functools.partial(nn.LayerNorm, eps=1e-6), global_pool="token",
    )  # fmt: skip
    ours: Any = load_model("softcon", theirs.eval().state_dict(), "tiny")
    images = torch.randn(2, 13, 56, 56)
    with torch.inference_mode():
        torch.testing.assert_close(ours.extract(images).pooled, theirs(images))


def test_positions_at_another_size_are_read_as_by_dinov2() -> None:
    model: Any = load_model("softcon", "random", "tiny")
    stored = model.net.pos_embed
    square = stored[:, 1:].mT.reshape(1, 32, 4, 4)
    scales = (3.1 / 4, 5.1 / 4)
    expected = F.interpolate(square, scale_factor=scales, mode="bicubic").flatten(2).mT
    assert torch.equal(model.positions(3, 5), torch.cat((stored[:, :1], expected), 1))


def test_bands_are_stretched_to_two_deviations_and_rounded_down() -> None:
    model: Any = load_model("softcon", "random", "tiny")
    bands = PLUGIN.CARD.inputs[1].bands
    images = torch.zeros(1, 12, 1, 3)
    steps = torch.tensor([-2.5, 0.0, 1.0])
    images[0, bands.index("swir16"), 0] = 2177.07172323 + 1336.09932639 * steps
    found = 255 * model.normalise["s2_l2a"](images)
    assert found.shape == (1, 13, 1, 3)
    torch.testing.assert_close(found[0, 11, 0], torch.tensor([0.0, 127.0, 191.0]))
    assert not found[0, 10].any(), "B10, which lacks"
