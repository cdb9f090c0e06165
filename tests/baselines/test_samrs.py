"""SAMRS: published files, normalisation, and what its networks do at other sizes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
from torch import Tensor

from skybench.core import Batch, WeightsError, registry
from skybench.weights.load import load_model

GOLDENS = Path(__file__).parents[1] / "goldens"
PLUGIN: Any = registry.model("samrs")
VARIANT = {
    "samrs_vitaev2_s": "vitaev2_s", "samrs_vit_b_rvsa": "vit_b_rvsa",
    "samrs_vit_b_rvsa_512": "vit_b_rvsa", "samrs_swin_t": "swin_t",
    "samrs_vitaev2_tiny": "", "samrs_rvsa_tiny": "",
}  # fmt: skip
FULL = [name for name, variant in VARIANT.items() if variant]
LAYOUTS: list[Callable[[str], str]] = [
    lambda key: key,  # the encoder alone
    lambda key: f"encoder.{key}",  # the whole network
    lambda key: f"module.encoder.{key}",
    lambda key: f"encoder.module.{key}",  # saved where one machine trained it
]


def published(name: str) -> dict[str, Tensor]:
    """A published encoder's entries, all of them, without values."""
    keys = json.loads((GOLDENS / f"{name}.keys.json").read_text())["keys"]
    return {
        k: torch.empty(e["shape"], dtype=getattr(torch, e["dtype"]), device="meta")
        for k, e in keys.items()
    }


def resnet() -> dict[str, Tensor]:
    """The encoder of the files of ResNet-50: it has torchvision's keys, without the classifier."""
    with torch.device("meta"):
        state: dict[str, Tensor] = timm.create_model("resnet50", num_classes=0).state_dict()
    return state


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("name", FULL)
def test_every_layout_loads_completely(name: str, layout: Callable[[str], str]) -> None:
    others = {k: torch.zeros(1) for k in ("decoder.conv.weight", "semseghead_1.1.bias")}
    state = {layout(k): t for k, t in published(name).items()}
    assert PLUGIN.variant_of(state) == VARIANT[name]
    with torch.device("meta"):
        model = load_model("samrs", {"state_dict": state | others})
    coverage = model.loaded.coverage
    assert coverage is not None
    assert (coverage.share, coverage.missing, coverage.unexpected) == (1, (), ())


@pytest.mark.parametrize("layout", LAYOUTS)
def test_resnet_loads_completely(layout: Callable[[str], str]) -> None:
    with torch.device("meta"):
        model = load_model("samrs", {"state_dict": {layout(k): t for k, t in resnet().items()}})
    assert model.card.title == "SAMRS (ResNet-50)"
    assert model.loaded.coverage is not None
    assert model.loaded.coverage.share == 1


@pytest.mark.parametrize("name", [n for n, variant in VARIANT.items() if not variant])
def test_a_reduced_network_is_no_published_one(name: str) -> None:
    assert PLUGIN.variant_of(published(name)) == ""


@pytest.mark.parametrize("name", ["samrs_vitaev2_s", "samrs_vit_b_rvsa"])
def test_the_file_of_another_variant_is_refused(name: str) -> None:
    with torch.device("meta"), pytest.raises(WeightsError, match="do not fit samrs"):
        load_model("samrs", {"state_dict": published(name)}, "swin_t")


@pytest.mark.parametrize("variant", ["tiny", "tiny_vit_b_rvsa", "tiny_swin_t", "tiny_resnet50"])
def test_colours_are_normalised_as_imagenets(variant: str) -> None:
    model: Any = load_model("samrs", "random", variant)
    red, green, blue = torch.rand(3, 1, 128, 128) * 255
    by_hand = ((red - 123.675) / 58.395, (green - 116.28) / 57.12, (blue - 103.53) / 57.375)
    one = torch.ones(1, 1, dtype=torch.bool)
    images = torch.stack((red, green, blue), 1)[:, None]
    given = Batch(("0",), {"hr": images}, {"hr": one}, {"hr": -1 * one}, torch.zeros(1, 2))
    with torch.inference_mode():
        found, expected = model(given), model.extract(torch.stack(by_hand, 1))
    torch.testing.assert_close(found.pooled, expected.pooled, atol=1e-5, rtol=1e-5)


def test_rvsa_pools_the_map_that_its_coarsest_level_is_made_of() -> None:
    model: Any = load_model("samrs", "random", "tiny_vit_b_rvsa", taken=(0, 1, 3, 3))
    with torch.inference_mode():
        features = model.extract(torch.randn(1, 3, 128, 160))
    last = features.pyramid[2]
    torch.testing.assert_close(features.pooled, last.mean((2, 3)))
    assert torch.equal(features.pyramid[3], torch.nn.functional.max_pool2d(last, 2))


def test_rvsa_has_no_positions_and_no_tables_but_in_windows() -> None:
    model: Any = load_model("samrs", "random", "tiny_vit_b_rvsa")
    tables = {k.split(".")[2] for k in model.state_dict() if "rel" in k or "pos" in k}
    assert tables == {"0", "2"}  # blocks 1 and 3 attend to the whole map


def test_swin_rolls_maps_of_one_window_unlike_rsps() -> None:
    ours: Any = load_model("samrs", "random", "tiny_swin_t")
    theirs: Any = load_model("rsp", "random", "tiny_swin_t")
    theirs.load_state_dict(ours.state_dict(), strict=False)
    small, large = torch.randn(1, 3, 128, 128), torch.randn(1, 3, 256, 256)
    with torch.inference_mode():
        assert not torch.allclose(ours.extract(small).pooled, theirs.extract(small).pooled)
        torch.testing.assert_close(ours.extract(large).pooled, theirs.extract(large).pooled)
