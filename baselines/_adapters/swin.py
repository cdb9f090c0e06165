"""Swin Transformers (V1) on RGB: the adapter of CMID, GFM, RingMo, RSP and SAMRS."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from skybench.core import Batch, Features, ModelCard

from .._families.resnet import IMAGENET
from .._families.swin import ScaledSwinArch, SwinArch
from .._networks.precision import wide
from .._networks.swin import PATCH, Swin, SwinOptions
from .resnet import FrozenNorms


class SwinRGB(FrozenNorms):
    """[B, 1, 3, H, W] in 0..255 -> the mean of the last map, and four maps.

    image: image side of pre-training, if windows grow in proportion to the image's short side, up
    to `largest`; 0 for a fixed window size.
    """

    def __init__(self, card: ModelCard, net: Swin, image: int = 0, largest: int = 0) -> None:
        super().__init__(card)
        self.net, self.image, self.largest = net, image, largest

    def forward(self, batch: Batch) -> Features:
        return self.extract(IMAGENET(batch.images["hr"][:, 0]))

    def extract(self, images: Tensor) -> Features:
        """Features of normalised images, [B, 3, H, W]."""
        maps = self.net(images, self.windows(min(images.shape[-2:])))
        return Features(wide(maps[-1]).mean((2, 3)), maps)

    def windows(self, side: int) -> tuple[int, ...]:
        """Window size of each stage for an image with this short side; () for the stored sizes."""
        if not self.image:
            return ()
        own = self.net.window[0]
        window = min(side * own // self.image, self.largest)
        if window == own:
            return ()
        return tuple(min(window, side // PATCH >> i) for i in range(len(self.net.window)))

    def layers(self) -> Sequence[nn.Module]:
        return self.net.layer_groups()


def swin_model(
    card: ModelCard, arch: SwinArch | ScaledSwinArch, form: SwinOptions, largest: int = 0
) -> SwinRGB:
    """Build the network with fresh weights; largest: see `SwinRGB`, for `ScaledSwinArch`."""
    image, stages = arch.image if isinstance(arch, ScaledSwinArch) else 0, range(len(arch.depths))
    # At the pre-training's side windows are no larger than the map.
    windows = [min(arch.window, image // PATCH >> i) if image else arch.window for i in stages]
    net = Swin(arch.embed_dim, arch.depths, arch.num_heads, windows, form)
    return SwinRGB(card, net, image, largest)
