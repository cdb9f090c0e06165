"""GFM: an ImageNet-22k Swin-B with continual pre-training on aerial images.

Pre-trained at 192 pixels with windows of 6. As in the authors' fine-tuning configurations the
window size is proportional to the image (4 at 128 pixels, 8 at 256), here with a maximum of 8. The
relative position tables are interpolated as the authors do.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from skybench.core import UINT8, ModelCard, Sensor, WeightsSource

from ._families.settings import variant_settings
from ._families.swin import ScaledSwinArch, swin_card

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

CARD = ModelCard(
    name="gfm",
    title="GFM (Swin-B)",
    group="paper",
    inputs=(Sensor("hr", ("red", "green", "blue"), 0.0, UINT8),),
    dim=1024,
    levels=((128, 4), (256, 8), (512, 16), (1024, 32)),
    paper="Mendieta et al., GFM, ICCV 2023, arXiv:2302.04476",
    code="github:mmendiet/GFM@4dd248e models/swin_transformer.py, utils.py, configs/",
    licence="Apache-2.0",
    weights=WeightsSource(
        filename="gfm.pth",
        obtain=(
            "Open https://1drv.ms/f/s!AkTn76m907OThpRJjH8ehfskbgCLXw?e=ZJreFo in a browser and "
            "download gfm.pth."
        ),
        licence="not stated for the file; the repository is Apache-2.0",
        container="model",
        prefix="encoder.",
    ),
    pretraining=(
        "From ImageNet-22k's Swin-B, masked image modelling and distillation on GeoPile: 600,000 "
        "images of NAIP, RSD46-WHU, MLRSNet, RESISC45 and PatternNet (the paper's table 2)."
    ),
    trained_on=("resisc45",),
    normalisation="ImageNet's mean and deviation of x / 255 (data/data_simmim.py)",
    pooling="mean of the normed last map (forward_features of models/swin_transformer.py)",
    params=86_725_176,
    equivalent_to="timm swin_base_patch4_window7_224(img_size=192, window_size=6) at 192 pixels",
    caveats=(
        "The file also holds a configuration as an object, which is left out.",
        "Maps of the first three stages are raw: the authors publish no code for dense tasks.",
        "RESISC45's images were seen in pre-training, without labels.",
        "For 12 bands the authors spread the kernel over channels 3, 2, 1; here RGB is read.",
    ),
    min_pixels=128,  # the smallest that the authors use (configs/BEN.yaml)
    multiple=32,
)

VARIANTS = {
    "full": ScaledSwinArch(),
    "tiny": ScaledSwinArch(
        embed_dim=32, depths=(2, 2, 2, 2), num_heads=(1, 2, 4, 8), image=96, window=3,
    ),
}  # fmt: skip
LARGEST = 8  # of the windows that the authors use, at 256 pixels (configs/UCM.yaml)


def build(variant: str, **arch: Any) -> Model:
    """Build the network with fresh weights; `arch` overrides its settings."""
    from ._adapters.swin import swin_model
    from ._networks.swin import SwinOptions

    chosen = variant_settings(VARIANTS, variant, arch)
    return swin_model(swin_card(CARD, chosen), chosen, SwinOptions(norms=(3,)), LARGEST)


DROPPED = ("relative_position_index", "attn_mask", "mask_token")


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map the encoder's keys of the pre-training file, or a fine-tuned file's keys, to ours."""
    state = {key.removeprefix("module."): tensor for key, tensor in state.items()}
    prefix = "encoder." if any(key.startswith("encoder.") for key in state) else ""
    ours = {}
    for key, tensor in state.items():
        bare = key.removeprefix(prefix)
        if not key.startswith(prefix) or bare.endswith(DROPPED):
            continue
        if bare.startswith(("patch_embed.", "layers.", "norm.")):
            ours["net." + re.sub(r"^norm\.", "norms.3.", bare)] = tensor
    return ours
