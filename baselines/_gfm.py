"""The adapter of GFM."""

from __future__ import annotations

from skybench.core import ModelCard
from skybench.nets.swin import Form, Swin

from ._swin import SwinRGB, native
from .gfm import Arch

LARGEST = 8  # of the windows that the authors use, at 256 pixels (configs/UCM.yaml)


def network(card: ModelCard, arch: Arch) -> SwinRGB:
    """The network with fresh weights; windows keep in proportion to the image."""
    windows = native(arch.image, arch.window, len(arch.depths))
    net = Swin(arch.embed_dim, arch.depths, arch.num_heads, windows, Form(norms=(3,)))
    return SwinRGB(card, net, arch.image, LARGEST)
