"""AnySat: a joint-embedding transformer for Sentinel-2 and Sentinel-1 series, with any patch size.

The published network reads eleven sensors; the adapter provides the Sentinel sensors.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skybench.core import DB, REFLECTANCE, ModelCard, Sensor, UsageError, WeightsSource
from skybench.core.sensors import S2_FINE

from ._families.settings import check_width, variant_settings

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

CODE = "github:gastruc/AnySat@e03e72e"

CARD = ModelCard(
    name="anysat",
    title="AnySat (base)",
    group="extra",
    inputs=(
        Sensor("s2", S2_FINE, 10.0, REFLECTANCE),
        Sensor("s1", ("vv", "vh"), 10.0, DB),
    ),
    dim=768,
    levels=((768, 4),),
    paper="Astruc et al., AnySat, CVPR 2025, arXiv:2412.14123",
    code=f"{CODE} hubconf.py, src/models/networks/encoder",
    licence="MIT",
    weights=WeightsSource(
        filename="AnySat.pth",
        obtain="Download models/AnySat.pth from https://huggingface.co/g-astruc/AnySat.",
        licence="MIT",
        url="https://huggingface.co/g-astruc/AnySat/resolve/main/models/AnySat.pth",
        container="state_dict",
    ),
    pretraining=(
        "Joint-embedding prediction between sensors and masked patches on GeoPlex: TreeSatAI-TS, "
        "PASTIS-HD, FLAIR, PLANTED and S2NAIP-URBAN, of eleven sensors."
    ),
    trained_on=("pastis_mm",),
    normalisation=(
        "(x - mean) / standard deviation, as the authors' README asks, with PASTIS's (fold 1 of "
        "its NORM_S2_patch.json and NORM_S1A_patch.json), as fixed ones"
    ),
    pooling=f"class token (output 'tile', {CODE} README.md)",
    params=101_023_264,  # 125,905,447 with the projectors of the other sensors
    caveats=(
        "The authors normalise each dataset by its own statistics; PASTIS's, on which the network "
        "was trained, are taken for all here.",
        "Patches of 4 x 4 pixels (40 m): the README advises 1024 patches at most; --arch "
        "patch_size=1 is the smallest. The map is of patches; the README's 'dense' output for "
        "segmentation, which adds a vector for each pixel, is not given.",
        "Sentinel-1 is read by the projector of three channels, VV, VH and their ratio, whichever "
        "way the satellite flew; that of ascending passes alone is left out, as are those of "
        "Landsat, MODIS, ALOS, SPOT and NAIP.",
        "The network is slow: it reads every pixel of every date before it forms patches.",
        "Where a date is not known it is 1 July, which is ours.",
        "All heads take what the first one's queries give by distance, as the official code does "
        "where rpe_ops is not compiled; whether the weights were trained so is not verified.",
        "The aerial projector (0.2 m, RGB and near infrared) is in the network and agrees with "
        "the authors' code, but no dataset's imagery is given to it.",
    ),
    temporal=True,
    min_pixels=4,
    multiple=4,
)


@dataclass(frozen=True)
class Arch:
    """Settings of the network."""

    dim: int = 768
    depth: int = 6  # of the patches' encoder, and of the transformer over patches but its last
    heads: int = 12
    patch_size: int = 4  # pixels of 10 m


VARIANTS = {"full": Arch(), "tiny": Arch(64, 1, 2)}


def build(variant: str, **arch: Any) -> Model:
    """Build the network with fresh weights; `arch` overrides fields of `Arch`."""
    from ._adapters.anysat import AnySatModel

    chosen = variant_settings(VARIANTS, variant, arch)
    check_width(chosen.dim, 64)
    if chosen.patch_size < 1:
        raise UsageError(f"Expected patch_size to be at least 1, but got {chosen.patch_size}.")
    card = dataclasses.replace(
        CARD,
        dim=chosen.dim,
        levels=((chosen.dim, chosen.patch_size),),
        min_pixels=chosen.patch_size,
        multiple=chosen.patch_size,
    )
    return AnySatModel(card, **dataclasses.asdict(chosen))


PARTS = ("cls_token", "series.", "aerial.", "spatial_encoder.", "blocks.")
# Parts of published keys -> of the model's own.
NAMES = {
    "projector_aerial.": "aerial.",
    "projector_s2.patch_embed.": "series.s2.",
    "projector_s1.patch_embed.": "series.s1.",
    ".attention_heads.Q": ".query",
    ".attention_heads.fc1_k.": ".key.",
    ".predictor_": ".",
    ".rpe_k.lookup_table_weight": ".distances",
}


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map the published keys to ours, or those of the whole hub model ("model.")."""
    own = {}
    for key, tensor in state.items():
        name = key.removeprefix("module.").removeprefix("model.")
        for published, ours in NAMES.items():
            name = name.replace(published, ours)
        if name.startswith(PARTS):
            own[f"net.{name}"] = tensor
    return own
