"""The adapter of plain vision transformers with RVSA, and of the MAE networks before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from skybench.core import Batch, Features, ModelCard, WeightsError
from skybench.core.model import Model

from .._families.resnet import IMAGENET
from .._families.rvsa_settings import Settings
from .._families.vit import Arch
from .._networks.rvsa import RVSA
from .resnet import StillNorms
from .vit import ViT

# What tells one network's keys from another's.
MARKS = {
    ".PCM.": "convolutions beside the attention (ViTAE)",
    ".sampling_angles.": "windows that keys and values share",
    ".sampling_angles_k.": "windows of their own for keys and values",
}
NEEDED = ("net.pos_embed", "net.cls_token")


def check(model: Model, state: Mapping[str, Tensor]) -> None:
    """Raises WeightsError for another of these networks.

    They differ by less than 1 % of the parameters, or only in what a pre-training file lacks.
    """
    own = model.state_dict()
    differs = [
        f"{meaning}, which this variant has not"
        for mark, meaning in MARKS.items()
        if any(mark in key for key in state) and not any(mark in key for key in own)
    ]
    differs += [f"no {key}" for key in NEEDED if state and key in own and key not in state]
    if differs:
        raise WeightsError(
            f"These weights do not fit {model.card.title}: they have {'; '.join(differs)}. Give "
            "the variant that they were made for, or the file for this one"
        )


class PlainViT(ViT):
    """The ViT of the pre-training file, without windows."""

    def adapt(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """The same, unless it is another network's: then WeightsError is raised."""
        check(self, state)
        return state


class RVSARGB(StillNorms):
    """[B, 1, 3, H, W] in 0..255 -> the mean of all tokens, and maps as they leave the blocks.

    normed: whether the network's last norm is applied to `pooled`. A network with a class token
    gives that as `pooled`, and its one map is normed as well, as other plain ViTs do.
    """

    def __init__(self, card: ModelCard, settings: Settings, normed: bool) -> None:
        super().__init__(card)
        self.net, self.normed = RVSA(settings), normed

    def forward(self, batch: Batch) -> Features:
        return self.extract(IMAGENET(batch.images["hr"][:, 0]))

    def extract(self, images: Tensor) -> Features:
        """Features of normalised images, [B, 3, H, W]."""
        tokens, levels = self.net(images)
        if self.net.settings.class_token:
            (last,) = levels
            normed = self.net.norm(tokens)
            return Features(normed[:, 0], (normed[:, 1:].mT.reshape(last.shape),))
        pooled = tokens.mean(1)
        return Features(self.net.norm(pooled) if self.normed else pooled, levels)

    def adapt(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Leaves the class token's row of the positions out where the network has none.

        Raises WeightsError for another of these networks.
        """
        check(self, state)
        table, settings = state.get("net.pos_embed"), self.net.settings
        if table is None or settings.class_token or table.shape[1] != settings.grid**2 + 1:
            return state
        return state | {"net.pos_embed": table[:, 1:]}

    def layers(self) -> Sequence[nn.Module]:
        return self.net.parts()


def network(card: ModelCard, settings: Settings | Arch) -> Model:
    """RVSA's network, with or without windows, with these settings."""
    if isinstance(settings, Arch):
        return PlainViT(card, settings, {"hr": IMAGENET})
    return RVSARGB(card, settings, normed=True)
