"""TOV: a ResNet-50 pre-trained on photographs, then on aerial and satellite images."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skybench.core import UINT8, ModelCard, Sensor, WeightsSource

from ._families.resnet import RESNET50, TINY_RESNET50, Standardise, resnet_card, resnet_keys
from ._families.settings import variant_settings

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

CARD = ModelCard(
    name="tov",
    title="TOV",
    group="paper",
    inputs=(Sensor("hr", ("red", "green", "blue"), 0.0, UINT8),),
    dim=2048,
    levels=RESNET50.levels,
    paper="Tao et al., TOV, IEEE JSTARS 2023, arXiv:2204.04716",
    code="github:GeoX-Lab/G-RSIM@518efd3 TOV_v1/classification/models/cls_net.py, main_cls.py",
    licence="no licence file in the repository; this adapter is skybench's own code",
    weights=WeightsSource(
        filename="TOV_v1_model_pretrained_on_TOV-RS-balanced_ep800.pth.tar",
        obtain=(
            "Open https://drive.google.com/drive/folders/14c0TnHFi1N_DC_egcoNWHCKX9C2pmmUR (or "
            "https://pan.baidu.com/s/1NHnuTbj7fVvCuUJXU9N5vQ, password TOV1) in a browser and "
            "download 0102300000_22014162253_pretrain/"
            "TOV_v1_model_pretrained_on_TOV-RS-balanced_ep800.pth.tar."
        ),
        licence="none is given",
        container="state_dict, or none",
        prefix="none",
    ),
    pretraining=(
        "Contrastive learning on photographs, then on the authors' own TOV-RS-balanced (aerial and "
        "satellite images, RGB); 800 epochs by the file's name."
    ),
    normalisation="(x / 255 - 0.5) / 0.5 (TOV_v1/classification/config/default/opt_AID.py)",
    pooling="global average of the last map, which the authors' classifier reads (cls_net.py)",
    params=23_508_032,
    equivalent_to="torchvision resnet50",
    caveats=(
        "the layout of the file is that of the authors' loader (main_cls.py); the file itself was "
        "not seen",
        "TOV-RS is not public: whether it shares images with AID or RESISC-45 is unverified",
        "the authors read images by OpenCV and turn BGR into RGB: the network wants RGB",
    ),
    min_pixels=32,
    multiple=32,
)

VARIANTS = {"full": RESNET50, "tiny": TINY_RESNET50}
SYMMETRIC = Standardise((127.5,), (127.5,))


def build(variant: str, **arch: Any) -> Model:
    """Build the network with fresh weights; `arch` overrides fields of `Arch`."""
    from ._adapters.resnet import ResNet

    chosen = variant_settings(VARIANTS, variant, arch)
    return ResNet(resnet_card(CARD, chosen), chosen, {"hr": SYMMETRIC})


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map torchvision's keys to ours; a classifier is dropped."""
    return resnet_keys(state)
