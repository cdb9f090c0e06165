"""The adapter of SatViT."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from skybench.core import Batch, CannotRun, Features, ModelCard

from .._families.vit import ViTArch
from .vit import Normalise, ViT, patch_mean


def sincos(dim: int, side: int) -> Tensor:
    """Fixed positional embedding of a square grid, [1, side * side, dim]: column, then row.

    Source: github:antofuller/SatViT@b945f03 transformer_model.py (MAE's get_2d_sincos_pos_embed).
    """
    steps = torch.arange(dim // 4, dtype=torch.float64)
    angles = torch.arange(side)[:, None] * 10000 ** -(steps / (dim // 4))
    each = torch.cat((angles.sin(), angles.cos()), 1)  # [side, dim / 2]
    columns, rows = each.expand(side, -1, -1), each[:, None].expand(-1, side, -1)
    return torch.cat((columns, rows), -1).flatten(0, 1)[None].float()


class SatViT(ViT):
    """All the channels that the user stated, on one grid -> the mean token, and the token map."""

    def __init__(
        self, card: ModelCard, arch: ViTArch, channels: Sequence[str], scale: Normalise
    ) -> None:
        super().__init__(card, arch, {}, pool=patch_mean)
        self.channels, self.scale = [channel.split(":") for channel in channels], scale
        self.net.pos_embed = nn.Parameter(sincos(arch.dim, self.grid), requires_grad=False)

    def forward(self, batch: Batch) -> Features:
        if not self.channels:
            raise CannotRun(f"satvit does not know its channels; {self.card.inputs[0].bands[0]}")
        places = {s.name: s.bands.index for s in self.card.inputs}
        missing = [name for name in places if name not in batch.images]
        sizes = sorted({tuple(x.shape[-2:]) for x in batch.images.values()})
        if missing or len(sizes) > 1:
            got = f"no {', '.join(missing)}" if missing else f"sizes {sizes}"
            raise CannotRun(f"satvit reads {', '.join(places)} together on one grid, but got {got}")
        bands = [batch.images[s][:, 0, places[s](band)] for s, band in self.channels]
        return self.extract(self.scale(torch.stack(bands, 1)))

    def adapt(self, state: dict[str, Tensor]) -> dict[str, Tensor]:
        """Reshape the published patch embedding, a matrix with rows (c, i, j), to our kernel."""
        key, own = "net.patch_embed.proj.weight", self.net.patch_embed.proj.weight
        if key in state and state[key].numel() == own.numel():
            state = state | {key: state[key].reshape(own.shape)}
        return state
