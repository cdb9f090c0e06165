"""Galileo, nano: a transformer over Sentinel-1 and Sentinel-2 band groups and dates.

The adapter provides the Sentinel inputs; the others (elevation, land cover, weather, location) are
masked, which the model was trained for. `pooled` is the mean of all seen tokens, the only level of
the pyramid their mean per patch, as in the authors' evaluations.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skybench.core import ModelCard, UsageError, WeightsSource

from ._families.band_groups import INPUTS
from ._families.settings import check_width, variant_settings

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model


CARD = ModelCard(
    name="galileo",
    title="Galileo (nano)",
    group="extra",
    inputs=INPUTS,
    dim=128,
    levels=((128, 4),),
    paper="Tseng et al., Galileo, ICML 2025, arXiv:2502.09356",
    code="github:nasaharvest/galileo@0f0b5b9 single_file_galileo.py",
    licence="MIT",
    weights=WeightsSource(
        filename="encoder.pt",
        obtain=(
            "Download models/nano/encoder.pt from https://huggingface.co/nasaharvest/galileo (or "
            "data/models/nano/encoder.pt of github.com/nasaharvest/galileo)."
        ),
        licence="MIT",
        url="https://huggingface.co/nasaharvest/galileo/resolve/main/models/nano/encoder.pt",
        sha256="eab6acacf527886a508a555bc24efe4b4a2cf91b162e84cd1c4a1807e942180c",
    ),
    pretraining="Masked modelling of many sensors all over the world (the authors' own set).",
    normalisation=(
        "(x - (mean - 2 std)) / (4 std), NDVI as it is; config/normalization.json, entry '13'"
    ),
    pooling="mean of all seen tokens (average_tokens)",
    params=1_037_856,
    temporal=True,
    min_pixels=4,
    multiple=4,
)


@dataclass(frozen=True)
class Arch:
    """Settings of the network; the published sizes are 128/4/8, 192/12/3 and 768/12/12."""

    dim: int = 128
    depth: int = 4
    heads: int = 8
    # 1 to 8. Linear probes of EuroSAT's RGB give 86.5 % at 4 and 83.9 % at 8 pixels; smaller
    # patches cost quadratically more attention.
    patch_size: int = 4


VARIANTS = {"full": Arch(), "tiny": Arch(dim=32, depth=2, heads=4)}


def build(variant: str, **arch: Any) -> Model:
    """Build the network with fresh weights; `arch` overrides fields of `Arch`."""
    from ._adapters.galileo import GalileoModel

    chosen = variant_settings(VARIANTS, variant, arch)
    patch = chosen.patch_size
    if not 1 <= patch <= 8:
        raise UsageError(f"Expected patch_size to be 1 to 8, but got {patch}.")
    check_width(chosen.dim, 16)
    card = dataclasses.replace(
        CARD,
        dim=chosen.dim,
        levels=((chosen.dim, patch),),
        min_pixels=patch,
        multiple=patch,
    )
    return GalileoModel(card, chosen.depth, chosen.heads)


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map the published keys to ours; '.backbone' is dropped, as in the authors' loader."""
    return {f"net.{key.replace('.backbone', '')}": tensor for key, tensor in state.items()}
