"""MATTER: a card only, as the published code is incomplete and no weights exist.

github:periakiva/MATTER@8b1b55a (three commits) imports a texture-refinement network that is
missing, calls its surface encoding with arguments that the class does not take, and links no
checkpoint. The code shows an encoder like ResNet-50 with a stem of stride 1 and no pooling,
texture-refined features beside the image, an ASPP(2048, 256) and a residual encoding of 64 codes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skybench.core import UINT8, CannotRun, ModelCard, Sensor

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

CARD = ModelCard(
    name="matter",
    title="MATTER",
    group="inferred",
    inputs=(Sensor("hr", ("red", "green", "blue"), 10.0, UINT8),),
    dim=2048,
    levels=(),
    paper=(
        "Akiva et al., Self-Supervised Material and Texture Representation Learning for Remote "
        "Sensing Tasks, CVPR 2022"
    ),
    code="github:periakiva/MATTER@8b1b55a models/ (incomplete)",
    licence="no licence file",
    pretraining="Sentinel-2 images of unchanged places; the authors publish the data set.",
    caveats=("Which bands it reads is not verified.",),
    unavailable="the published code is incomplete and no weights exist (periakiva/MATTER@8b1b55a)",
)
VARIANTS = {"full": None, "tiny": None}


def build(variant: str, **arch: Any) -> Model:
    """Raise CannotRun: the published code is not enough to build the network."""
    raise CannotRun(f"matter cannot be built: {CARD.unavailable}")


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the state dict unchanged: no layout is known."""
    return state
