"""DINOv3: the ViT-L/16 distilled on satellite images (SAT-493M)."""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skybench.core import UINT8, ModelCard, Sensor, WeightsSource

from ._families.settings import variant_settings

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

CARD = ModelCard(
    name="dinov3",
    title="DINOv3 (ViT-L/16, SAT-493M)",
    group="extra",
    inputs=(Sensor("hr", ("red", "green", "blue"), 0.6, UINT8),),
    dim=1024,
    levels=((1024, 16),),
    paper="Siméoni et al., DINOv3, 2025, arXiv:2508.10104",
    code=(
        "github:facebookresearch/dinov3@6876159 dinov3/models/vision_transformer.py, "
        "dinov3/hub/backbones.py, README.md"
    ),
    licence="DINOv3 License; this adapter is skybench's own code",
    weights=WeightsSource(
        filename="dinov3_vitl16_pretrain_sat493m-eadcf0ff.pth",
        obtain=(
            "Accept the licence at https://ai.meta.com/resources/models-and-libraries/"
            "dinov3-downloads/; the file's address then comes by mail. timm's copy, "
            "model.safetensors of https://huggingface.co/timm/vit_large_patch16_dinov3.sat493m, "
            "works too (--weights PATH)."
        ),
        licence="DINOv3 License",
        sha256="eadcf0ff",
        container="none",
        # Both are missing in timm's copy: biases that are 0, and periods that are computed.
        missing=("net.blocks.*.attn.[qv]_bias", "net.rope.periods"),
    ),
    pretraining=(
        "DINOv3 on SAT-493M, 493 million images of 512 pixels of 0.6 m (Maxar), distilled from the "
        "ViT-7B that was trained on the same."
    ),
    normalisation=(
        "(x / 255 - mean) / std of SAT-493M: 0.430, 0.411, 0.296; 0.213, 0.156, 0.143 (README.md)"
    ),
    pooling="the normed class token (what the network returns; vision_transformer.py)",
    params=303_128_576,
    equivalent_to="timm vit_large_patch16_dinov3_qkvb, but for the periods of its positions",
    caveats=(
        "The periods of the rotary positions are read from the file, where they are in steps of "
        "bfloat16; timm computes them.",
        "The authors' transform resizes images to 256 pixels; here only smaller ones are enlarged.",
        "The ViT-7B of SAT-493M and the networks of web images are not here.",
        "That timm's copy can be had without a form is not verified.",
    ),
    min_pixels=256,
    multiple=16,
)


@dataclass(frozen=True)
class Arch:
    """Settings of the network."""

    image: int = 256  # smaller images are enlarged to this side
    dim: int = 1024
    depth: int = 24
    heads: int = 16
    eps: float = 1e-5  # of the layer norms


VARIANTS = {"full": Arch(), "tiny": Arch(image=32, dim=32, depth=2, heads=2)}


def build(variant: str, **arch: Any) -> Model:
    """Build the network with fresh weights; `arch` overrides fields of `Arch`."""
    from ._adapters.dinov3 import DINOv3

    chosen = variant_settings(VARIANTS, variant, arch)
    levels = ((chosen.dim, 16),)
    card = dataclasses.replace(CARD, dim=chosen.dim, levels=levels, min_pixels=chosen.image)
    return DINOv3(card, **dataclasses.asdict(chosen))


RENAMED = {"storage_tokens": "reg_token", "ls1.gamma": "gamma_1", "ls2.gamma": "gamma_2"}
BESIDE = ("mask_token", "local_cls_norm.", "projectors.")  # in files, but only for training


# Of transformers' DINOv3ViTModel.
TRANSFORMERS = (
    (r"^embeddings\.register_tokens", "storage_tokens"),
    (r"^embeddings\.patch_embeddings\.", "patch_embed.proj."),
    (r"^embeddings\.", ""),
    (r"^(model\.)?layer\.", "blocks."),
    (r"\.attention\.o_proj\.", ".attn.proj."),
    (r"\.attention\.", ".attn."),
    (r"\.layer_scale(\d)\.lambda1$", r".ls\1.gamma"),
    (r"\.mlp\.up_proj\.", ".mlp.fc1."),
    (r"\.mlp\.down_proj\.", ".mlp.fc2."),
)


def _from_transformers(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map transformers' keys to the authors'; its queries, keys and values are joined.

    Its keys have no bias, which the authors mask.
    """
    import torch

    renamed = {}
    for key, tensor in state.items():
        for theirs, ours in TRANSFORMERS:
            key = re.sub(theirs, ours, key)
        renamed[key] = tensor
    joined = {}
    for key, tensor in renamed.items():
        stem, _, kind = key.rpartition(".")
        if not stem.endswith((".attn.q_proj", ".attn.k_proj", ".attn.v_proj")):
            joined[key] = tensor
        elif stem.endswith(".q_proj"):
            attention = stem.removesuffix(".q_proj")
            value = renamed[f"{attention}.v_proj.{kind}"]
            middle = renamed.get(f"{attention}.k_proj.{kind}", torch.zeros_like(tensor))
            joined[f"{attention}.qkv.{kind}"] = torch.cat((tensor, middle, value))
    return joined


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map the keys of the authors' file, of timm's copy or of transformers' to ours.

    The key part of the authors' qkv bias is dropped: their mask makes it 0.
    """
    own: dict[str, Tensor] = {}
    if "embeddings.patch_embeddings.weight" in state:
        state = _from_transformers(state)
    for key, tensor in state.items():
        key = key.removeprefix("module.").replace("rope_embed.", "rope.")
        for published, ours in RENAMED.items():
            key = key.replace(published, ours)
        if key.endswith("attn.qkv.bias"):
            query, _, value = tensor.chunk(3)
            stem = key.removesuffix("qkv.bias")
            own |= {f"net.{stem}q_bias": query, f"net.{stem}v_bias": value}
        elif not key.startswith(BESIDE) and not key.endswith("bias_mask"):
            own[f"net.{key}"] = tensor
    return own
