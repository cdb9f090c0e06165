"""CACo: ResNets pre-trained on Sentinel-2 RGB to separate lasting from seasonal changes.

Code and image format derive from SeCo's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skybench.core import ModelCard, WeightsSource

from ._families import seco
from ._families.resnet import RESNET50
from ._families.seco import PICK as PICK
from ._families.seco import VARIANTS as VARIANTS
from ._families.seco import convert as convert
from ._families.seco import variant_of as variant_of
from ._families.settings import variant_settings

if TYPE_CHECKING:
    from skybench.core.model import Model

CHECKPOINTS = "https://research.cs.cornell.edu/caco/checkpoints"


def weights(network: str) -> WeightsSource:
    """Source of the weights of one network."""
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
        variants=seco.file_variants(network),
    )


CARD = ModelCard(
    name="caco",
    title="CACo (ResNet-50)",
    group="paper",
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
    equivalent_to="torchvision resnet50",
    caveats=(
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
CARDS = (CARD, seco.resnet18_card(CARD, "CACo (ResNet-18)", weights("resnet18")))


def card(variant: str, **arch: Any) -> ModelCard:
    """Return the card of a variant; `arch` overrides fields of `Arch`."""
    return seco.seco_card(CARDS, variant, arch)


def build(variant: str, **arch: Any) -> Model:
    """Build the network with fresh weights; `arch` overrides fields of `Arch`."""
    from ._adapters.seco import seco_model

    return seco_model(card(variant, **arch), variant_settings(VARIANTS, variant, arch))
