"""SAMRS: networks trained to segment SAM's masks of objects in aerial images.

The authors call this segmentation pre-training (SEP) and start it from weights of ImageNet (IMP),
for RVSA from masked modelling of MillionAID. There are four backbones, for RGB images, whose
pyramid is the input of their decoders. They have no classifier: `pooled` is the choice of this
adapter.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from skybench.core import UINT8, ModelCard, Sensor, WeightsSource

from ._families.resnet import RESNET50, TINY_RESNET50, ResNetArch
from ._families.rvsa import RVSAArch
from ._families.settings import variant_settings
from ._families.swin import SWIN_T, TINY_SWIN_T, SwinArch
from ._families.vitae_v2 import (
    TINY_VITAE,
    UNAPPLIED,
    ViTAEv2Arch,
    identify_network,
    network_card,
)
from ._families.vitae_v2 import convert as convert

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model


# The only positional information is the relative position bias within windows.
VIT_B_RVSA = RVSAArch(positions=False, relative=False)
VARIANTS: dict[str, ViTAEv2Arch | RVSAArch | SwinArch | ResNetArch] = {
    "vitaev2_s": ViTAEv2Arch(),
    "vit_b_rvsa": VIT_B_RVSA,
    "swin_t": SWIN_T,
    "resnet50": RESNET50,
    "tiny": TINY_VITAE,
    "tiny_vit_b_rvsa": dataclasses.replace(
        VIT_B_RVSA, dim=32, depth=4, heads=4, grid=8, interval=2, taken=(0, 1, 2, 3)
    ),
    "tiny_swin_t": TINY_SWIN_T,
    "tiny_resnet50": TINY_RESNET50,
}
PICK = {"full": ("vitaev2_s",), "tiny": ("tiny",)}  # all read the same sensor


def _weights(variant: str, line: str, link: str) -> WeightsSource:
    filename = f"last_{variant}_upernet_pretrn_model_encoder.pth"
    return WeightsSource(
        filename=filename,
        obtain=(
            f"Open https://1drv.ms/u/s!{link} in a browser (in 'Pretraining and Finetuning' of "
            f"https://github.com/ViTAE-Transformer/SAMRS it is '{line}'; there is Baidu too), "
            f"download the encoder alone or the whole network, and save it as {filename}."
        ),
        licence="none stated; the authors' README: for research purpose only",
        container="state_dict",
        prefix="encoder. | none",
        noncommercial=True,
        variants=(variant,),
        unused=UNAPPLIED if variant == "vitaev2_s" else (),
    )


CODE = (
    "github:ViTAE-Transformer/SAMRS@868c99a Pretraining and Finetuning/Encoder_Decoder/models.py, "
    "backbone/"
)
CARD = ModelCard(
    name="samrs",
    title="SAMRS (ViTAEv2-S)",
    group="paper",
    inputs=(Sensor("hr", ("red", "green", "blue"), 0.0, UINT8),),  # of many scales
    dim=512,
    levels=((64, 4), (128, 8), (256, 16), (512, 32)),
    paper="Wang et al., SAMRS, NeurIPS 2023, arXiv:2305.02034",
    code=CODE + "ViTAE_Window_NoShift/",
    licence="none stated; the README: for research purpose only. This adapter is skybench's own",
    weights=_weights(
        "vitaev2_s",
        "IMP + SEP, ViTAEv2-S, UperNet",
        "AimBgYV7JjTlgcluCxAmKWYwjEi44g?e=3yXpFZ",
    ),
    pretraining=(
        "ImageNet, supervised; then 80,000 iterations of segmentation (UPerNet, crops of 224) of "
        "the masks that SAM gives for the boxes of DOTA v2.0, DIOR and FAIR1M 2.0, train and val."
    ),
    # Source: Encoder_Decoder/main_pretrain.py. iSAID's images are DOTA's.
    trained_on=("isaid", "dior", "dior_r", "fair1m"),
    normalisation="ImageNet's mean and deviation of x / 255 (Encoder_Decoder/datasets.py)",
    pooling="mean of the last stage: ours, the official code has no pooled output",
    params=18_842_688,
    caveats=(
        "that SkySense's row is this backbone is inferred: its 66.26 on iSAID is the README's "
        "number of IMP + SEP ViTAEv2-S",
        "images of iSAID's train and val, of DIOR's and FAIR1M's train and val were in the "
        "pre-training, with masks made from their boxes",
        "the name of the file is the training script's; what the download is called is unverified",
        "the training script saves the loss as a numpy array beside the tensors; it is left out",
        "the file's norms of the stages and tables of relative positions belong to no computation "
        "and are left out",
    ),
    min_pixels=224,
    multiple=32,
)
RVSA = dataclasses.replace(
    CARD,
    title="SAMRS (ViT-B + RVSA)",
    code=CODE + "vit_win_rvsa_v3_wsz7.py",
    weights=_weights(
        "vit_b_rvsa",
        "MAE + SEP, ViT-B + RVSA, UperNet",
        "AimBgYV7JjTlgcl0gojng2CzeHVohQ?e=Ynr6Aq",
    ),
    pretraining=CARD.pretraining.replace(
        "ImageNet, supervised", "Masked modelling of MillionAID (RVSA's)"
    ),
    trained_on=("millionaid", *CARD.trained_on),
    pooling="mean of the last block's tokens: ours, the official code has no pooled output",
    params=93_126_976,
    caveats=(
        *CARD.caveats[1:4],
        "a file of SAMRS-MAE + SEP fits as well, but is another pre-training",
    ),
)
SWIN = dataclasses.replace(
    CARD,
    title="SAMRS (Swin-T)",
    code=CODE + "swin.py",
    weights=_weights(
        "swin_t",
        "IMP + SEP, Swin-T, UperNet",
        "AimBgYV7JjTlgclvnpQmjnm8feMr3Q?e=cvNLgb",
    ),
    pooling="mean of the normed last stage: ours, the official code has no pooled output",
    params=27_520_698,
    caveats=CARD.caveats[1:4],
)
RESNET = dataclasses.replace(
    CARD,
    title="SAMRS (ResNet-50)",
    code=CODE + "resnet_mmseg_10.py",
    weights=_weights(
        "resnet50",
        "IMP + SEP, ResNet-50, UperNet",
        "AimBgYV7JjTlgclrvwsXrhGR0kN0tg?e=fbE39F",
    ),
    params=23_508_032,
    equivalent_to="torchvision resnet50",
    caveats=(
        *CARD.caveats[1:4],
        "files of RSP + SEP and of other decoders fit as well, but are another pre-training",
        "no output of the authors' own code was at hand for this backbone; it is the ResNet of "
        "mmsegmentation 1.0, style pytorch",
    ),
    min_pixels=32,
)


CARDS = {ViTAEv2Arch: CARD, RVSAArch: RVSA, SwinArch: SWIN, ResNetArch: RESNET}


def card(variant: str, **arch: Any) -> ModelCard:
    """Return the card of a variant; `arch` overrides its settings."""
    return network_card(CARDS, variant_settings(VARIANTS, variant, arch))


def build(variant: str, **arch: Any) -> Model:
    """Build the network with fresh weights; `arch` overrides its settings."""
    from ._adapters.vitae_v2 import build_network
    from ._networks.swin import SwinOptions

    settings = variant_settings(VARIANTS, variant, arch)
    return build_network(card(variant, **arch), settings, SwinOptions(shift_small=True))


def variant_of(state: dict[str, Tensor]) -> str:
    """Identify the variant of a published file; "" if none fits."""
    return identify_network(state, VARIANTS)
