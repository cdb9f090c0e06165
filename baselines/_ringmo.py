"""The adapter of RingMo."""

from __future__ import annotations

from skybench.core import ModelCard
from skybench.nets.swin import Form, Swin

from ._swin import SwinRGB, native
from .ringmo import Arch

LARGEST = 7  # of the windows that the authors use, at 224 pixels (swin_base_p4_w7)


def network(card: ModelCard, arch: Arch) -> SwinRGB:
    """The network with fresh weights; windows keep in proportion to the image."""
    form = Form(norms=(3,), eps=1e-6, merge_eps=1e-4, gelu="tanh", pi_conv=True)
    windows = native(arch.image, arch.window, len(arch.depths))
    net = Swin(arch.embed_dim, arch.depths, arch.num_heads, windows, form)
    return SwinRGB(card, net, arch.image, LARGEST)
