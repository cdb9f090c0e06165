"""CMID: contrastive learning and masked modelling of aerial images, Swin-B and ResNet-50.

The authors have two classes for Swin-B. The class of pre-training and scene classification refuses
maps smaller than a window, does not shift windows on a map of one window, and norms the last map
only. The class of segmentation and detection (mmsegmentation's) pads and shifts every map and norms
all four; the published file has no norms for the first three, which start at weight 1, bias 0. For
images above 224 pixels both agree except for these norms. Here windows are shifted as in
pre-training, maps are padded if necessary, and all four are normed: `pooled` is that of the former
class, the pyramid that of the latter above 224 pixels.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skybench.core import UINT8, ModelCard, Sensor, WeightsSource

from ._families.resnet import (
    IMAGENET,
    RESNET50,
    TINY_RESNET50,
    ResNetArch,
    identify_resnet,
    resnet_card,
    resnet_keys,
)
from ._families.settings import variant_settings
from ._families.swin import SwinArch, swin_card

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

WEIGHTS = WeightsSource(
    filename="cmid_swin_b_millionaid_200ep_backbone.pth",
    obtain=(
        "Download the file of Swin-B, MillionAID, 200 epochs, 'Backbone Only', linked from the "
        "README of https://github.com/NJU-LHRS/official-CMID (the full file does as well), and "
        "give it this name."
    ),
    licence="no commercial use (the authors' README)",
    url="https://box.nju.edu.cn/f/82a3c7ca7bfc4887aef8/?dl=1",
    prefix="online_encoder.model. in the full file, none in 'Backbone Only'",
    noncommercial=True,
    missing=("net.norms.[012].*",),
    variants=("swin_b",),
)
CARD = ModelCard(
    name="cmid",
    title="CMID (Swin-B)",
    group="paper",
    inputs=(Sensor("hr", ("red", "green", "blue"), 0.0, UINT8),),
    dim=1024,
    levels=((128, 4), (256, 8), (512, 16), (1024, 32)),
    paper="Muhtar et al., CMID, IEEE TGRS 2023, arXiv:2304.09670",
    code=(
        "github:NJU-LHRS/official-CMID@6e1de74 Pretrain/models/swin_transformer.py, extract.py, "
        "SemanticSegmentation/config/CMID-Swin-B_config.py (backbone of mmsegmentation 0.30.0)"
    ),
    licence="no licence file; the README forbids commercial use. This adapter is skybench's own",
    weights=WEIGHTS,
    pretraining="Contrastive learning and masked modelling with self-distillation on MillionAID.",
    trained_on=("millionaid",),
    normalisation="ImageNet's mean and deviation of x / 255 (the authors' configurations)",
    pooling="mean of the normed last map, as the authors' classification of UCM",
    params=86_745_016,
    equivalent_to=(
        "timm swin_base_patch4_window7_224 at 224 pixels, but for the norms of three maps"
    ),
    caveats=(
        "The file's name is ours: the download page gives none that was seen. No hash is known.",
        "Files pre-trained on Potsdam fit the same networks, but are not meant here: there the "
        "Potsdam cells would be leaks.",
        "Which backbone SkySense's row is of was not seen; Swin-B has the better results.",
    ),
    min_pixels=224,  # the pre-training class refuses smaller images
    multiple=32,
)
RESNET_CARD = resnet_card(
    dataclasses.replace(
        CARD,
        title="CMID (ResNet-50)",
        code=(
            "github:NJU-LHRS/official-CMID@6e1de74 Pretrain/models/backbone_wrapper.py, extract.py"
        ),
        weights=dataclasses.replace(
            WEIGHTS,
            filename="cmid_resnet50_millionaid_200ep_backbone.pth",
            obtain=WEIGHTS.obtain.replace("Swin-B", "ResNet-50"),
            url="https://box.nju.edu.cn/f/b2e7ad5d3aea4f569e82/?dl=1",
            missing=(),
            variants=("resnet50",),
        ),
        pooling="mean of the last map, as the authors' classification of UCM",
        params=23_508_032,
        equivalent_to="timm resnet50",
        min_pixels=32,
    ),
    RESNET50,
)


@dataclass(frozen=True)
class Arch(SwinArch):
    """Settings of the Swin Transformer.

    The authors' class of pre-training: norms=(3,); mmsegmentation's: shift_small=True.
    """

    norms: tuple[int, ...] = (0, 1, 2, 3)
    shift_small: bool = False


VARIANTS: dict[str, Arch | ResNetArch] = {
    "swin_b": Arch(),
    "resnet50": RESNET50,
    "tiny": Arch(embed_dim=32, depths=(2, 2, 2, 2), num_heads=(2, 4, 8, 16)),
    "tiny_resnet50": TINY_RESNET50,
}
PICK = {"full": ("swin_b",), "tiny": ("tiny",)}


def card(variant: str, **arch: Any) -> ModelCard:
    """Return the card of a variant; `arch` overrides its settings."""
    return _card(variant_settings(VARIANTS, variant, arch))


def _card(arch: Arch | ResNetArch) -> ModelCard:
    if isinstance(arch, ResNetArch):
        return resnet_card(RESNET_CARD, arch)
    return swin_card(CARD, arch)


def build(variant: str, **arch: Any) -> Model:
    """Build the network with fresh weights; `arch` overrides its settings."""
    from ._adapters.resnet import ResNet
    from ._adapters.swin import swin_model
    from ._networks.swin import SwinOptions

    chosen = variant_settings(VARIANTS, variant, arch)
    if isinstance(chosen, ResNetArch):
        return ResNet(_card(chosen), chosen, {"hr": IMAGENET})
    form = SwinOptions(norms=chosen.norms, shift_small=chosen.shift_small)
    return swin_model(_card(chosen), chosen, form)


RENAMED = (
    (r"^patch_embed\.projection\.", "patch_embed.proj."),
    (r"^stages\.", "layers."),
    (r"\.attn\.w_msa\.", ".attn."),
    (r"\.ffn\.layers\.0\.0\.", ".mlp.fc1."),
    (r"\.ffn\.layers\.1\.", ".mlp.fc2."),
    (r"^norm(\d)\.", r"norms.\1."),
)
FULL = "online_encoder.model."


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map the keys of the full file (they begin with `FULL`), or of 'Backbone Only', to ours."""
    state = {key.removeprefix("module."): tensor for key, tensor in state.items()}
    if any(key.startswith(FULL) for key in state):
        state = {k.removeprefix(FULL): t for k, t in state.items() if k.startswith(FULL)}
    return _swin(state) if "patch_embed.projection.weight" in state else resnet_keys(state)


def _swin(state: dict[str, Tensor]) -> dict[str, Tensor]:
    ours = {}
    for key, tensor in state.items():
        if not key.startswith(("patch_embed.", "stages.", "norm")) or key.endswith("_index"):
            continue
        for published, renamed in RENAMED:
            key = re.sub(published, renamed, key)
        if re.search(r"downsample\.(norm\.\w+|reduction\.weight)$", key):
            # mm's columns are (channel, row, column) of a 2 x 2 square, ours (column, row, channel)
            squares = tensor.reshape(*tensor.shape[:-1], -1, 2, 2)
            tensor = squares.transpose(-1, -3).flatten(-3)
        ours[f"net.{key}"] = tensor
    return ours


def variant_of(state: dict[str, Tensor]) -> str:
    """Identify the variant of a published file; "" if none fits."""
    ours = convert(state)
    stem, deepest = ours.get("net.patch_embed.proj.weight"), "net.layers.2.blocks.17.mlp.fc1.weight"
    if stem is not None and stem.shape[0] == CARD.levels[0][0] and deepest in ours:
        return "swin_b"
    return "resnet50" if identify_resnet(ours) == "resnet50" else ""
