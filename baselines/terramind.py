"""TerraMind: one transformer over patches of Sentinel-2, Sentinel-1 and further sources.

Reads Sentinel-2 L2A, Sentinel-1 GRD or both. The variants are the published sizes.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skybench.core import DB, REFLECTANCE, ModelCard, Sensor, WeightsSource
from skybench.core.sensors import L2A

from ._families.settings import check_width, variant_settings

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model


@dataclass(frozen=True)
class Arch:
    """Settings of the network; the defaults are those of the base size."""

    image: int = 224  # side in pixels of the stored positional embedding
    dim: int = 768
    depth: int = 12
    heads: int = 12
    gated: bool = True  # SwiGLU without biases; else GELU with them


# "tiny" means a reduced network everywhere in skybench, so the published sizes carry a "v1".
VARIANTS = {
    "v1_tiny": Arch(dim=192, heads=3, gated=False),
    "v1_small": Arch(dim=384, heads=6, gated=False),
    "v1_base": Arch(),
    "v1_large": Arch(dim=1024, depth=24, heads=16),
    "tiny": Arch(image=32, dim=32, depth=2, heads=2),
    "tiny_biased": Arch(image=32, dim=32, depth=2, heads=2, gated=False),
}
PICK = {"full": ("v1_base",), "tiny": ("tiny",)}
# Reduced network -> the published network whose card it has.
REDUCED = {"tiny": "v1_base", "tiny_biased": "v1_tiny"}
PARAMS = {
    "v1_tiny": 6_022_464,
    "v1_small": 22_661_760,
    "v1_base": 87_707_904,
    "v1_large": 305_662_976,
}
# As users of the file recorded it; no hash of the other files is known.
SHA256 = {"v1_tiny": "e56ea9ebcd4451078b9ca4893d5cd8a89bbee376ae16829c3e7fbbbc76de0eba"}
REGISTER = "terratorch/models/backbones/terramind/model/terramind_register.py"


def _weights(variant: str) -> WeightsSource:
    filename = f"TerraMind_{variant}.pt"
    page = f"https://huggingface.co/ibm-esa-geospatial/TerraMind-1.0-{variant.removeprefix('v1_')}"
    return WeightsSource(
        filename=filename,
        obtain=f"Download {filename} from {page}.",
        licence="Apache-2.0",
        url=f"{page}/resolve/main/{filename}",
        sha256=SHA256.get(variant, ""),
        prefix="encoder_embeddings. | encoder. | encoder_norm.",
        variants=(variant,),
        unused=("*encoder_embeddings.*",),  # of sources other than Sentinel
    )


COMMON = ModelCard(
    name="terramind",
    title="TerraMind 1.0",
    group="extra",
    inputs=(
        Sensor("s2", L2A, 10.0, REFLECTANCE),
        Sensor("s1", ("vv", "vh"), 10.0, DB),
    ),
    dim=0,
    levels=(),
    paper="Jakubik et al., TerraMind, ICCV 2025, arXiv:2504.11171",
    code=(
        "github:IBM/terratorch@85467a9 terratorch/models/backbones/terramind/model/terramind_vit.py"
        ", encoder_embeddings.py, tm_utils.py, terramind_register.py"
    ),
    licence="Apache-2.0",
    pretraining=(
        "Masked modelling of images and of their tokens, across Sentinel-2, Sentinel-1, elevation, "
        "land cover, NDVI, captions and coordinates (TerraMesh), 224 x 224 pixels."
    ),
    normalisation=f"(x - mean) / std of its pre-training images ({REGISTER})",
    pooling=(
        "mean over sensors (terratorch's default for this backbone, terramind_vit.py), then over "
        "places, of the last block's normed tokens"
    ),
    caveats=(
        "The published files also read elevation, Sentinel-2 L1C, Sentinel-1 RTC and RGB images; "
        "those parts are left out here. Images of level 1C are read as level 2A, and radar as GRD.",
        "All 12 bands of Sentinel-2 are needed: terratorch can read fewer, with kernels cut down.",
    ),
    multiple=16,
)


def card(variant: str, **arch: Any) -> ModelCard:
    """Return the card of a variant; `arch` overrides fields of `Arch`."""
    return _card(variant, variant_settings(VARIANTS, variant, arch))


def _card(variant: str, arch: Arch) -> ModelCard:
    published = REDUCED.get(variant, variant)
    return dataclasses.replace(
        COMMON,
        title=f"TerraMind 1.0 ({published.removeprefix('v1_')})",
        weights=_weights(published),
        params=PARAMS[published],
        dim=arch.dim,
        levels=((arch.dim, 16),),
        min_pixels=arch.image,
    )


CARD = card(PICK["full"][0])


def build(variant: str, **arch: Any) -> Model:
    """Build the network with fresh weights; `arch` overrides fields of `Arch`."""
    from ._adapters.terramind import TerraMindModel

    chosen = variant_settings(VARIANTS, variant, arch)
    check_width(chosen.dim, 4, chosen.heads)
    return TerraMindModel(_card(variant, chosen), **dataclasses.asdict(chosen))


OWN = {  # beginnings of published keys -> ours
    "encoder_embeddings.untok_sen2l2a@224.": "net.embeddings.s2.",
    "encoder_embeddings.untok_sen1grd@224.": "net.embeddings.s1.",
    "encoder.": "net.blocks.",
    "encoder_norm.": "net.norm.",
}


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map the keys of the whole network to ours; other sources and the decoder are dropped."""
    gated = any(key.endswith(".mlp.fc3.weight") for key in state)
    found = {}
    for key, tensor in state.items():
        bare = key.removeprefix("module.")
        start = next((theirs for theirs in OWN if bare.startswith(theirs)), None)
        if start is None:
            continue
        own = OWN[start] + bare.removeprefix(start)
        if gated:
            own = own.replace(".fc1.", ".fc1_g.").replace(".fc3.", ".fc1_x.")
        if own.endswith(".proj.weight") and ".embeddings." in own:
            # Of a linear layer on patches: row, column, band.
            tensor = tensor.reshape(len(tensor), 16, 16, -1).permute(0, 3, 1, 2)
        found[own] = tensor
    return found


def variant_of(state: dict[str, Tensor]) -> str:
    """Identify the published size by its width; "" if none fits."""
    token = convert(state).get("net.embeddings.s2.mod_emb")
    widths = {arch.dim: v for v, arch in VARIANTS.items() if v in PARAMS}
    return "" if token is None else widths.get(token.shape[-1], "")
