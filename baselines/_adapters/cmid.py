"""The adapters of CMID."""

from __future__ import annotations

from skybench.core import ModelCard
from skybench.core.model import Model

from .._families.resnet import IMAGENET
from .._families.resnet import Arch as ResNetArch
from .._networks.swin import Form
from ..cmid import Arch
from .resnet import ResNet
from .swin import swin


def network(card: ModelCard, arch: Arch | ResNetArch) -> Model:
    """The Swin Transformer, or the ResNet, with fresh weights."""
    if isinstance(arch, ResNetArch):
        return ResNet(card, arch, {"hr": IMAGENET})
    return swin(card, arch, Form(norms=arch.norms, shift_small=arch.shift_small))
