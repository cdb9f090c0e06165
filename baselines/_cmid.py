"""The adapters of CMID."""

from __future__ import annotations

from skybench.core import ModelCard
from skybench.model import Model
from skybench.nets.swin import Form

from ._resnet import ResNet
from ._resnet_arch import IMAGENET
from ._resnet_arch import Arch as ResNetArch
from ._swin import swin
from .cmid import Arch


def network(card: ModelCard, arch: Arch | ResNetArch) -> Model:
    """The Swin Transformer, or the ResNet, with fresh weights."""
    if isinstance(arch, ResNetArch):
        return ResNet(card, arch, {"hr": IMAGENET})
    return swin(card, arch, Form(norms=arch.norms, shift_small=arch.shift_small))
