"""OlmoEarth, first generation: transformers over Sentinel-1 and Sentinel-2 band sets and dates.

The adapter provides the Sentinel inputs, without Landsat and the maps (elevation, land cover...).
`pooled` is the mean of all tokens, the only level of the pyramid their mean per patch, as in the
authors' evaluations.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skybench.core import DB, REFLECTANCE, ModelCard, Sensor, UsageError, WeightsSource

from ._families.settings import check_width, variant_settings

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

# In the model's order: B2, B3, B4, B8; B5, B6, B7, B8A, B11, B12; B1, B9.
S2_BANDS = (
    "blue", "green", "red", "nir",
    "rededge071", "rededge075", "rededge078", "nir08", "swir16", "swir22",
    "coastal", "nir09",
)  # fmt: skip


@dataclass(frozen=True)
class Arch:
    """Settings of a network."""

    dim: int = 768
    depth: int = 12
    heads: int = 12
    patch_size: int = 4  # 1 to 8 pixels; attention is quadratic in the number of patches


VARIANTS = {
    "v1_nano": Arch(128, 4, 8),
    "v1_tiny": Arch(192, 12, 3),
    "v1_base": Arch(),
    "v1_large": Arch(1024, 24, 16),
    "tiny": Arch(32, 2, 4),
}
PICK = {"full": ("v1_base",), "tiny": ("tiny",)}
PARAMS = {  # of the parts built here, without those for Landsat and maps
    "v1_nano": 909_056,
    "v1_tiny": 5_512_320,
    "v1_base": 85_750_272,
    "v1_large": 303_237_120,
}
CODE = "github:allenai/olmoearth_pretrain@0a8852e"
COMMON = ModelCard(
    name="olmoearth",
    title="OlmoEarth v1 (base)",
    group="extra",
    inputs=(
        Sensor("s2", S2_BANDS, 10.0, REFLECTANCE),
        Sensor("s2_20m", S2_BANDS[:10], 10.0, REFLECTANCE),  # two of its three band sets
        Sensor("s2_10m", S2_BANDS[:4], 10.0, REFLECTANCE),  # the first alone
        Sensor("s1", ("vv", "vh"), 10.0, DB),
    ),
    dim=768,
    levels=((768, 4),),
    paper="Herzog et al., OlmoEarth, 2025, arXiv:2511.13655",
    code=f"{CODE} olmoearth_pretrain/nn/flexi_vit.py, scripts/official/v1",
    licence="OlmoEarth Artifact License (no military use, no extraction of resources)",
    pretraining=(
        "Masked modelling in latent space and contrast, of series of 12 months at most of "
        "Sentinel-2 L2A, Sentinel-1 and Landsat with six maps, at 285,288 places all over the "
        "world (the authors' own set)."
    ),
    normalisation=(
        "(x - (mean - 2 std)) / (4 std), not cut off "
        f"({CODE} olmoearth_pretrain/data/normalize.py, norm_configs/computed.json)"
    ),
    pooling=f"mean of all tokens ({CODE} pool_unmasked_tokens, MEAN, as scripts/official/v1 has)",
    caveats=(
        "Patches of 4 x 4 pixels, as in the authors' evaluations (train/callbacks/"
        "evaluator_callback.py); --arch patch_size=8 gives a quarter of the tokens.",
        "It was trained on monthly composites of one year. Every date here is one step with its "
        "month; longer series than 12 are read in parts that are spread over the series, and "
        "averaged, which is ours.",
        "Where a date is not known it is in July, as in the authors' evaluation on GEO-Bench.",
        "Where B1 and B9, or all bands but those of 10 m, are missing their band set is left out, "
        "as at random in pre-training; the authors' evaluations copy other bands into it instead.",
        "The parts of the published encoder that read Landsat and maps, and the projection of its "
        "contrastive loss, are left out. Files of v1.1 and v1.2 are of other networks.",
        "Which bytes are published is not verified: no hash of the files is known here.",
    ),
    temporal=True,
    min_pixels=4,
    multiple=4,
)


def card(variant: str, **arch: Any) -> ModelCard:
    """Return the card of a variant; `arch` overrides fields of `Arch`."""
    return _card(variant, variant_settings(VARIANTS, variant, arch))


def _card(variant: str, arch: Arch) -> ModelCard:
    network = variant if variant in PARAMS else "v1_base"
    size = network.removeprefix("v1_")
    page = f"https://huggingface.co/allenai/OlmoEarth-v1-{size.capitalize()}"
    filename = f"OlmoEarth-v1-{size.capitalize()}.pth"
    return dataclasses.replace(
        COMMON,
        title=f"OlmoEarth v1 ({size})",
        dim=arch.dim,
        levels=((arch.dim, arch.patch_size),),
        weights=WeightsSource(
            filename=filename,
            obtain=f"Download weights.pth from {page} and save it as {filename}.",
            licence=COMMON.licence,
            url=f"{page}/resolve/main/weights.pth",
            prefix="encoder.",
            variants=(network,),
            unused=("*.per_modality_channel_embeddings.*", "*.per_modality_embeddings.*"),
        ),
        params=PARAMS[network],
        min_pixels=arch.patch_size,
        multiple=arch.patch_size,
    )


CARD = card("v1_base")


def build(variant: str, **arch: Any) -> Model:
    """Build the network with fresh weights; `arch` overrides fields of `Arch`."""
    from ._adapters.olmoearth import OlmoEarthModel

    chosen = variant_settings(VARIANTS, variant, arch)
    if not 1 <= chosen.patch_size <= 8:
        raise UsageError(f"Expected patch_size to be 1 to 8, but got {chosen.patch_size}.")
    check_width(chosen.dim, 16)
    return OlmoEarthModel(_card(variant, chosen), **dataclasses.asdict(chosen))


EMBED = "patch_embeddings.per_modality_embeddings."
CODES = "composite_encodings."
# Beginnings of published keys -> of the model's own.
NAMES = {
    f"{EMBED}sentinel2_l2a.sentinel2_l2a__": "patch_embed.s2.",
    f"{EMBED}sentinel1.sentinel1__": "patch_embed.s1.",
    f"{CODES}per_modality_channel_embeddings.sentinel2_l2a": "channel_embed.s2",
    f"{CODES}per_modality_channel_embeddings.sentinel1": "channel_embed.s1",
    f"{CODES}month_embed.": "month_embed.",
    "blocks.": "blocks.",
    "norm.": "norm.",
}


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map the keys of the whole model, or of its encoder alone, to ours."""
    ours = {}
    for key, tensor in state.items():
        bare = key.removeprefix("module.").removeprefix("encoder.")
        for published, name in NAMES.items():
            if bare.startswith(published):
                ours[f"net.{name}{bare.removeprefix(published)}"] = tensor
    return ours


def variant_of(state: dict[str, Tensor]) -> str:
    """Identify the published network by its width; "" if none fits."""
    kernel = convert(state).get("net.patch_embed.s2.0.proj.weight")
    if kernel is None or kernel.shape[1:] != (4, 8, 8):  # v1.1 has flat kernels
        return ""
    return {VARIANTS[v].dim: v for v in PARAMS}.get(len(kernel), "")
