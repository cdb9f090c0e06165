"""BFM, the billion-scale foundation model: a card only, as neither code nor weights are public.

Known facts: a ViT, pre-trained by masked autoencoding on MillionAID, fine-tuned as in ViTDet on
DOTA v2.0, DIOR-R, Potsdam and LoveDA. By arithmetic, the names ViT-{B12X1, L12X4, H12X4,
G12X4} mean 12 layers of 1 or 4 parallel branches; widths of 768, 1024, 1536 and 2048 give 85.65 M,
605.26 M, 1.361 B and 2.418 B parameters. The number of heads is not known.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from skybench.core import UINT8, CannotRun, ModelCard, Sensor

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

CARD = ModelCard(
    name="bfm",
    title="BFM (ViT-G12X4)",
    group="paper",
    inputs=(Sensor("hr", ("red", "green", "blue"), 0.0, UINT8),),
    dim=2048,
    levels=(),
    paper="Cha et al., A Billion-scale Foundation Model for Remote Sensing, arXiv:2304.05215",
    code="none is public",
    licence="none is public",
    pretraining="Masked autoencoding on MillionAID.",
    trained_on=("millionaid",),
    caveats=("Width and depth are inferred from the published parameter counts.",),
    unavailable="neither code nor weights are public (arXiv:2304.05215 links none)",
)
VARIANTS = {"full": None, "tiny": None}


def build(variant: str, **arch: Any) -> Model:
    """Raise CannotRun: the architecture is not published."""
    raise CannotRun(f"bfm cannot be built: {CARD.unavailable}")


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return the state dict unchanged: no layout is known."""
    return state
