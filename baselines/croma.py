"""CROMA: an optical and a radar encoder trained by contrast, and a joint encoder.

Reads Sentinel-2, Sentinel-1 or both. `pooled` is the authors' optical_GAP, SAR_GAP or joint_GAP,
depending on the given sensors; all have the same width.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skybench.core import DB, REFLECTANCE, ModelCard, Sensor, UsageError, WeightsSource
from skybench.core.sensors import L2A

from ._families.settings import variant_settings

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

OBTAIN = (
    "Download the file from its URL (torchgeo's copy), or the authors' {} from "
    "https://huggingface.co/antofuller/CROMA, which is to be passed with --weights PATH."
)

WEIGHTS = WeightsSource(
    filename="CROMA_base-0238d814.pt",
    obtain=OBTAIN.format("CROMA_base.pt"),
    licence="MIT (the authors' repository)",
    url=(
        "https://hf.co/torchgeo/croma/resolve/387883f08af79d777167519c57cd826eda89a16f/"
        "CROMA_base-0238d814.pt"
    ),
    sha256="0238d814",
    container="five state dicts: s1_encoder, s1_GAP_FFN, s2_encoder, s2_GAP_FFN, joint_encoder",
    prefix="s1_encoder. | s1_GAP_FFN. | s2_encoder. | s2_GAP_FFN. | joint_encoder.",
    variants=("base",),
)

CARD = ModelCard(
    name="croma",
    title="CROMA (base)",
    group="inferred",
    inputs=(
        Sensor("s2", L2A, 10.0, REFLECTANCE),
        Sensor("s1", ("vv", "vh"), 10.0, DB),
    ),
    dim=768,
    levels=((768, 8),),
    paper="Fuller et al., CROMA, NeurIPS 2023, arXiv:2311.00566",
    code="github:antofuller/CROMA@59505a6 use_croma.py",
    licence="MIT",
    weights=WEIGHTS,
    pretraining=(
        "Contrast between radar and optical images of SSL4EO-S12, and masked autoencoding of both "
        "(120 x 120 pixels)."
    ),
    normalisation=(
        "mean -2..+2 deviations to 0..255, rounded down, / 255 (the authors' README), with "
        "SSL4EO-S12's statistics of Sentinel-2 L2A and Sentinel-1 (zhu-xlab/SSL4EO-S12@1dc0c83)"
    ),
    pooling=(
        "Sentinel-2: optical_GAP, Sentinel-1: SAR_GAP, a small network on the mean token; both: "
        "joint_GAP, the mean of the joint tokens (the authors' README)"
    ),
    params=194_365_440,
    equivalent_to="torchgeo croma_base, at its one size and with both sensors",
    caveats=(
        "The authors' README takes mean and deviation from the images at hand, which makes a "
        "sample depend on its batch; the fixed statistics of the pre-training set are the choice "
        "of this adapter.",
        "That the pre-training read Sentinel-2's level 2A is inferred from its 12 bands; whether "
        "its statistics suit level 1C, brighter in the short wavelengths, is not verified.",
        "All 12 bands are needed: the network cannot leave one out.",
    ),
    min_pixels=8,  # relative positions only: nothing ties it to the 120 pixels of pre-training
    multiple=8,
)
LARGE = dataclasses.replace(
    CARD,
    title="CROMA (large)",
    weights=dataclasses.replace(
        WEIGHTS,
        filename="CROMA_large-921e69ad.pt",
        obtain=OBTAIN.format("CROMA_large.pt"),
        url=(
            "https://huggingface.co/torchgeo/croma/resolve/"
            "92cb1a0f4e34c6c01558baf070197c01255382f6/CROMA_large-921e69ad.pt"
        ),
        sha256="921e69ad",
        variants=("large",),
    ),
    params=672_557_056,
    equivalent_to="torchgeo croma_large, at its one size and with both sensors",
)


@dataclass(frozen=True)
class Arch:
    """Settings of the networks; see `skybench.baselines._networks.croma`."""

    dim: int = 768
    depth: int = 12  # of the optical encoder; the radar and the joint encoder have half


VARIANTS = {"base": Arch(), "large": Arch(dim=1024, depth=24), "tiny": Arch(dim=64, depth=2)}
PICK = {"full": ("base",), "tiny": ("tiny",)}
PARTS = ("s1_encoder.", "s1_GAP_FFN.", "s2_encoder.", "s2_GAP_FFN.", "joint_encoder.")


def card(variant: str, **arch: Any) -> ModelCard:
    """Return the card of a variant; `arch` overrides fields of `Arch`."""
    return _card(variant, variant_settings(VARIANTS, variant, arch))


def _card(variant: str, arch: Arch) -> ModelCard:
    whole = LARGE if variant == "large" else CARD
    return dataclasses.replace(whole, dim=arch.dim, levels=((arch.dim, 8),))


def build(variant: str, **arch: Any) -> Model:
    """Build the networks with fresh weights; `arch` overrides fields of `Arch`."""
    from ._adapters.croma import CromaModel

    chosen = variant_settings(VARIANTS, variant, arch)
    if chosen.dim % 16:
        raise UsageError(f"Expected dim to be a multiple of 16 heads, but got {chosen.dim}.")
    return CromaModel(_card(variant, chosen), chosen.depth)


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map the five published state dicts, as `part.key`, or torchgeo's whole model, to our keys."""
    bare = {key.removeprefix("module."): tensor for key, tensor in state.items()}
    return {
        f"net.{key.replace('_GAP_FFN.', '_pool.')}": tensor
        for key, tensor in bare.items()
        if key.startswith(PARTS)
    }


def variant_of(state: dict[str, Tensor]) -> str:
    """Identify the published network by its width; "" if none fits."""
    norm = convert(state).get("net.s2_encoder.transformer.norm_out.weight")
    return {768: "base", 1024: "large"}.get(0 if norm is None else len(norm), "")
