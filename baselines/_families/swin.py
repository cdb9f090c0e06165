"""Swin Transformers (V1) without torch: their settings and cards."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from skybench.core import ModelCard


@dataclass(frozen=True)
class SwinSizes:
    """Sizes of a Swin Transformer (`_networks.swin`); the defaults are those of Swin-B."""

    embed_dim: int = 128
    depths: tuple[int, ...] = (2, 2, 18, 2)
    num_heads: tuple[int, ...] = (4, 8, 16, 32)

    @property
    def levels(self) -> tuple[tuple[int, int], ...]:
        """(channels, stride) of the stages."""
        return tuple((self.embed_dim << i, 4 << i) for i in range(len(self.depths)))


@dataclass(frozen=True)
class SwinArch(SwinSizes):
    """Settings of a network with a fixed window size."""

    window: int = 7


@dataclass(frozen=True)
class ScaledSwinArch(SwinSizes):
    """Settings of a network whose window size is proportional to the image size."""

    image: int = 192  # side for which the file's tables of relative positions are
    window: int = 6  # at that side


SWIN_T = SwinArch(embed_dim=96, depths=(2, 2, 6, 2), num_heads=(3, 6, 12, 24))
TINY_SWIN_T = SwinArch(embed_dim=16, depths=(2, 2, 2, 2), num_heads=(1, 2, 4, 8), window=4)


def swin_card(card: ModelCard, arch: SwinSizes) -> ModelCard:
    """Return the card with the feature sizes of these settings."""
    return dataclasses.replace(card, dim=arch.levels[-1][0], levels=arch.levels)
