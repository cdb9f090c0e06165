"""SAMRS's networks."""

from __future__ import annotations

from skybench.core import ModelCard
from skybench.model import Model
from skybench.nets.rvsa_settings import Settings
from skybench.nets.swin import Form

from ._resnet import ResNet
from ._resnet_arch import IMAGENET, Arch
from ._rsp import ViTAEv2RGB
from ._rvsa import RVSARGB
from ._swin import swin
from ._swin_arch import Arch as SwinArch
from ._vitae_v2 import ViTAEv2Arch


def network(card: ModelCard, arch: ViTAEv2Arch | Settings | SwinArch | Arch) -> Model:
    """The network with these settings."""
    if isinstance(arch, ViTAEv2Arch):
        return ViTAEv2RGB(card, arch)
    if isinstance(arch, SwinArch):
        return swin(card, arch, Form(shift_small=True))
    if isinstance(arch, Settings):
        return RVSARGB(card, arch, normed=False)
    return ResNet(card, arch, {"hr": IMAGENET})
