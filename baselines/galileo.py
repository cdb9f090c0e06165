"""Galileo, nano: a transformer over Sentinel-1 and Sentinel-2 band groups and dates.

Of its inputs the adapter gives the Sentinel ones; the others (elevation, land cover, weather,
place) are left out as unseen, which the model was trained for. `pooled` is the mean of all seen
tokens, the one level of the pyramid their mean in each patch, as in the authors' evaluations.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skybench.core import DB, REFLECTANCE, ModelCard, Sensor, UsageError, WeightsSource
from skybench.core.sensors import S2_FINE

from ._families.settings import choose

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model


CARD = ModelCard(
    name="galileo",
    title="Galileo (nano)",
    row="extra",
    inputs=(
        Sensor("s2", S2_FINE, 10.0, REFLECTANCE),
        Sensor("s2_rgb", S2_FINE[:3], 10.0, REFLECTANCE),  # the group S2_RGB alone
        Sensor("s1", ("vv", "vh"), 10.0, DB),
    ),
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
    # patches cost the square of their number.
    patch_size: int = 4


VARIANTS = {"full": Arch(), "tiny": Arch(dim=32, depth=2, heads=4)}


def build(variant: str, **arch: Any) -> Model:
    """The network with fresh weights; `arch` overrides fields of `Arch`."""
    from ._adapters.galileo import Adapter

    chosen = choose(VARIANTS, variant, arch)
    patch = chosen.patch_size
    if not 1 <= patch <= 8:
        raise UsageError(f"Expected patch_size to be 1 to 8, but got {patch}.")
    if chosen.dim % 16:
        raise UsageError(f"Expected dim to be a multiple of 16, but got {chosen.dim}.")
    card = dataclasses.replace(
        CARD,
        dim=chosen.dim,
        levels=((chosen.dim, patch),),
        min_pixels=patch,
        multiple=patch,
    )
    return Adapter(card, chosen.depth, chosen.heads)


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The authors' loader drops '.backbone' from keys, so does this."""
    return {f"net.{key.replace('.backbone', '')}": tensor for key, tensor in state.items()}
