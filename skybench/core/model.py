"""The interface of a model, and how a single-date model encodes an image series."""

from __future__ import annotations

import abc
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from skybench.core.cards import ModelCard
from skybench.core.errors import CannotRun
from skybench.core.loaded import LoadInfo
from skybench.core.sample import Batch, Features, Time


class Model(nn.Module, abc.ABC):
    """A backbone behind one interface: images in the sensor's unit in, features out.

    The adapter normalises; it never trains a head.
    """

    loaded: LoadInfo = LoadInfo("none")  # set by skybench.weights.load.load_model

    def __init__(self, card: ModelCard) -> None:
        super().__init__()
        self.card = card  # `dim` and `levels` are those of this variant

    @abc.abstractmethod
    def forward(self, batch: Batch) -> Features:
        """Normalise the images and extract features.

        batch.images: some of `card.inputs` by name, [B, 1, C, H, W] ([B, T, C, H, W] where
        `card.temporal`), float32 in the input's unit; H, W as `card.min_pixels` and
        `card.multiple`, or `card.input_sizes`, ask.
        """

    def levels_of(self, inputs: Mapping[str, int]) -> tuple[tuple[int, int], ...]:
        """Return (channels, stride) of each pyramid level; inputs: name -> number of dates."""
        return self.card.levels

    def layers(self) -> Sequence[nn.Module]:
        """Return the layers from stem to last block, for layer-wise learning-rate decay.

        Positional embeddings and tokens belong to the stem. Parameters of no layer, such as output
        norms, are trained at the head's learning rate.
        """
        return tuple(self.children())


def encode(model: Model, batch: Batch, time: Time, most: int = 0) -> list[Features]:
    """Encode a batch from `Batch.select`: one `Features` per date for "keep", one for "fuse".

    Without `card.temporal`, each date is encoded alone; "fuse" averages them over the dates seen.
    most: images of a forward pass up to which dates are encoded together; 0: date by date, as in
    training, where stochastic depth draws for every pass.
    Raises CannotRun where such a model gets series of different lengths.
    """
    lengths = {x.shape[1] for x in batch.images.values()} | {1}
    if time == "fuse" and (model.card.temporal or lengths == {1}):
        return [model(batch)]
    if len(lengths) > 2:
        raise CannotRun(f"{model.card.name} has no time, and the series differ: {sorted(lengths)}")
    seen = _seen(model.card.name, batch, max(lengths))
    each = _encode_dates(model, batch, max(lengths), most)
    if time == "keep":
        return each
    share = (seen / seen.sum(1, keepdim=True)).T  # [T, B]
    with torch.autocast(share.device.type, enabled=False):  # means are in float32
        fused = [
            torch.einsum("tb...,tb->b...", torch.stack(levels).float(), share)
            for levels in zip(*((f.pooled, *f.pyramid) for f in each), strict=True)
        ]
    return [Features(fused[0], tuple(fused[1:]))]


def _encode_dates(model: Model, batch: Batch, length: int, most: int) -> list[Features]:
    """The features of each date, of several dates in a forward pass where they are not too many."""
    count = len(batch.keys)
    together = max(1, most // count)
    found = []
    for start in range(0, length, together):
        dates = range(start, min(start + together, length))
        features = model(batch.at(start) if len(dates) == 1 else batch.as_samples(dates))
        parts = zip(*(x.split(count) for x in (features.pooled, *features.pyramid)), strict=True)
        found += [Features(pooled, tuple(levels)) for pooled, *levels in parts]
    return found


def _seen(name: str, batch: Batch, length: int) -> Tensor:
    """Return which dates exist, float [B, T]. Raises CannotRun where a sample's series differ."""
    series = torch.stack([s for s in batch.seen.values() if s.shape[1] == length])
    uneven = (series != series[0]).any(0).any(1).tolist()
    if True in uneven:
        key = batch.keys[uneven.index(True)]
        raise CannotRun(f"{name} has no time, and the series of {key} differ in length")
    return series[0].float()
