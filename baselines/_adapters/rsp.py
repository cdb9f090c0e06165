"""The adapter of ViTAEv2, and RSP's networks."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from skybench.core import Batch, Features, ModelCard
from skybench.core.model import Model

from .._families.resnet import IMAGENET, Arch
from .._families.swin import Arch as SwinArch
from .._families.vitae_v2 import ViTAEv2Arch
from .._networks.swin import Form
from .._networks.vitae_v2 import ViTAEv2
from .resnet import ResNet, StillNorms
from .swin import swin


class ViTAEv2RGB(StillNorms):
    """[B, 1, 3, H, W] in 0..255 -> the mean of the last map, and four maps."""

    def __init__(self, card: ModelCard, arch: ViTAEv2Arch) -> None:
        super().__init__(card)
        heads, groups = (arch.rc_heads, arch.nc_heads), (arch.rc_groups, arch.nc_groups)
        sizes = (arch.embed_dims, arch.token_dims, arch.depths)
        self.net = ViTAEv2(*sizes, heads, groups, arch.window)

    def forward(self, batch: Batch) -> Features:
        return self.extract(IMAGENET(batch.images["hr"][:, 0]))

    def extract(self, images: Tensor) -> Features:
        """Features of normalised images, [B, 3, H, W]."""
        maps = self.net(images)
        return Features(maps[-1].mean((2, 3)), maps)

    def layers(self) -> Sequence[nn.Module]:
        return self.net.parts()


def network(card: ModelCard, arch: ViTAEv2Arch | SwinArch | Arch) -> Model:
    """RSP's network with these settings."""
    if isinstance(arch, ViTAEv2Arch):
        return ViTAEv2RGB(card, arch)
    if isinstance(arch, SwinArch):
        return swin(card, arch, Form(norms=(3,)))
    return ResNet(card, arch, {"hr": IMAGENET})
