"""DOFA beyond the contract: published layouts, both generations, bytes, positions, sensors."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from skybench.core import UINT8, Sensor, WeightsError, registry, variants
from skybench.weights.load import load_model

PLUGIN: Any = registry.model("dofa")
GOLDENS = Path(__file__).parents[1] / "goldens"


def published() -> dict[str, Tensor]:
    """A tiny network's weights, of another seed, without the norm that files lack."""
    state = load_model("dofa", "random", "tiny", seed=7).state_dict()
    bare = {key.removeprefix("net."): tensor for key, tensor in state.items()}
    return {key: tensor for key, tensor in bare.items() if not key.startswith("norm.")}


@pytest.mark.parametrize("layout", ["authors", "torchgeo", "pre-training"])
def test_every_layout_loads(layout: str) -> None:
    state = published()
    others = {
        key: torch.full((32,), 9.0)
        for key in ("norm.weight", "norm.bias", "mask_token", "projector.weight")
    }
    decoder = {"decoder_blocks.0.norm1.weight": torch.zeros(16)}
    files: dict[str, Any] = {
        "authors": state | others,
        "torchgeo": state,
        "pre-training": {
            "model": {f"module.{k}": t for k, t in (state | others | decoder).items()}
        },
    }
    model = load_model("dofa", files[layout], "tiny")
    coverage = model.loaded.coverage
    assert coverage is not None
    assert (coverage.share, coverage.unexpected) == (1, ())
    own = model.state_dict()
    assert all(torch.equal(own[f"net.{key}"], tensor) for key, tensor in state.items())
    assert bool((own["net.norm.weight"] == 1).all()), "pre-training's norm is another"


def test_a_wider_network_is_refused() -> None:
    with pytest.raises(WeightsError, match="do not fit dofa"):
        load_model("dofa", published(), "tiny", dim=64)


@pytest.mark.parametrize(
    ("golden", "variant"),
    [
        ("dofa_base", "base_s2"),
        ("dofa_tiny", ""),
        ("copernicusfm_base", ""),
        ("satmae_rgb_tiny", ""),
        ("croma_tiny", ""),
    ],
)
def test_a_file_tells_its_size(golden: str, variant: str) -> None:
    entries = json.loads((GOLDENS / f"{golden}.keys.json").read_text())["keys"]
    state = {key: torch.empty(entry["shape"], device="meta") for key, entry in entries.items()}
    assert PLUGIN.variant_of(state) == variant


def test_it_computes_what_torchgeos_does() -> None:
    theirs = importlib.import_module("torchgeo.models.dofa").DOFA(
        img_size=32, embed_dim=32, depth=2, num_heads=2, num_classes=0
    )
    ours: Any = load_model("dofa", theirs.eval().state_dict(), "tiny")
    images, waves = torch.randn(2, 4, 32, 32), [0.48, 0.56, 0.64, 0.81]
    with torch.inference_mode():
        torch.testing.assert_close(ours.extract(images, waves).pooled, theirs(images, waves))


@pytest.mark.parametrize("swapped", [False, True])
def test_only_the_first_weights_depend_on_the_order_of_bands(swapped: bool) -> None:
    model: Any = load_model("dofa", published(), "tiny", swapped=swapped)
    images, order = torch.randn(1, 3, 32, 32), [2, 0, 1]
    waves = (0.49, 0.665, 2.19)
    with torch.inference_mode():
        straight = model.patches(images, waves)
        turned = model.patches(images[:, order], [waves[i] for i in order])
    assert torch.allclose(straight, turned, atol=1e-6) is not swapped


def test_positions_at_another_size_are_bicubic() -> None:
    model: Any = load_model("dofa", published(), "tiny")
    stored = model.net.pos_embed
    square = stored[:, 1:].mT.reshape(1, 32, 2, 2)
    expected = F.interpolate(square, (3, 4), mode="bicubic").flatten(2).mT
    assert torch.equal(model.positions(3, 4), torch.cat((stored[:, :1], expected), 1))


def test_images_become_bytes_and_are_standardised() -> None:
    model: Any = load_model("dofa", "random", "tiny")
    normalise = model.normalise
    s2 = torch.zeros(1, 9, 1, 2)
    s2[0, 0, 0] = torch.tensor([3558 / 2, 9000.0])  # red: 127.5, and beyond what bytes hold
    s2[0, 7, 0] = torch.tensor([8160 / 2, 8160.0])  # swir16
    found = normalise["s2"](s2)
    red = (torch.tensor([127.0, 255.0]) - 114.1099739) / 77.84352553
    swir = (torch.tensor([127.0, 255.0]) - 72.32804172) / 47.88519516
    torch.testing.assert_close(found[0, 0, 0], red)
    torch.testing.assert_close(found[0, 7, 0], swir)
    s1 = normalise["s1"](torch.full((1, 2, 1, 1), -20.0))  # 474 / 10: 47
    torch.testing.assert_close(s1[0, 0, 0, 0].item(), (47 - 166.36275909) / 64.83126309)
    torch.testing.assert_close(s1[0, 1, 0, 0].item(), (47 - 88.45542715) / 43.07350145)
    hr = normalise["hr"](torch.full((1, 3, 1, 1), 255.0))
    torch.testing.assert_close(hr[0, 2, 0, 0].item(), (255 - 103.53) / 57.375)


def test_full_is_the_use_that_suits_the_sensors() -> None:
    hr = Sensor("hr", ("red", "green", "blue"), 0.0, UINT8)
    s1 = Sensor("s1", ("vv", "vh"), 10.0, "dB")
    assert variants.select_variant(PLUGIN, "full", [hr], {})[0] == "base_rgb"
    assert variants.select_variant(PLUGIN, "full", [s1], {})[0] == "base_s1"
    assert (
        variants.select_variant(PLUGIN, "full", [hr, PLUGIN.CARD.inputs[0], s1], {})[0] == "base_s2"
    )
