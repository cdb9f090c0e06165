"""GASSL: a ResNet-50 pre-trained by contrast over time (MoCo-v2) and by geo-location prediction."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skybench.core import UINT8, ModelCard, Sensor, WeightsSource

from ._families.resnet import IMAGENET, RESNET50, TINY_RESNET50, resnet_card, resnet_keys
from ._families.settings import variant_settings

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

CARD = ModelCard(
    name="gassl",
    title="GASSL",
    group="paper",
    inputs=(Sensor("hr", ("red", "green", "blue"), 0.0, UINT8),),  # fMoW: 0.3 m and coarser
    dim=2048,
    levels=RESNET50.levels,
    paper="Ayush et al., GASSL, ICCV 2021, arXiv:2011.09980",
    code=(
        "github:sustainlab-group/geography-aware-ssl@4251731 moco_fmow/moco/builder_geo.py, "
        "main_lincls.py"
    ),
    licence="no licence file in the repository; this adapter is skybench's own code",
    weights=WeightsSource(
        filename="resnet50_fmow_rgb_gassl-da43d987.pth",
        obtain=(
            "Download torchgeo's copy of the encoder of MoCo-v2+Geo+TP from "
            "https://huggingface.co/torchgeo/resnet50_fmow_rgb_gassl. The authors' own file, "
            "moco_geo+tp.pth.tar of https://zenodo.org/records/7379715, works too (--weights PATH)."
        ),
        licence="CC-BY-4.0 (the Zenodo record and torchgeo's card)",
        url=(
            "https://hf.co/torchgeo/resnet50_fmow_rgb_gassl/resolve/"
            "fe8a91026cf9104f1e884316b8e8772d7af9052c/resnet50_fmow_rgb_gassl-da43d987.pth"
        ),
        sha256="da43d987",
        container="none; the authors' file: state_dict",
        prefix="none; the authors' file: module.encoder_q.",
    ),
    pretraining=(
        "MoCo-v2 on the RGB images of fMoW's training split: two dates of a place are a positive "
        "pair, and the cluster of the place is predicted; 200 epochs."
    ),
    trained_on=("fmow_s2",),
    normalisation=(
        "x / 255, then ImageNet's mean and deviation (main_moco_geo+tp.py and main_lincls.py)"
    ),
    pooling="global average of the last map, which the authors' linear probe reads",
    params=23_508_032,
    equivalent_to="torchvision resnet50",
    caveats=(
        "trained on fMoW's own images; fmow_s2 has Sentinel-2 images of the same places",
        "the record on Zenodo has four files (MoCo-v2 plain, +Geo, +TP, +Geo+TP): all have the "
        "same keys and shapes, so only the file's name tells which one was loaded",
    ),
    min_pixels=32,
    multiple=32,
)

VARIANTS = {"full": RESNET50, "tiny": TINY_RESNET50}


def build(variant: str, **arch: Any) -> Model:
    """Build the network with fresh weights; `arch` overrides fields of `Arch`."""
    from ._adapters.resnet import ResNet

    chosen = variant_settings(VARIANTS, variant, arch)
    return ResNet(resnet_card(CARD, chosen), chosen, {"hr": IMAGENET})


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map the authors' keys (both encoders and the queue) or torchgeo's (bare) to ours."""
    return resnet_keys(state, "encoder_q.")
