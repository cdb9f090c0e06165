"""Adapter probes: changes of a model's input that must change its features, and the band order.

They catch faults that no statistics of images show, as red and blue exchanged or a normalisation
without effect.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from skybench.core import DB, REFLECTANCE, S2_DISPLAY, UINT8, Batch, ModelCard
from skybench.core.model import Model

SAME = 1e-4  # relative to the length of the features; rounding gives 1e-6
LINEAR = 0.8  # correlation of a channel with its band; of a difference of two bands it is 0.7
RANGES = {UINT8: (0.0, 255.0), S2_DISPLAY: (0.0, 255.0), REFLECTANCE: (0.0, 4000.0),
          DB: (-25.0, 0.0)}  # fmt: skip
LEAST = 16  # smallest side of probing images in pixels
FIRST_DAY = 18_000  # since 1970-01-01


class Probe(NamedTuple):
    """A change of an input, and the largest relative change of the features that it causes."""

    input: str
    change: str
    effect: float


def noise_batch(card: ModelCard, names: Iterable[str], count: int = 2, dates: int = 1) -> Batch:
    """Make seeded noise in each input's unit, at the smallest size that the model takes.

    Images are not square, so that exchanged axes show. Dates are 30 days apart.
    """
    images = {}
    sensors = {s.name: s for s in card.inputs}
    for name in names:
        sensor = sensors[name]
        low, high = RANGES.get(sensor.unit, (0.0, 1.0))
        generator = torch.Generator().manual_seed(len(sensor.bands))
        shape = (count, dates, len(sensor.bands), *_smallest_size(card, name))
        images[name] = low + (high - low) * torch.rand(shape, generator=generator)
    seen = {n: torch.ones(count, dates, dtype=torch.bool) for n in images}
    days = {n: FIRST_DAY + 30 * torch.arange(dates).repeat(count, 1) for n in images}
    return Batch(tuple(map(str, range(count))), images, seen, days, torch.zeros(count, 2))


def _smallest_size(card: ModelCard, name: str) -> tuple[int, int]:
    smallest, step = card.input_sizes.get(name, (card.min_pixels, card.multiple))
    side = -(-max(smallest, LEAST) // step) * step
    return side, side + step


def probe_inputs(model: Model, batch: Batch) -> list[Probe]:
    """Double and shift the values of each input, reverse its bands, exchange its red and blue.

    batch: images as `Model.forward` takes them, of which no two bands are equal.
    """
    before = features_of(model, batch)
    return [
        Probe(
            name, change, relative_change(before, features_of(model, with_images(batch, name, x)))
        )
        for name in batch.images
        for change, x in _changes(model, name, batch.images[name])
    ]


def ignored_changes(model: Model, batch: Batch) -> list[str]:
    """Return the changes of `probe_inputs` that do not change the features; [] if all do."""
    probes = probe_inputs(model, batch)
    return [f"{p.input}: {p.change}" for p in probes if p.effect <= SAME]


def probe_bands(model: Model, batch: Batch, name: str) -> dict[str, float]:
    """Return how much the features change where one band alone is changed, for each band."""
    before, images = features_of(model, batch), batch.images[name]
    effects = {}
    for index, band in enumerate(next(s.bands for s in model.card.inputs if s.name == name)):
        changed = images.clone()
        changed[:, :, index] = 2 * images[:, :, index].flip(-2) + images.abs().max() / 4
        after = features_of(model, with_images(batch, name, changed))
        effects[band] = relative_change(before, after)
    return effects


def band_order(model: Model, batch: Batch, name: str) -> tuple[int, ...] | None:
    """Return the bands of an input in the order in which they reach the network's first layer.

    batch: of values that are not correlated between bands. Channels without a band (zeros for a
    missing one) are left out. None where the first layer takes patches, not whole images.
    """
    given = _only(batch, name)
    raw = given.images[name][0, 0]  # [C, H, W]
    arrived: list[Tensor] = []
    handles = [m.register_forward_pre_hook(_noting(arrived)) for m in _layers(model)]
    try:
        features_of(model, given)
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


def relative_change(before: Sequence[Tensor], after: Sequence[Tensor]) -> float:
    """Return the largest change of any of the tensors, relative to its length; NaN is infinite."""
    changes = [
        float((a - b).norm() / a.norm().clamp(min=1e-12))
        for a, b in zip(before, after, strict=True)
    ]
    return max(c if math.isfinite(c) else math.inf for c in changes)


@torch.inference_mode()
def features_of(model: Model, batch: Batch) -> tuple[Tensor, ...]:
    """Return the pooled features and the feature maps of a batch."""
    features = model(batch)
    return (features.pooled, *features.pyramid)


def with_images(batch: Batch, name: str, images: Tensor) -> Batch:
    """Return the batch with other images of one input."""
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
