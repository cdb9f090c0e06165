"""A floor: random convolutional features. Nothing is learned.

Fixed random 3 x 3 kernels (half of them without the mean of each channel), a negative bias,
rectified with both signs, averaged. The published features take their kernels from patches of the
data; random ones need no data, so that the numbers of two datasets are of one model. With several
sensors the features are averaged over them.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skybench.core import ModelCard

from ._families.floors import INPUTS
from ._families.settings import choose

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

CARD = ModelCard(
    name="rcf",
    title="Random convolutional features",
    row="floor",
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
    """Settings of the features."""

    kernels: int = 128  # each gives two features


VARIANTS = {"full": Arch(), "tiny": Arch(kernels=32)}


def build(variant: str, **arch: Any) -> Model:
    """The features; their kernels are the same in every run, whatever the seed."""
    from ._adapters.rcf import RandomConvolution

    dim = 2 * choose(VARIANTS, variant, arch).kernels
    return RandomConvolution(dataclasses.replace(CARD, dim=dim, levels=((dim, 4),)))


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """There is nothing to load."""
    return state
