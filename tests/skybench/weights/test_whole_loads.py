"""A checkpoint is used whole or refused, whatever is wrapped around it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from skybench.core import WeightsError
from skybench.core.model import Model
from skybench.weights.load import load_model

SAVED = settings(max_examples=40, deadline=None, derandomize=True, database=None)
NAMES = st.sampled_from(["model", "net", "module", "encoder", "backbone", "x", "_orig_mod", "core"])
CONTAINERS = st.sampled_from(["model", "state_dict", "net", "checkpoint", "mine", "module"])
OTHERS = st.dictionaries(
    st.sampled_from(
        ["head.weight", "decode_head.conv.bias", "n_averaged", "queue", "neck.0.weight"]
    ),
    st.just(torch.ones(3)),
    max_size=3,
)
# Keys within the network of the reduced SSL4EO-S12 ViT, and beside its blocks.
INSIDE = st.builds(
    "{}.{}".format,
    st.sampled_from(["blocks.0", "blocks.1", "blocks.1.attn", "blocks.0.mlp", "patch_embed"]),
    st.sampled_from(["ls1.gamma", "q_norm.weight", "norm.bias", "lora_A", "extra", "adapter.0.w"]),
) | st.sampled_from(["fc_norm.weight", "norm_pre.bias", "register_tokens", "norm.lora_B"])


@functools.cache
def source() -> Model:
    return load_model("ssl4eo", "random", "tiny_vit", 3)


def published() -> dict[str, Tensor]:
    return {k.removeprefix("net."): v for k, v in source().state_dict().items()}


def load(content: Mapping[str, Any], **arch: Any) -> Model:
    return load_model("ssl4eo", content, "tiny_vit", 7, **arch)


def is_whole(model: Model) -> bool:
    own = source().state_dict()
    return all(torch.equal(x, own[key]) for key, x in model.state_dict().items())


@SAVED
@given(st.lists(NAMES, max_size=4), st.lists(CONTAINERS, max_size=4), OTHERS)
def test_any_prefix_and_any_containers_are_seen_through(
    prefix: list[str], containers: list[str], others: dict[str, Tensor]
) -> None:
    start = "".join(f"{name}." for name in prefix)
    content: dict[str, Any] = {start + key: x for key, x in published().items()} | others
    for name in containers:
        content = {name: content, "epoch": 3}
    assert is_whole(load(content))


@SAVED
@given(st.lists(NAMES, max_size=3), INSIDE)
def test_any_addition_inside_the_network_is_refused(prefix: list[str], extra: str) -> None:
    start = "".join(f"{name}." for name in prefix)
    content = {start + key: x for key, x in {**published(), extra: torch.ones(3)}.items()}
    with pytest.raises(WeightsError, match=r"without a place in it: 1|tuned with LoRA"):
        load({"model": content})


@pytest.mark.parametrize("gone", ["norm.weight", "pos_embed", "cls_token", "blocks.1.mlp.fc2.bias"])
def test_any_missing_part_is_refused(gone: str) -> None:
    state = published()
    del state[gone]
    with pytest.raises(WeightsError, match=rf"a file is used whole.*missing: 1 \(net\.{gone}\)"):
        load(state)


def test_a_norm_of_pooled_features_is_not_the_norm_of_tokens() -> None:
    state = {key.replace("norm.", "fc_norm.") if key.startswith("norm.") else key: x
             for key, x in published().items()}  # fmt: skip
    with pytest.raises(WeightsError, match=r"missing: 2 .*net\.norm\.weight.*fc_norm\.weight"):
        load(state)


def test_positions_of_another_grid_are_taken_as_they_are() -> None:
    made = load_model("ssl4eo", "random", "tiny_vit", 3, image=96)
    state = {k.removeprefix("net."): v for k, v in made.state_dict().items()}
    found = load({"model": state})
    assert found.loaded.decided == {"image": 96}
    assert found.card.min_pixels == 96
    assert torch.equal(found.state_dict()["net.pos_embed"], made.state_dict()["net.pos_embed"])


@pytest.mark.parametrize("which", ["raw", "ema"])
def test_the_chosen_set_of_weights_is_loaded_and_told(which: str) -> None:
    other = {key: x + 1 for key, x in published().items()}
    own = {"raw": "model", "ema": "model_ema"}[which]
    content = {"model": other, "model_ema": other, own: published()}
    model = load(content, which=which)
    assert is_whole(model)
    assert f"of several sets of weights {own} was read" in model.loaded.note


def test_what_is_left_out_is_counted_and_told() -> None:
    decoder = {f"decoder.{i}.weight": torch.ones(2) for i in range(5)}
    wrapped = {f"backbone.{key}": x for key, x in published().items()}
    for state in (published(), wrapped):
        model = load({**state, **decoder, "head.bias": torch.ones(2)})
        assert model.loaded.coverage is not None
        assert model.loaded.coverage.unused == ("decoder (5)", "head (1)")
        assert "not read: decoder (5), head (1)" in model.loaded.note


def test_weights_that_are_all_zero_are_refused() -> None:
    with pytest.raises(WeightsError, match="are all 0: the file was written before training"):
        load({key: torch.zeros_like(x) for key, x in published().items()})


@pytest.mark.parametrize("names", ["encoder1 encoder2", "models.0 models.1", "online.e target.e"])
def test_two_networks_below_prefixes_are_refused(names: str) -> None:
    one, other = names.split()
    state = {f"{one}.{key}": x for key, x in published().items()}
    state |= {f"{other}.{key}": x + 1 for key, x in published().items()}
    with pytest.raises(WeightsError, match=f"2 networks of the same shapes: {one}, {other};"):
        load(state)
    same = {f"{n}.{key}": x for n in (one, other) for key, x in published().items()}
    assert is_whole(load(same))


@pytest.mark.parametrize("first", ["encoder", "momentum_encoder"])
def test_a_momentum_encoder_is_told_and_not_read(first: str) -> None:
    slow = {f"momentum_encoder.{key}": x + 1 for key, x in published().items()}
    fast = {f"encoder.{key}": x for key, x in published().items()}
    model = load({**fast, **slow} if first == "encoder" else {**slow, **fast})
    assert is_whole(model)
    assert "not read: momentum_encoder" in model.loaded.note


@pytest.mark.parametrize(
    ("key", "said"),
    [
        ("blocks.0.attn.qkv.weight.absmax", "They are quantised: save"),
        ("blocks.0.attn.qkv.parametrizations.weight.original0", "remove_parametrizations"),
        ("blocks.0._flat_param", "FULL_STATE_DICT"),
        ("prompt_embeddings", r"without a place in it: 1 \(prompt_embeddings\)"),
        ("deep_prompt_embeddings", "without a place in it"),
    ],
)
def test_what_the_form_of_a_training_is_called(key: str, said: str) -> None:
    with pytest.raises(WeightsError, match=said):
        load({**published(), key: torch.ones(3)})
