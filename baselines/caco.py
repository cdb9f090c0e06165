"""CACo: ResNets that learned from Sentinel-2's RGB to tell lasting changes from seasonal ones.

Code and kind of images go back to SeCo's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skybench.core import ModelCard, WeightsSource

from ._adapters import seco
from ._adapters.seco import PICK as PICK
from ._adapters.seco import VARIANTS as VARIANTS
from ._families.resnet import RESNET50, network_of, own_keys

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

CHECKPOINTS = "https://research.cs.cornell.edu/caco/checkpoints"


def weights(network: str) -> WeightsSource:
    """Where the file of one network is."""
    filename = f"{network}_caco_geo_1m_200.pth"
    return WeightsSource(
        filename=filename,
        obtain=f"Download {CHECKPOINTS}/{filename}.",
        licence=(
            "none beside the files; the project's page, https://research.cs.cornell.edu/caco, says "
            "CC-BY-NC-4.0 of the work"
        ),
        noncommercial=True,
        url=f"{CHECKPOINTS}/{filename}",
        container="none; the .ckpt of the same name: state_dict",
        prefix="none; the .ckpt of the same name: encoder_q.",
        variants=seco.fits(network),
    )


CARD = ModelCard(
    name="caco",
    title="CACo (ResNet-50)",
    row="paper",
    inputs=(seco.INPUTS["s2"],),
    dim=2048,
    levels=RESNET50.levels,
    paper="Mall et al., CACo, CVPR 2023, doi:10.1109/CVPR52729.2023.00509",
    code=(
        "github:utkarshmall13/CACo@7c4fbc8 src/models/moco2_module.py, src/datasets/"
        "seco_dataset.py, notebooks/eurosat_eval_pytorch.ipynb"
    ),
    licence="MIT",
    weights=weights("resnet50"),
    pretraining=(
        "Change-aware contrastive learning on a million Sentinel-2 images of places around cities, "
        "several seasons of two years each (the authors' own set, geo_1m)."
    ),
    normalisation=seco.NORMALISATION,
    pooling="global average of the last map: the output of the authors' encoder",
    params=23_508_032,
    equals="torchvision resnet50",
    leads=(
        "the authors transfer without ImageNet's normalisation: EuroSAT as x / 255, BigEarthNet by "
        "its mean and two deviations to bytes, then x / 255",
        "that the images are stored as bytes of reflectance is taken from SeCo's downloader, whose "
        "quantiles the code shares; CACo's own is not in its repository",
        "the files of other methods and of 100,000 images (moco, seco, teco; 100k) have the same "
        "keys and shapes",
    ),
    min_pixels=32,
    multiple=32,
)
CARDS = (CARD, seco.resnet18(CARD, "CACo (ResNet-18)", weights("resnet18")))


def card(variant: str, **arch: Any) -> ModelCard:
    """The card of a variant; `arch` overrides fields of `Arch`."""
    return seco.card(CARDS, variant, arch)


def build(variant: str, **arch: Any) -> Model:
    """The network with fresh weights; `arch` overrides fields of `Arch`."""
    return seco.build(CARDS, variant, arch)


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """From the .pth (indices of a Sequential) or the .ckpt (both encoders, heads, queue)."""
    return own_keys(state, "encoder_q.")


def variant_of(state: dict[str, Tensor]) -> str:
    """The network that a published file is of."""
    return network_of(convert(state))
