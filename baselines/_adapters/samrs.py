"""SAMRS's networks."""

from __future__ import annotations

from skybench.core import ModelCard
from skybench.core.model import Model

from .._families.resnet import IMAGENET, Arch
from .._families.rvsa_settings import Settings
from .._families.swin import Arch as SwinArch
from .._families.vitae_v2 import ViTAEv2Arch
from .._networks.swin import Form
from .resnet import ResNet
from .rsp import ViTAEv2RGB
from .rvsa import RVSARGB
from .swin import swin


def network(card: ModelCard, arch: ViTAEv2Arch | Settings | SwinArch | Arch) -> Model:
    """The network with these settings."""
    if isinstance(arch, ViTAEv2Arch):
        return ViTAEv2RGB(card, arch)
    if isinstance(arch, SwinArch):
        return swin(card, arch, Form(shift_small=True))
    if isinstance(arch, Settings):
        return RVSARGB(card, arch, normed=False)
    return ResNet(card, arch, {"hr": IMAGENET})
