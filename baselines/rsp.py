"""RSP: networks trained to classify the scenes of MillionAID.

ViTAEv2-S, Swin-T and ResNet-50, for RGB images. `pooled` is the input of the published classifiers;
the pyramid holds the four stages, of which only Swin's last is normed. The published classifiers
with windows accept images of 224 pixels only; here larger maps are padded to whole windows, as in
code for dense prediction.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Any

from skybench.core import UINT8, ModelCard, Sensor, WeightsSource

from ._families.resnet import RESNET50, TINY_RESNET50, ResNetArch
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

VARIANTS: dict[str, ViTAEv2Arch | SwinArch | ResNetArch] = {
    "vitaev2_s": ViTAEv2Arch(),
    "swin_t": SWIN_T,
    "resnet50": RESNET50,
    "tiny": TINY_VITAE,
    "tiny_swin_t": TINY_SWIN_T,
    "tiny_resnet50": TINY_RESNET50,
}
# All read the same sensor; ViTAEv2-S has the authors' best results on AID (2:8) and RESISC45.
PICK = {"full": ("vitaev2_s",), "tiny": ("tiny",)}


# The same authors' SAMRS reads the files under these names (Encoder_Decoder/models.py).
def _weights(variant: str, filename: str, drive: str) -> WeightsSource:
    return WeightsSource(
        filename=filename,
        obtain=(
            f"Download it from https://drive.google.com/file/d/{drive}/view in a browser (or from "
            "Baidu, see the README of https://github.com/ViTAE-Transformer/RSP) and save it as "
            f"{filename}."
        ),
        licence="MIT (the repository's README); its part Scene Recognition says research only",
        container="model",
        variants=(variant,),
        unused=UNAPPLIED if variant == "vitaev2_s" else (),
    )


CARD = ModelCard(
    name="rsp",
    title="RSP (ViTAEv2-S)",
    group="extra",
    inputs=(Sensor("hr", ("red", "green", "blue"), 0.0, UINT8),),  # MillionAID has many scales
    dim=512,
    levels=((64, 4), (128, 8), (256, 16), (512, 32)),
    paper="Wang et al., RSP, IEEE TGRS 2022, arXiv:2204.02825",
    code="github:ViTAE-Transformer/RSP@f298187 Scene Recognition/models/ViTAE_Window_NoShift/",
    licence="MIT",
    weights=_weights("vitaev2_s", "rsp-vitaev2-s-ckpt.pth", "1cDB69frN-NxCyoy8lghjx6NiH1JriYUc"),
    pretraining="Supervised on the 51 third-level classes of MillionAID, 100 epochs.",
    trained_on=("millionaid",),
    normalisation="ImageNet's mean and deviation of x / 255 (the code of Scene Recognition)",
    pooling="mean of the last stage's tokens, not normed, which the published classifier reads",
    params=18_842_688,
    caveats=(
        "whether MillionAID shares scenes with AID or RESISC45 is unverified",
        "the published file also holds the training's options as an object, which is left out",
        "AID and RESISC45 in the README are fine-tuned: resized to 256, centre crop of 224",
        "the file's tables of relative positions belong to no computation and are left out",
    ),
    min_pixels=224,
    multiple=32,
)
SWIN = dataclasses.replace(
    CARD,
    title="RSP (Swin-T)",
    code="github:ViTAE-Transformer/RSP@f298187 Scene Recognition/models/swin_transformer.py",
    weights=_weights("swin_t", "rsp-swin-t-ckpt.pth", "1G5wjbjIHepmT6VVOuW03bWmyvrhcfe1F"),
    pretraining=CARD.pretraining.replace("100", "300"),
    pooling="mean of the last stage's normed tokens, which the published classifier reads",
    params=27_519_354,
    equivalent_to="timm swin_tiny_patch4_window7_224 at 224 pixels",
    caveats=CARD.caveats[:3],
)
RESNET = dataclasses.replace(
    SWIN,
    title="RSP (ResNet-50)",
    code="github:ViTAE-Transformer/RSP@f298187 Scene Recognition/models/resnet.py",
    weights=_weights("resnet50", "rsp-resnet-50-ckpt.pth", "1K3P4_fDfcBRGqpKoSdSa6OXS4xC1xLC9"),
    pooling="mean of the last stage, which the published classifier reads",
    params=23_508_032,
    equivalent_to="torchvision resnet50",
    min_pixels=32,
)


CARDS = {ViTAEv2Arch: CARD, SwinArch: SWIN, ResNetArch: RESNET}


def card(variant: str, **arch: Any) -> ModelCard:
    """Return the card of a variant; `arch` overrides its settings."""
    return network_card(CARDS, variant_settings(VARIANTS, variant, arch))


def build(variant: str, **arch: Any) -> Model:
    """Build the network with fresh weights; `arch` overrides its settings."""
    from ._adapters.vitae_v2 import build_network
    from ._networks.swin import SwinOptions

    settings = variant_settings(VARIANTS, variant, arch)
    return build_network(card(variant, **arch), settings, SwinOptions(norms=(3,)))


def variant_of(state: dict[str, Tensor]) -> str:
    """Identify the variant of a published file; "" if none fits."""
    return identify_network(state, VARIANTS)
