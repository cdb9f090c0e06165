"""RVSA: ViT-B and ViTAE-B pre-trained as MAE, fine-tuned with windows that move, scale and turn.

The pre-training files hold plain networks: nothing of the windows is in them. So frozen features
come from these ("vit_b", "vitae_b"); the networks with windows are what the authors fine-tune, and
with a pre-training file alone their windows are random, by the seed. The forms "…_rvsa" are those
of the classification scripts, "…_dense" those of segmentation, with four levels; "kvdiff", a
diamond in the paper's tables, has windows of their own for keys and for values.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from skybench.core import UINT8, ModelCard, Sensor, WeightsSource

from ._families.rvsa import fitted, grid_of, own_keys
from ._families.rvsa_settings import Settings
from ._families.settings import choose
from ._families.vit import TINY, VIT_B, Arch
from ._families.vit import fitted as fitted_vit

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

VITAE = Settings(
    interval=1, relative=False, class_token=True, taken=(), bias="query and value", parallel=True
)
# The classification scripts build their networks without the biases that the file has.
SCENE = Settings(bias="none", taken=())
DENSE = Settings()
VITAE_DENSE = Settings(bias="query and value", parallel=True)

VARIANTS: dict[str, Settings | Arch] = {
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
    "tiny": TINY,
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
    row="paper",
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
    normalisation="ImageNet's mean and deviation of x / 255 (main_linprobe.py; img_norm_cfg)",
    pooling="class token after the last norm (the default of main_linprobe.py)",
    params=85_798_656,
    equals="timm vit_base_patch16_224(num_classes=0)",
    leads=(
        "SkySense's row quotes the best of the paper's four fine-tuned networks for each dataset: "
        "ViT-B and ViTAE-B with RVSA, windows shared or not by keys and values.",
        "The links may be dead (issue 34 of the repository); no file was at hand to try.",
    ),
    min_pixels=224,
    multiple=16,
)
VITAE_LEADS = (
    "The file is most likely padded from 1x1 to 3x3 convolutions; unpadded ones load as well.",
    "The official code takes squares only; other images are an extension of this adapter.",
    "ViTAE-B without windows has no stored outputs of the authors' code to compare with.",
)
WINDOW_LEADS = (
    "Windows and relative positions are not in the pre-training file. They start as in the "
    "official code, by the seed: for frozen features take vit_b or vitae_b.",
    "Files of the authors' fine-tuned networks load as well, with positions of their own size.",
)
DENSE_LEADS = (
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
    """The card of a variant; `arch` overrides settings."""
    return _card(variant, choose(VARIANTS, variant, arch))


def _card(variant: str, settings: Settings | Arch) -> ModelCard:
    if isinstance(settings, Arch):
        return fitted_vit(CARD, settings)
    big = variant.removeprefix("tiny_")
    weights, leads = WEIGHTS, CARD.leads
    title, equals, pooling = CARD.title, CARD.equals, CARD.pooling
    if settings.parallel:
        weights, leads = VITAE_WEIGHTS, leads + VITAE_LEADS
        title, equals = title.replace("ViT", "ViTAE"), ""
    if settings.interval > 1:
        weights, leads = replace(weights, missing=WINDOWS), leads + WINDOW_LEADS
        title, equals = title.replace("MAE", "windows"), ""
        pooling = "mean of the last block's tokens, then the last norm (forward_features)"
    if settings.separate:
        title = title.replace("windows", "separate windows")
    if settings.taken:
        leads += DENSE_LEADS
        title = title.replace(")", ", dense)")
        pooling += " as for classification: the official dense networks pool nothing"
    own = replace(
        CARD, title=title, equals=equals, pooling=pooling, leads=leads, params=PARAMS[big],
        weights=replace(weights, variants=(big,)),
    )  # fmt: skip
    return fitted(own, settings)


def build(variant: str, **arch: Any) -> Model:
    """The network with fresh weights; `arch` overrides settings."""
    from ._adapters.rvsa import network

    settings = choose(VARIANTS, variant, arch)
    return network(_card(variant, settings), settings)


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """From a pre-training file, or from a fine-tuned network's with its head or decoder."""
    return own_keys(state)


def settings(state: dict[str, Tensor]) -> dict[str, Any]:
    """The grid of the positions in the file of a fine-tuned network, if not the usual one."""
    grid = grid_of(own_keys(state))
    return {} if grid == {"grid": DENSE.grid} else grid


def variant_of(state: dict[str, Tensor]) -> str:
    """By the kinds of keys; MTP's files pass for vit_b_rvsa_dense, which is the same network."""
    own = own_keys(state)
    first = own.get("net.patch_embed.proj.weight")
    if first is None or len(first) != CARD.dim or "net.pos_embed" not in own:
        return ""
    name = "vitae_b" if any(".PCM." in key for key in own) else "vit_b"
    if not any(".sampling_" in key for key in own):
        return name if "net.cls_token" in own else ""
    name += "_rvsa"
    if any(".sampling_angles_k." in key for key in own):
        name += "_kvdiff"
    return f"{name}_dense" if "net.fpn2.0.weight" in own else name
