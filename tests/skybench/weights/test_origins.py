"""What a converted tensor comes from, and which keys of a file lie within its network."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from skybench.weights import origins

VIT = tuple(
    f"{key}.weight"
    for key in (
        "patch_embed.proj", "blocks.0.norm1", "blocks.0.attn.qkv", "blocks.1.norm1",
        "blocks.1.mlp.fc1", "norm",
    )
)  # fmt: skip


def inside(key: str, prefix: str = "", allowed: tuple[str, ...] = ()) -> bool:
    used = [prefix + k for k in VIT]
    return list(origins.belongs_inside([prefix + key], used, allowed)) == [prefix + key]


@pytest.mark.parametrize("prefix", ["", "encoder.", "model.student.backbone."])
@pytest.mark.parametrize(
    "key",
    [
        "blocks.0.ls1.gamma", "blocks.0.attn.q_norm.weight", "blocks.1.mlp.norm.weight",
        "blocks.0.attn.qkv.lora_A.default.weight", "blocks.0.attn.lora_B", "blocks.2.norm1.weight",
        "patch_embed.norm.weight", "norm_pre.weight", "fc_norm.weight", "register_tokens",
        "lora.blocks.0.weight", "norm.gain",
    ],
)  # fmt: skip
def test_what_changes_the_output_lies_inside(key: str, prefix: str) -> None:
    assert inside(key, prefix)
    assert not inside(key, prefix, allowed=("*" + key,))


@pytest.mark.parametrize("prefix", ["", "encoder.", "model.student.backbone."])
@pytest.mark.parametrize(
    "key",
    [
        "head.weight", "decoder.blocks.0.norm1.weight", "decoder_blocks.0.norm1.weight",
        "mask_token", "blocks.0.attn.relative_position_index", "blocks.1.bn.num_batches_tracked",
        "projector.0.weight", "queue", "decode_head.conv_seg.weight",
    ],
)  # fmt: skip
def test_heads_and_decoders_lie_outside(key: str, prefix: str) -> None:
    assert not inside(key, prefix)


def test_another_network_beside_it_lies_outside() -> None:
    used = [f"student.{key}" for key in VIT]
    others = [f"teacher.{key}" for key in VIT]
    assert list(origins.belongs_inside(others, used)) == []
    assert origins.changes_output("da1_l3.offset.weight")
    assert not origins.changes_output("teacher.blocks.0.weight")


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    wide = state["small"].new_zeros(3, 3)
    wide[1:2, 1:2] = state["small"]
    query, _, value = state["qkv"].chunk(3)
    return {
        "wide": wide,
        "q": query,
        "v": value,
        "joined": torch.cat((state["a"], state["b"])),
        "turned": state["matrix"].T,
        "same": state["a"],
    }


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_tensors_are_followed_through_all_that_a_conversion_does(device: str) -> None:
    sizes = {"small": (1, 1), "qkv": (6, 2), "a": (2,), "b": (3,), "matrix": (2, 5), "left": (1,)}
    state = {key: torch.ones(size, device=device) for key, size in sizes.items()}
    made, found = origins.traced(convert, state)
    assert made["joined"].shape == (5,)
    assert found == {
        "wide": {"small"}, "q": {"qkv"}, "v": {"qkv"}, "joined": {"a", "b"}, "turned": {"matrix"},
        "same": {"a"},
    }  # fmt: skip


def test_keys_are_counted_by_their_first_name() -> None:
    assert origins.grouped(["d.0.w", "head.w", "d.1.w"]) == ("d (2)", "head (1)")
