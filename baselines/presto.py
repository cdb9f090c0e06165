"""Presto: a small transformer over the time series of a pixel.

The adapter provides the Sentinel inputs and the location; the others (weather, elevation, land
cover) are masked, which the model was trained for. Images are read patch by patch, as in the
authors' evaluations on images: the mean of each patch is read as a pixel.
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

PATCH = 4

CODE = "github:nasaharvest/presto"
CARD = ModelCard(
    name="presto",
    title="Presto",
    group="extra",
    inputs=INPUTS,
    dim=256,
    levels=((128, PATCH),),
    paper=(
        "Tseng et al., Lightweight, Pre-trained Transformers for Remote Sensing Timeseries, 2023, "
        "arXiv:2304.14065"
    ),
    code=f"{CODE}@13173d0 single_file_presto.py; @005ac29 presto/eval/eurosat_eval.py",
    licence="MIT",
    weights=WeightsSource(
        filename="default_model.pt",
        obtain="Download data/default_model.pt from https://github.com/nasaharvest/presto.",
        licence="MIT",
        url=(
            "https://raw.githubusercontent.com/nasaharvest/presto/"
            "13173d028f035abcbcc3b13829314323a5c15d02/data/default_model.pt"
        ),
        sha256="559c9d76f525bdf2dd3774da8b1e7f1510769b73baacac12e9e4d8d5c67fbe65",
        prefix="encoder.",
    ),
    pretraining=(
        "Masked autoencoding of monthly pixel series of Sentinel-1, Sentinel-2, ERA5, SRTM and "
        "Dynamic World all over the world (the authors' own set)."
    ),
    normalisation=(
        "Sentinel-1 (dB + 25) / 25, Sentinel-2 reflectance, NDVI of it "
        f"({CODE}@904383c presto/dataops/pipelines/s1_s2_era5_srtm.py)"
    ),
    pooling=(
        "mean and standard deviation over an image's patches of their encodings, the normed mean "
        f"of a series' tokens (aggregate 'mean', {CODE}@005ac29 presto/eval/eval.py)"
    ),
    params=404_160,
    caveats=(
        "A patch of 4 x 4 pixels is read as one, their mean. The authors' evaluations do so with "
        "patches of 1 to 32 pixels (EuroSAT); --arch patch_size=1 reads pixels, at 16 times the "
        "cost.",
        "It was trained on monthly composites, 24 at most. Every date here is one step with its "
        "month; longer series are read in parts that are spread over the series, and averaged.",
        "A patch gets its image's latitude and longitude. Where these are not known their token "
        "is left out; a date that is not known is in July. Both as in the same first author's "
        "comparison with Galileo.",
        "On images it is little better than with random weights: linear probes of 1,000 EuroSAT "
        "images (colours alone) give 72.8 % and 70.6 %, 5-NN 62.1 % and 61.9 % (measured).",
    ),
    temporal=True,
    min_pixels=PATCH,
    multiple=PATCH,
)


@dataclass(frozen=True)
class Arch:
    """Settings of the network; the defaults are those of the published network."""

    dim: int = 128
    depth: int = 2
    heads: int = 8
    patch_size: int = PATCH  # side of the square of pixels whose mean is read as one pixel


VARIANTS = {"full": Arch(), "tiny": Arch(dim=32, depth=1, heads=4)}


def card(variant: str, **arch: Any) -> ModelCard:
    """Return the card of a variant; `arch` overrides fields of `Arch`."""
    return _card(variant_settings(VARIANTS, variant, arch))


def _card(arch: Arch) -> ModelCard:
    return dataclasses.replace(
        CARD,
        dim=2 * arch.dim,
        levels=((arch.dim, arch.patch_size),),
        min_pixels=arch.patch_size,
        multiple=arch.patch_size,
    )


def build(variant: str, **arch: Any) -> Model:
    """Build the network with fresh weights; `arch` overrides fields of `Arch`."""
    from ._adapters.presto import PrestoModel

    chosen = variant_settings(VARIANTS, variant, arch)
    check_width(chosen.dim, 8)
    if chosen.patch_size < 1:
        raise UsageError(f"Expected patch_size to be 1 or more, but got {chosen.patch_size}.")
    return PrestoModel(_card(chosen), chosen.depth, chosen.heads)


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map the keys of encoder and decoder, or of the encoder alone, to ours."""
    bare = {key.removeprefix("module."): tensor for key, tensor in state.items()}
    prefix = "encoder." if any(key.startswith("encoder.") for key in bare) else ""
    return {f"net.{k.removeprefix(prefix)}": t for k, t in bare.items() if k.startswith(prefix)}
