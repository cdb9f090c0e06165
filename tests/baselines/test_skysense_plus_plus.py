"""SkySense++ is read as SkySense by other names, and four bands are seen in the file."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from skybench.core import registry
from skybench.weights.load import load_model

PLUGIN: Any = registry.model("skysense")
ARCH: dict[str, Any] = {"parts": ("hr", "s2"), "vit_grid": 4, "vit_class_token": False, "eps": 1e-6}
ANNOTATIONS = ("mask_token", "vocabulary_token", "attn1.proj_in.weight", "norm_attn.bias")


def release(**arch: Any) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """A file in SkySense++'s keys, and the state dict of the network that it is of."""
    own = load_model("skysense", "random", "tiny", 3, **{**ARCH, **arch}).state_dict()
    names = {
        "net.norms.": "backbone_hr.norm",
        "net.": "backbone_hr.",
        "s2.": "backbone_s2.",
        ".attn.in_proj.": ".attn.attn.Wqkv.",
        ".ffn.0.": ".ffn.layers.0.0.",
        ".ffn.2.": ".ffn.layers.1.",
    }
    state = {}
    for key, tensor in own.items():
        name = key
        for ours, theirs in names.items():
            name = name.replace(ours, theirs)
        state[name] = tensor
    extra = {f"backbone_hr.{name}": torch.ones(2) for name in ANNOTATIONS}
    return {**state, **extra, "modality_vae.x": torch.ones(2), "head_rec_hr.y": torch.ones(2)}, own


@pytest.mark.parametrize("prefix", ["", "module."])
def test_a_release_of_skysense_plus_plus_is_read(prefix: str) -> None:
    state, own = release()
    model = load_model("skysense", {"model": {prefix + k: x for k, x in state.items()}}, "tiny")
    assert model.loaded.decided == ARCH
    assert all(torch.equal(x, own[key]) for key, x in model.state_dict().items())
    assert "potsdam" in model.loaded.trained_on
    assert model.loaded.coverage is not None
    told = " ".join(model.loaded.coverage.unused)
    assert all(name in told for name in ("backbone_hr", "modality_vae", "head_rec_hr"))


def test_without_a_class_token_maps_have_the_same_size() -> None:
    model = load_model("skysense", "random", "tiny", **{**ARCH, "parts": ("s2",)})
    with torch.inference_mode():
        assert model.get_submodule("s2")(torch.ones(1, 10, 24, 16)).shape == (1, 64, 6, 4)


def test_files_of_skysense_say_nothing_more_of_their_training() -> None:
    assert PLUGIN.trained_on({"backbone.patch_embed.projection.weight": torch.ones(1)}) == ()


def test_four_bands_are_seen_in_the_file() -> None:
    own = load_model("skysense", "random", "tiny", 3, parts=("hr",), in_channels=4).state_dict()
    stem = own["net.patch_embed.projection.weight"]
    state = {
        key.replace("net.norms.", "net.norm").replace("net.", "backbone."): own[key] for key in own
    }
    model = load_model("skysense", state, "tiny")
    assert model.card.inputs[0].bands == ("red", "green", "blue", "nir")
    assert torch.equal(model.state_dict()["net.patch_embed.projection.weight"], stem)
