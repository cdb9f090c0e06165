"""SSL4EO-S12's goldens, from the authors' full checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from skybench.core.model import Model
from skybench.weights.load import load_model

from ._golden import Runner, native


def load_resnet(case: Mapping[str, Any], state: Mapping[str, Tensor]) -> Model:
    """With the momentum encoder or the head; the file tells the variant."""
    kernel = next(iter(state.values()))
    if "teacher" in case["meta"]["container"]:
        head = {"module.head.mlp.0.weight": kernel.new_zeros(8, 8)}
        return load_model("ssl4eo", {"teacher": {**state, **head}, "epoch": 100})
    others = {k.replace("encoder_q", "encoder_k"): torch.zeros_like(v) for k, v in state.items()}
    others |= {"module.queue": kernel.new_zeros(128, 8), "module.encoder_q.fc.2.bias": kernel[0, 0]}
    return load_model("ssl4eo", {"state_dict": {**state, **others}, "epoch": 100})


def run_resnet(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """The four stages and their pooled vector."""
    features = model.extract(native(case, "x"))
    stages = {f"layer{i}": level for i, level in enumerate(features.pyramid, 1)}
    return {**stages, "pooled": features.pooled}


FURTHER = {  # container -> a key of the full checkpoint that the encoder does not use
    "teacher": "module.head.mlp.0.weight",
    "state_dict": "module.momentum_encoder.norm.weight",
    "model": "decoder_embed.weight",
}


def load_vit(case: Mapping[str, Any], state: Mapping[str, Tensor]) -> Model:
    """With the head, the momentum encoder or the decoder; the file tells a published variant."""
    settings, some = case["meta"]["constructor"], next(iter(state.values()))
    container = next(c for c in FURTHER if c in case["meta"]["container"])
    content = {container: {**state, FURTHER[container]: torch.zeros_like(some)}}
    if "embed_dim" not in settings:
        return load_model("ssl4eo", content)
    image = settings["img_size"]
    return load_model(
        "ssl4eo",
        content,
        "tiny_dino_vit" if container == "teacher" else "tiny_vit",
        image=image[0] if isinstance(image, list) else image,
        patch=settings["patch_size"],
        dim=settings["embed_dim"],
        depth=settings["depth"],
        heads=settings["num_heads"],
    )


def run_vit(case: Mapping[str, Any], model: Any) -> dict[str, Tensor]:
    """Tokens after some blocks, their norm, and the mean of those of patches."""
    images = native(case, "x")
    blocks = list(model.tokens(images))
    normed = model.net.norm(blocks[-1])
    features = model.extract(images)
    assert torch.equal(features.pooled[:, -normed.shape[-1] :], normed[:, 0])
    outputs = {f"block{i}": tokens for i, tokens in enumerate(blocks)}
    outputs |= {"cls": normed[:, 0], "tokens": features.pyramid[0].flatten(2).mT}
    return outputs | {"pooled": blocks[-1][:, 1:].mean(1)}


RUNNERS = {
    "ssl4eo_moco_resnet50": Runner(load_resnet, run_resnet),
    "ssl4eo_dino_resnet50": Runner(load_resnet, run_resnet),
    "ssl4eo_moco3_vit": Runner(load_vit, run_vit),
    "ssl4eo_dino_vit": Runner(load_vit, run_vit),
    "ssl4eo_mae_vit": Runner(load_vit, run_vit),
}


def _with_coarser_epsilon(model: Any) -> None:
    for norm in (m for m in model.modules() if isinstance(m, nn.LayerNorm)):
        norm.eps = 1e-5


def _with_half_the_heads(model: Any) -> None:
    for block in model.net.blocks:
        block.attn.num_heads, block.attn.head_dim = 2, 32


def _with_a_class_token_that_has_no_position(model: Any) -> None:
    model.net.pos_embed.data[:, 0] = 0


MISTAKES = [
    ("ssl4eo_mae_vit_tiny", _with_coarser_epsilon),
    ("ssl4eo_dino_vit_tiny_sharp", _with_half_the_heads),
    ("ssl4eo_moco3_vit_tiny", _with_a_class_token_that_has_no_position),
]
