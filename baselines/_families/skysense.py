"""SkySense without torch: settings of its networks and the parts of its files."""

from __future__ import annotations

from dataclasses import dataclass

# Part -> the prefix of its keys in the joint file, in our network, and a key that shows that it
# is present. Source: github:Bili-Sakura/SkySense@107d4e0 tools/ckpt_convert.py; it says "head" for
# the heads, whose names are SkySense++'s.
PARTS = {
    "hr": ("backbone_gep.", "net.", "patch_embed.projection.weight"),
    "s2": ("backbone_s2.", "s2.", "patch_embed.projection.weight"),
    "s1": ("backbone_s1.", "s1.", "patch_embed.projection.weight"),
    "head_s2": ("head_s2.", "head_s2.", "decoder.0.weight"),
    "head_s1": ("head_s1.", "head_s1.", "decoder.0.weight"),
    "fusion": ("fusion.", "fusion.", "project.weight"),
    "ctpe": ("ctpe", "ctpe", ""),
}


@dataclass(frozen=True)
class Positions:
    """The stored positional embedding of a Sentinel branch; it is interpolated for other sizes."""

    grid: int = 16  # patches per side
    class_token: bool = True  # a token with a position of its own before the patches


@dataclass(frozen=True)
class Arch:
    """Settings of the networks; see `_networks.swin_v2`, `.vit_mm` and `.fusion`."""

    embed_dims: int = 352  # of the high-resolution branch, as the four below
    depths: tuple[int, ...] = (2, 2, 18, 2)
    num_heads: tuple[int, ...] = (8, 16, 32, 64)
    in_channels: int = 3  # 4: red, green, blue, near infrared
    pad_small_map: bool = False
    vit_dims: int = 1024
    vit_layers: int = 24
    vit_heads: int = 16
    vit_grid: int = 16
    vit_class_token: bool = True  # SkySense++ has none
    # Of the layer norms of both ViTs. The official models/ have 1e-5, the configurations of
    # SkySense++ (configs/pretrain_skysensepp.yml) 1e-6 for the same weights.
    eps: float = 1e-5
    fusion_dims: int = 1024
    fusion_layers: int = 24
    fusion_heads: int = 16
    parts: tuple[str, ...] = tuple(PARTS)  # that are built
    prototypes: int = 0  # of the geo-context of each region; 0: none, as in the published files
    regions: tuple[int, int] = (64, 64)  # rows and columns of the globe; the division is ours

    @property
    def token_dims(self) -> int:
        """Channels of the last high-resolution stage, and of each token before the fusion."""
        return self.embed_dims << (len(self.depths) - 1)  # it doubles from stage to stage
