"""The adapters of CMID."""

from __future__ import annotations

from skybench.core import ModelCard
from skybench.model import Model
from skybench.nets.swin import Form, Swin

from ._resnet import ResNet
from ._resnet_arch import IMAGENET
from ._resnet_arch import Arch as ResNetArch
from ._swin import SwinRGB
from .cmid import Arch


def network(card: ModelCard, arch: Arch | ResNetArch) -> Model:
    """The Swin Transformer, or the ResNet, with fresh weights."""
    if isinstance(arch, ResNetArch):
        return ResNet(card, arch, {"hr": IMAGENET})
    form = Form(norms=arch.norms, shift_small=arch.shift_small)
    windows = (arch.window,) * len(arch.depths)
    return SwinRGB(card, Swin(arch.embed_dim, arch.depths, arch.num_heads, windows, form))
