"""Whether an adapter sees what it is given: for its author, and for the tests of every model.

They catch what no statistics of images tell, as red and blue exchanged or a normalisation that has
no effect.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from skybench.core import Batch
from skybench.core.model import Model

SAME = 1e-4  # of the features' length; rounding gives 1e-6
LINEAR = 0.8  # correlation of a channel with its band; of a difference of two bands it is 0.7


def deaf(model: Model, batch: Batch) -> list[str]:
    """Changes of the input that leave the features as they are; [] for a healthy adapter.

    batch: images as `Model.forward` takes them, of which no two bands are alike. Each input's
    values are doubled and shifted, its bands reversed, and its red and blue exchanged.
    """
    before = _features(model, batch)
    return [
        f"{name}: {change}"
        for name in batch.images
        for change, images in _changes(model, name, batch.images[name])
        if _alike(before, _features(model, _with(batch, name, images)))
    ]


def order(model: Model, batch: Batch, name: str) -> tuple[int, ...] | None:
    """The bands of an input in the order in which they reach the network's first layer.

    batch: as for `deaf`, of values that are not correlated between bands. Channels that hold no
    band (zeros for one that is lacking) are left out. None where the first layer does not take
    images of the input's size, but patches.
    """
    given = _only(batch, name)
    raw = given.images[name][0, 0]  # [C, H, W]
    arrived: list[Tensor] = []
    handles = [m.register_forward_pre_hook(_noting(arrived)) for m in _layers(model)]
    try:
        _features(model, given)
    finally:
        for handle in handles:
            handle.remove()
    images = _as_image(arrived[0], raw) if arrived else None
    if images is None:
        return None
    correlation = torch.corrcoef(torch.cat((images.flatten(1), raw.flatten(1))).double())
    between = correlation[: len(images), len(images) :].nan_to_num()  # [channels, bands]
    best, bands = between.max(1)
    return tuple(b for b, fits in zip(bands.tolist(), best.tolist(), strict=True) if fits > LINEAR)


def _changes(model: Model, name: str, images: Tensor) -> Iterator[tuple[str, Tensor]]:
    bands = next(s.bands for s in model.card.inputs if s.name == name)
    yield "values doubled and shifted", 2 * images + images.abs().max() / 4
    if len(bands) > 1:
        yield "bands reversed", images.flip(2)
    if {"red", "blue"} <= {*bands}:
        swapped = list(range(len(bands)))
        red, blue = bands.index("red"), bands.index("blue")
        swapped[red], swapped[blue] = blue, red
        yield "red and blue exchanged", images[:, :, swapped]


def _alike(one: Sequence[Tensor], other: Sequence[Tensor]) -> bool:
    pairs = zip(one, other, strict=True)
    return all(bool((a - b).norm() <= SAME * a.norm()) for a, b in pairs)


@torch.inference_mode()
def _features(model: Model, batch: Batch) -> tuple[Tensor, ...]:
    features = model(batch)
    return (features.pooled, *features.pyramid)


def _with(batch: Batch, name: str, images: Tensor) -> Batch:
    return replace(batch, images={**batch.images, name: images})


def _only(batch: Batch, name: str) -> Batch:
    def pick(series: Mapping[str, Tensor]) -> dict[str, Tensor]:
        return {name: series[name]}

    return replace(batch, images=pick(batch.images), seen=pick(batch.seen), days=pick(batch.days))


def _layers(model: Model) -> list[nn.Module]:
    """The modules that compute with parameters of their own."""
    return [m for m in model.modules() if any(True for _ in m.parameters(recurse=False))]


def _noting(arrived: list[Tensor]) -> Callable[[nn.Module, Any], None]:
    def note(_: nn.Module, given: Any) -> None:
        arrived.extend(x for x in given if isinstance(x, Tensor) and x.is_floating_point())

    return note


def _as_image(x: Tensor, raw: Tensor) -> Tensor | None:
    """[channels, H, W] of the first sample, without axes of one; None where it is no image."""
    x = (x[0] if x.ndim == 4 else x).squeeze()
    return x if x.ndim == 3 and x.shape[-2:] == raw.shape[-2:] else None
