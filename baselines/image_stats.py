"""A floor: mean, standard deviation and quantiles of each band. Nothing is learned.

It shows how far the band histograms alone go. Each input has its own columns; for an input that the
dataset lacks they are 0.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skybench.core import ModelCard

from ._families.floors import INPUTS
from ._families.settings import variant_settings

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

QUANTILES = (0.1, 0.25, 0.5, 0.75, 0.9)

CARD = ModelCard(
    name="image_stats",
    title="Image statistics",
    group="floor",
    inputs=INPUTS,
    dim=(2 + len(QUANTILES)) * sum(len(s.bands) for s in INPUTS),
    levels=(),
    paper="ours",
    code="ours",
    licence="Apache-2.0",
)


@dataclass(frozen=True)
class Arch:
    """No settings."""


VARIANTS = {"full": Arch(), "tiny": Arch()}


def build(variant: str, **arch: Any) -> Model:
    """Build the feature extractor; it has no weights."""
    from ._adapters.image_stats import ImageStats

    variant_settings(VARIANTS, variant, arch)
    return ImageStats(CARD, QUANTILES)


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the state dict unchanged: there is nothing to load."""
    return state
