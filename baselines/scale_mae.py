"""Scale-MAE: a masked autoencoder of fMoW that reads the ground sampling distance.

The positional embedding is scaled by `gsd`, a setting of the network. Its default, 1, is the value
of the authors' evaluations at 224 pixels, whatever the images' true resolution;
`load_model("scale_mae", gsd=0.5)` sets another.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skybench.core import UINT8, ModelCard, Sensor, UsageError, WeightsError, WeightsSource

from ._families.settings import variant_settings
from ._families.vit import ViTArch, vit_card, vit_keys

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

CARD = ModelCard(
    name="scale_mae",
    title="Scale-MAE (ViT-L/16)",
    group="paper",
    inputs=(Sensor("hr", ("red", "green", "blue"), 0.0, UINT8),),  # fMoW: 0.3 m and coarser
    dim=1024,
    levels=((1024, 16),),
    paper="Reed et al., Scale-MAE, ICCV 2023, arXiv:2212.14532",
    code=(
        "github:bair-climate-initiative/scale-mae@89280d8 mae/models_vit.py, mae/util/pos_embed.py"
    ),
    licence="CC BY-NC 4.0; this adapter is skybench's own code",
    weights=WeightsSource(
        filename="vit_large_patch16_224_fmow_rgb_scalemae-98ed9821.pth",
        obtain=(
            "Download the file from its URL (torchgeo's copy). The authors' own, "
            "https://github.com/bair-climate-initiative/scale-mae/releases/download/base-800/"
            "scalemae-vitlarge-800.pth, is to be passed with --weights PATH."
        ),
        licence="CC BY-NC 4.0",
        url=(
            "https://hf.co/isaaccorley/vit_large_patch16_224_fmow_rgb_scalemae/resolve/"
            "9dc7f569424baeb780698352cf6e87638c882123/"
            "vit_large_patch16_224_fmow_rgb_scalemae-98ed9821.pth"
        ),
        sha256="98ed9821",
        container="model",
        noncommercial=True,
    ),
    pretraining="Masked autoencoding of fMoW's RGB images at several scales, 800 epochs.",
    trained_on=("fmow_s2",),
    normalisation=(
        "ImageNet's mean and deviation of x / 255 (mae/config/fmow.yaml; torchgeo's transforms)"
    ),
    pooling="class token after the last norm (mae/main_linprobe.py and mae/eval/knn.py)",
    params=303_099_904,
    equivalent_to="torchgeo scalemae_large_patch16(res=gsd), for squares",
    caveats=(
        "The ground sampling distance is a setting, `gsd`, 1 by default, for all data sets alike: "
        "the authors' kNN and linear probe take 1.0 at 224 pixels whatever the images' resolution "
        "(mae/eval/knn.py, eval_base_resolution). In torchgeo-bench 1.0 beat the sensors' true "
        "distances on 11 data sets, though an author of Scale-MAE chose 3.5 for EuroSAT at 64 "
        "pixels (github.com/torchgeo/torchgeo-bench/pull/215). To use true distances here, a batch "
        "would have to carry that of each sensor, and the factor by which images were resized.",
        "fmow_s2 has the places of fMoW: the network saw them, though in other images.",
        "SatMAE's RGB file has the same keys and shapes and is not told from this one.",
        "The stored pos_embed (201,728 values) is not used, so it is not counted.",
    ),
    min_pixels=224,
    multiple=16,
)


@dataclass(frozen=True)
class Arch:
    """Settings of the network."""

    gsd: float = 1.0  # metres per pixel; see the card's caveats
    image: int = 224  # smaller images are enlarged to this side
    patch: int = 16
    dim: int = 1024
    depth: int = 24
    heads: int = 16

    def vit(self) -> ViTArch:
        """The settings of the transformer itself."""
        return ViTArch(self.image, self.patch, self.dim, self.depth, self.heads)


VARIANTS = {"full": Arch(), "tiny": Arch(image=64, dim=64, depth=4, heads=4)}


def build(variant: str, **arch: Any) -> Model:
    """Build the network with fresh weights; `arch` overrides fields of `Arch`."""
    from ._adapters.scale_mae import ScaleMAE

    chosen = variant_settings(VARIANTS, variant, arch)
    if not 0 < chosen.gsd < math.inf:
        raise UsageError(f"Expected gsd in metres per pixel, above 0, but got {chosen.gsd}.")
    return ScaleMAE(vit_card(CARD, chosen.vit()), chosen.vit(), chosen.gsd)


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map the keys to ours; the decoder and the stored positional embedding are dropped.

    Raises WeightsError if that embedding is not as wide as the tokens: SatMAE's temporal network.
    """
    ours = vit_keys(state)
    positions, token = ours.pop("net.pos_embed", None), ours.get("net.cls_token")
    if positions is not None and token is not None and positions.shape[-1] != token.shape[-1]:
        raise WeightsError(
            "These weights are not Scale-MAE's: the stored positions are "
            f"{positions.shape[-1]} wide, its tokens {token.shape[-1]}. Give the published file"
        )
    return ours
