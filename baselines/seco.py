"""SeCo: ResNets pre-trained on Sentinel-2 RGB by seasonal contrast."""

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


def weights(network: str, revision: str, sha256: str, md5: str) -> WeightsSource:
    """Source of the weights of one network: torchgeo's copy, and the authors' file (md5)."""
    filename = f"{network}_sentinel2_rgb_seco-{sha256}.pth"
    repository = f"torchgeo/{network}_sentinel2_rgb_seco"
    return WeightsSource(
        filename=filename,
        obtain=(
            f"Download torchgeo's copy of the encoder from https://huggingface.co/{repository}. "
            f"The authors' own file, seco_{network}_1m.ckpt of https://zenodo.org/records/4728033 "
            f"(md5 {md5}), works too (--weights PATH)."
        ),
        licence="CC-BY-4.0 (torchgeo's card)",
        url=f"https://hf.co/{repository}/resolve/{revision}/{filename}",
        sha256=sha256,
        container="none; the authors' file: state_dict",
        prefix="none; the authors' file: encoder_q.",
        variants=seco.file_variants(network),
    )


CARD = ModelCard(
    name="seco",
    title="SeCo (ResNet-50)",
    group="paper",
    inputs=(seco.INPUTS["s2"],),
    dim=2048,
    levels=RESNET50.levels,
    paper="Mañas et al., SeCo, ICCV 2021, arXiv:2103.16607",
    code=(
        "github:ServiceNow/seasonal-contrast@8285173 models/moco2_module.py, datasets/"
        "seco_dataset.py, seco_downloader.py"
    ),
    licence="Apache-2.0",
    weights=weights(
        *("resnet50", "fbd07b02a8edb8fc1035f7957160deed4321c145", "018bf397"),
        "7b09c54aed33c0c988b425c54f4ef948",
    ),
    pretraining=(
        "MoCo-v2 with three embedding spaces on a million images (L2A) of 200,000 places around "
        "cities, five dates each (the authors' own set)."
    ),
    normalisation=seco.NORMALISATION,
    pooling="global average of the last map: the output of the authors' encoder",
    params=23_508_032,
    equivalent_to="torchvision resnet50",
    caveats=(
        "the authors transfer without ImageNet's normalisation: BigEarthNet by its mean and two "
        "deviations to bytes, OSCD by other quantiles, then x / 255",
        "torchgeo's transform for these weights has the stretch in the order B2, B3, B4 for bands "
        "B4, B3, B2, does not divide by 255 and does not cut off: it is not used",
        "the files of 100,000 images (100k) have the same keys and shapes as those of a million",
    ),
    min_pixels=32,
    multiple=32,
)
CARDS = (
    CARD,
    seco.resnet18_card(
        CARD,
        "SeCo (ResNet-18)",
        weights(
            *("resnet18", "f8dcee692cf7142163b55a5c197d981fe0e717a0", "cefca942"),
            "53d5c41d0f479bdfd31d6746ad4126db",
        ),
    ),
)


def card(variant: str, **arch: Any) -> ModelCard:
    """Return the card of a variant; `arch` overrides fields of `Arch`."""
    return seco.seco_card(CARDS, variant, arch)


def build(variant: str, **arch: Any) -> Model:
    """Build the network with fresh weights; `arch` overrides fields of `Arch`."""
    from ._adapters.seco import seco_model

    return seco_model(card(variant, **arch), variant_settings(VARIANTS, variant, arch))
