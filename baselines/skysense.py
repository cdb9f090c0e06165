"""SkySense: its high-resolution branch, a Swin Transformer V2 of 655 million parameters.

The Sentinel-2 and Sentinel-1 branches and the fusion are not read yet: in the joint file their
keys are left aside. The authors publish no classification head; `pooled` is the spatial mean of
the last stage, the choice of this adapter.
"""

from __future__ import annotations

import dataclasses
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skybench.core import UINT8, ModelCard, Sensor, WeightsSource

from ._variants import choose

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.model import Model

CARD = ModelCard(
    name="skysense",
    title="SkySense (HR branch, Swin-V2-Huge)",
    row="paper",
    inputs=(Sensor("hr", ("red", "green", "blue"), 0.3, UINT8),),  # pre-training: WorldView 0.3 m
    dim=2816,
    levels=((352, 4), (704, 8), (1408, 16), (2816, 32)),
    source=(
        "Guo et al., CVPR 2024, arXiv:2312.10115; github:Bili-Sakura/SkySense@107d4e0 "
        "models/swin_transformer_v2.py (the official upload, 5ec7e33)"
    ),
    licence="no licence file in the official repository; this adapter is skybench's own code",
    weights=WeightsSource(
        filename="skysense_model_backbone_hr.pth",
        obtain=(
            "Open https://www.notion.so/SkySense-Checkpoints-a7fcff6ce29a4647a08c7fe416910509 in a "
            "browser and download skysense_model_backbone_hr.pth (or the joint checkpoint, "
            "renamed to it)."
        ),
        licence="non-commercial research only (the authors' README)",
        # The published files hold norm3 only; the authors' downstream configurations start the
        # norms of the other stages at weight 1, bias 0 as well.
        missing=("net.norms.[012].*",),
    ),
    min_pixels=256,  # the official code refuses maps smaller than the window
    multiple=32,
)


@dataclass(frozen=True)
class Arch:
    """Settings of the network; see `skybench.nets.swin_v2.SwinV2`."""

    embed_dims: int = 352
    depths: tuple[int, ...] = (2, 2, 18, 2)
    num_heads: tuple[int, ...] = (8, 16, 32, 64)
    in_channels: int = 3  # 4: red, green, blue, near infrared
    pad_small_map: bool = False
    drop_path: float = 0.0


VARIANTS = {
    "full": Arch(),
    "tiny": Arch(embed_dims=32, depths=(2, 2, 6, 2), num_heads=(2, 4, 8, 16)),
}


def card(arch: Arch) -> ModelCard:
    """The card of a network with these settings."""
    bands = ("red", "green", "blue", "nir")[: arch.in_channels]
    widths = [arch.embed_dims * 2**i for i in range(len(arch.depths))]
    return dataclasses.replace(
        CARD,
        inputs=(dataclasses.replace(CARD.inputs[0], bands=bands),),
        dim=widths[-1],
        levels=tuple((width, 4 * 2**i) for i, width in enumerate(widths)),
        min_pixels=32 if arch.pad_small_map else CARD.min_pixels,
    )


def build(variant: str, **arch: Any) -> Model:
    """The network with fresh weights; `arch` overrides fields of `Arch`."""
    from ._skysense import SkySense

    chosen = choose(VARIANTS, variant, arch)
    return SkySense(card(chosen), dataclasses.asdict(chosen))


RENAMED = (
    (r"\.attn\.w_msa\.", ".attn."),
    (r"\.ffn\.layers\.0\.0\.", ".ffn.0."),
    (r"\.ffn\.layers\.1\.", ".ffn.2."),
    (r"^norm(\d)\.", r"norms.\1."),
)
OTHER_PARTS = ("backbone_s2.", "backbone_s1.", "fusion.", "head", "ctpe")  # of the joint file
REBUILT = ("relative_coords_table", "relative_position_index")


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """From the joint file ('backbone_gep.'), the split file ('backbone.') or bare keys."""
    found = {}
    for key, tensor in state.items():
        if key.startswith(OTHER_PARTS) or key.endswith(REBUILT):
            continue
        own = re.sub(r"^(backbone_gep|backbone)\.", "", key)
        for published, ours in RENAMED:
            own = re.sub(published, ours, own)
        found[f"net.{own}"] = tensor
    return found
