"""A floor: random convolutional features. Nothing is learned.

Fixed random 3 x 3 kernels (half of them zero-mean per channel), a negative bias, ReLU of both
signs, average pooling. The published features take their kernels from patches of the data; random
kernels need no data, so results on two datasets are of the same model. With several sensors the
features are averaged over sensors.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skybench.core import ModelCard

from ._families.floors import INPUTS
from ._families.settings import variant_settings

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

CARD = ModelCard(
    name="rcf",
    title="Random convolutional features",
    group="floor",
    inputs=INPUTS,
    dim=256,
    levels=((256, 4),),
    paper="after MOSAIKS: Rolf et al., Nature Communications 12:4392, 2021",
    code="ours, as are kernels and bias",
    licence="Apache-2.0",
    min_pixels=4,
    multiple=4,
)


@dataclass(frozen=True)
class Arch:
    """Settings of the random features."""

    kernels: int = 128  # each gives two features


VARIANTS = {"full": Arch(), "tiny": Arch(kernels=32)}


def build(variant: str, **arch: Any) -> Model:
    """Build the feature extractor; its kernels are the same for every seed."""
    from ._adapters.rcf import RandomConvolution

    dim = 2 * variant_settings(VARIANTS, variant, arch).kernels
    return RandomConvolution(dataclasses.replace(CARD, dim=dim, levels=((dim, 4),)))


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the state dict unchanged: there is nothing to load."""
    return state
