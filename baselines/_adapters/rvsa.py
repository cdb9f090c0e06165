"""The adapter of plain Vision Transformers with RVSA, and of the MAE networks before them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from skybench.core import Batch, Features, ModelCard, WeightsError
from skybench.core.model import Model

from .._families.resnet import IMAGENET
from .._families.rvsa import RVSAArch
from .._families.vit import ViTArch
from .._networks.rvsa import RVSA
from .resnet import FrozenNorms
from .vit import ViT

# Parts of keys that distinguish the networks of this family.
MARKS = {
    ".PCM.": "convolutions beside the attention (ViTAE)",
    ".sampling_angles.": "windows that keys and values share",
    ".sampling_angles_k.": "windows of their own for keys and values",
}
NEEDED = ("net.pos_embed", "net.cls_token")


def check_file(model: Model, state: Mapping[str, Tensor]) -> None:
    """Raise WeightsError if the file belongs to another network of this family.

    These differ by less than 1 % of the parameters, or only in what a pre-training file lacks, so
    coverage does not tell.
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
        """Return the state unchanged. Raises WeightsError if it belongs to another network."""
        check_file(self, state)
        return state


class RVSARGB(FrozenNorms):
    """[B, 1, 3, H, W] in 0..255 -> the mean of all tokens, and maps as they leave the blocks.

    normed: apply the network's last norm to `pooled`. For a network with a class token `pooled` is
    that token, and its one map is normed as well, as in other plain ViTs.
    """

    def __init__(self, card: ModelCard, settings: RVSAArch, normed: bool) -> None:
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
        """Drop the class token's positional embedding if the network has no class token.

        Raises WeightsError if the file belongs to another network of this family.
        """
        check_file(self, state)
        table, settings = state.get("net.pos_embed"), self.net.settings
        if table is None or settings.class_token or table.shape[1] != settings.grid**2 + 1:
            return state
        return state | {"net.pos_embed": table[:, 1:]}

    def layers(self) -> Sequence[nn.Module]:
        return self.net.layer_groups()


def rvsa_model(card: ModelCard, settings: RVSAArch | ViTArch) -> Model:
    """Build RVSA's network, or the plain ViT of its pre-training, with fresh weights."""
    if isinstance(settings, ViTArch):
        return PlainViT(card, settings, {"hr": IMAGENET})
    return RVSARGB(card, settings, normed=True)
