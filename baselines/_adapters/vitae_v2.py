"""The adapter of ViTAEv2, and the networks of RSP and SAMRS."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from skybench.core import Batch, Features, ModelCard
from skybench.core.model import Model

from .._families.resnet import IMAGENET, ResNetArch
from .._families.rvsa import RVSAArch
from .._families.swin import SwinArch
from .._families.vitae_v2 import ViTAEv2Arch
from .._networks.precision import wide
from .._networks.swin import SwinOptions
from .._networks.vitae_v2 import ViTAEv2
from .resnet import FrozenNorms, ResNet
from .rvsa import RVSARGB
from .swin import swin_model


class ViTAEv2RGB(FrozenNorms):
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
        return Features(wide(maps[-1]).mean((2, 3)), maps)

    def layers(self) -> Sequence[nn.Module]:
        return self.net.layer_groups()


def build_network(
    card: ModelCard, arch: ViTAEv2Arch | SwinArch | ResNetArch | RVSAArch, form: SwinOptions
) -> Model:
    """Build the network of these settings with fresh weights; form: of a Swin Transformer."""
    if isinstance(arch, ViTAEv2Arch):
        return ViTAEv2RGB(card, arch)
    if isinstance(arch, SwinArch):
        return swin_model(card, arch, form)
    if isinstance(arch, RVSAArch):
        return RVSARGB(card, arch, normed=False)
    return ResNet(card, arch, {"hr": IMAGENET})
