"""RVSA: MAE pre-trained ViT-B and ViTAE-B, fine-tuned with rotated varied-size window attention.

The pre-training files hold plain networks without the windows, so frozen features come from these
("vit_b", "vitae_b"). The authors fine-tune the networks with windows, whose prediction layers are
randomly initialised if only a pre-training file is loaded. Variants "…_rvsa" are those of the
classification scripts, "…_dense" those of segmentation, with four levels; "kvdiff", a diamond in
the paper's tables, has separate windows for keys and values.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from skybench.core import UINT8, ModelCard, Sensor, WeightsSource

from ._families.rvsa import RVSAArch, grid_of, rvsa_card, rvsa_keys
from ._families.settings import variant_settings
from ._families.vit import TINY_VIT, VIT_B, ViTArch, vit_card

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

VITAE = RVSAArch(
    interval=1, relative=False, class_token=True, taken=(), bias="query and value", parallel=True
)
# The classification scripts build their networks without the biases that the file has.
SCENE = RVSAArch(bias="none", taken=())
DENSE = RVSAArch()
VITAE_DENSE = RVSAArch(bias="query and value", parallel=True)

VARIANTS: dict[str, RVSAArch | ViTArch] = {
    "vit_b": VIT_B,
    "vitae_b": VITAE,
    "vit_b_rvsa": SCENE,
    "vit_b_rvsa_kvdiff": replace(SCENE, separate=True),
    "vitae_b_rvsa": replace(SCENE, parallel=True),
    "vitae_b_rvsa_kvdiff": replace(SCENE, parallel=True, separate=True),
    "vit_b_rvsa_dense": DENSE,
    "vit_b_rvsa_kvdiff_dense": replace(DENSE, separate=True),
    "vitae_b_rvsa_dense": VITAE_DENSE,
    "vitae_b_rvsa_kvdiff_dense": replace(VITAE_DENSE, separate=True),
    "tiny": TINY_VIT,
    "tiny_vitae_b": replace(VITAE, dim=32, depth=3, heads=4, grid=8),
    "tiny_vit_b_rvsa": replace(SCENE, dim=32, depth=3, heads=4, grid=8),
    "tiny_vitae_b_rvsa_kvdiff_dense": replace(
        VITAE_DENSE, dim=32, depth=3, heads=4, grid=8, separate=True, taken=(0, 1, 2, 2)
    ),
}
PICK = {"full": ("vit_b",), "tiny": ("tiny",)}

WEIGHTS = WeightsSource(
    filename="vit-b-checkpoint-1599.pth",
    obtain=(
        "Open https://1drv.ms/u/s!AimBgYV7JjTlgUPBC6cvpo4oZDSR in a browser (the link for MAE, "
        "ViT-B in Readme.md of github.com/ViTAE-Transformer/Remote-Sensing-RVSA)."
    ),
    licence="not stated for the file; the repository is MIT",
    container="model",
    variants=("vit_b",),
)
VITAE_WEIGHTS = replace(
    WEIGHTS,
    filename="vitae-b-checkpoint-1599-transform-no-average.pth",
    obtain=(
        "Open https://1drv.ms/u/s!AimBgYV7JjTlgUIde2jzcjrrWasP in a browser (the link for MAE, "
        "ViTAE-B in Readme.md of github.com/ViTAE-Transformer/Remote-Sensing-RVSA). A copy that "
        "is not the authors' is at https://huggingface.co/MVRL/rvsa_vitae_b (Apache-2.0)."
    ),
)
WINDOWS = (
    "net.blocks.*.attn.rel_pos_*",
    "net.blocks.*.attn.relative_position_bias_table",
    "net.blocks.*.attn.sampling_*",
    "net.fpn*",
)

CARD = ModelCard(
    name="rvsa",
    title="RVSA (ViT-B, MAE)",
    group="paper",
    inputs=(Sensor("hr", ("red", "green", "blue"), 0.0, UINT8),),
    dim=768,
    levels=((768, 16),),
    paper="Wang et al., RVSA, TGRS 2022, arXiv:2208.03987",
    code=(
        "github:ViTAE-Transformer/Remote-Sensing-RVSA@ef153d7 MAEPretrain_SceneClassification/, "
        "Semantic Segmentation/mmseg/models/backbones/"
    ),
    licence="MIT",
    weights=WEIGHTS,
    pretraining="Masked autoencoder on MillionAID, 1600 epochs, images of 224 pixels.",
    trained_on=("millionaid",),
    normalisation="ImageNet's mean and deviation of x / 255 (main_linprobe.py; img_norm_cfg)",
    pooling="class token after the last norm (the default of main_linprobe.py)",
    params=85_798_656,
    equivalent_to="timm vit_base_patch16_224(num_classes=0)",
    caveats=(
        "SkySense's row quotes the best of the paper's four fine-tuned networks for each dataset: "
        "ViT-B and ViTAE-B with RVSA, windows shared or not by keys and values.",
        "The links may be dead (issue 34 of the repository); no file was at hand to try.",
    ),
    min_pixels=224,
    multiple=16,
)
VITAE_CAVEATS = (
    "The file is most likely padded from 1x1 to 3x3 convolutions; unpadded ones load as well.",
    "The official code takes squares only; other images are an extension of this adapter.",
    "ViTAE-B without windows has no stored outputs of the authors' code to compare with.",
)
WINDOW_CAVEATS = (
    "Windows and relative positions are not in the pre-training file. They start as in the "
    "official code, by the seed: for frozen features take vit_b or vitae_b.",
    "Files of the authors' fine-tuned networks load as well, with positions of their own size.",
)
DENSE_CAVEATS = (
    "The convolutions to strides 4 and 8 are not in the pre-training file, but start by the seed.",
    "The official loader leaves positions of another size random; here they are interpolated.",
    "Levels come without the last norm, from four blocks as for segmentation; the authors' "
    "detectors read the last block at all levels: setting taken=(11, 11, 11, 11).",
)
PARAMS = {  # counted; with positions for 224 pixels, without heads
    "vit_b": 85_798_656,
    "vitae_b": 88_563_456,
    "vit_b_rvsa": 86_181_952,
    "vit_b_rvsa_kvdiff": 86_551_072,
    "vitae_b_rvsa": 88_955_968,
    "vitae_b_rvsa_kvdiff": 89_325_088,
    "vit_b_rvsa_dense": 93_291_328,
    "vit_b_rvsa_kvdiff_dense": 93_660_448,
    "vitae_b_rvsa_dense": 96_056_128,
    "vitae_b_rvsa_kvdiff_dense": 96_425_248,
}


def card(variant: str, **arch: Any) -> ModelCard:
    """Return the card of a variant; `arch` overrides its settings."""
    return _card(variant, variant_settings(VARIANTS, variant, arch))


def _card(variant: str, settings: RVSAArch | ViTArch) -> ModelCard:
    if isinstance(settings, ViTArch):
        return vit_card(CARD, settings)
    big = variant.removeprefix("tiny_")
    weights, caveats = WEIGHTS, CARD.caveats
    title, equivalent, pooling = CARD.title, CARD.equivalent_to, CARD.pooling
    if settings.parallel:
        weights, caveats = VITAE_WEIGHTS, caveats + VITAE_CAVEATS
        title, equivalent = title.replace("ViT", "ViTAE"), ""
    if settings.interval > 1:
        weights, caveats = replace(weights, missing=WINDOWS), caveats + WINDOW_CAVEATS
        title, equivalent = title.replace("MAE", "windows"), ""
        pooling = "mean of the last block's tokens, then the last norm (forward_features)"
    if settings.bias == "none":
        weights = replace(weights, unused=("*.attn.qkv.bias", "*.attn.[qv]_bias"))
    if settings.separate:
        title = title.replace("windows", "separate windows")
    if settings.taken:
        caveats += DENSE_CAVEATS
        title = title.replace(")", ", dense)")
        pooling += " as for classification: the official dense networks pool nothing"
    base = replace(
        CARD, title=title, equivalent_to=equivalent, pooling=pooling, caveats=caveats,
        params=PARAMS[big], weights=replace(weights, variants=(big,)),
    )  # fmt: skip
    return rvsa_card(base, settings)


def build(variant: str, **arch: Any) -> Model:
    """Build the network with fresh weights; `arch` overrides its settings."""
    from ._adapters.rvsa import rvsa_model

    settings = variant_settings(VARIANTS, variant, arch)
    return rvsa_model(_card(variant, settings), settings)


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map the keys of a pre-training file, or of a fine-tuned network, to ours."""
    return rvsa_keys(state)


def settings(state: dict[str, Tensor]) -> dict[str, Any]:
    """Return the setting `grid` that a fine-tuned file decides, if it is not the default."""
    grid = grid_of(rvsa_keys(state))
    return {} if grid == {"grid": DENSE.grid} else grid


def variant_of(state: dict[str, Tensor]) -> str:
    """Identify the variant by its keys; MTP's files give vit_b_rvsa_dense, the same network."""
    ours = rvsa_keys(state)
    first = ours.get("net.patch_embed.proj.weight")
    if first is None or len(first) != CARD.dim or "net.pos_embed" not in ours:
        return ""
    name = "vitae_b" if any(".PCM." in key for key in ours) else "vit_b"
    if not any(".sampling_" in key for key in ours):
        return name if "net.cls_token" in ours else ""
    name += "_rvsa"
    if any(".sampling_angles_k." in key for key in ours):
        name += "_kvdiff"
    return f"{name}_dense" if "net.fpn2.0.weight" in ours else name
