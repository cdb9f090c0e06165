"""Every adapter reacts to the values and to the order of its bands, and keeps that order."""

from __future__ import annotations

import functools
from dataclasses import replace
from typing import Any

import pytest
import torch

from skybench.checks import adapter_probes
from skybench.core import DB, REFLECTANCE, UINT8, Batch, Features, Sensor, registry
from skybench.core.model import Model
from skybench.weights.load import load_model

NAMES = [n for n in registry.names("baselines") if not registry.model(n).CARD.unavailable]
TINY = [(n, v) for n in NAMES for v in registry.model(n).VARIANTS if v.startswith("tiny")]
RANGES = {UINT8: (0.0, 255.0), REFLECTANCE: (0.0, 4000.0), DB: (-25.0, 0.0)}


@functools.cache
def model(name: str, variant: str) -> Model:
    return load_model(name, "random", variant)


def images(which: Model, sensor: Sensor) -> Batch:
    """Noise in the input's unit, at the smallest size it takes."""
    card = which.card
    smallest, step = card.input_sizes.get(sensor.name, (card.min_pixels, card.multiple))
    side = -(-max(smallest, 16) // step) * step
    low, high = RANGES[sensor.unit]
    made = torch.Generator().manual_seed(0)
    x = low + (high - low) * torch.rand((1, 1, len(sensor.bands), side, side), generator=made)
    seen, days = torch.ones(1, 1, dtype=torch.bool), torch.full((1, 1), 18000)
    return Batch(("0",), {sensor.name: x}, {sensor.name: seen}, {sensor.name: days},
                 torch.zeros(1, 2))  # fmt: skip


@pytest.mark.parametrize(("name", "variant"), TINY)
def test_values_and_order_of_the_bands_change_the_features(name: str, variant: str) -> None:
    which = model(name, variant)
    for sensor in which.card.inputs:
        assert adapter_probes.ignored_changes(which, images(which, sensor)) == []


@functools.cache
def order_of(name: str, variant: str, sensor: Sensor) -> tuple[int, ...] | None:
    which = model(name, variant)
    return adapter_probes.band_order(which, images(which, sensor), sensor.name)


@pytest.mark.parametrize(("name", "variant"), TINY)
def test_the_bands_reach_the_network_in_the_order_of_the_card(name: str, variant: str) -> None:
    for sensor in model(name, variant).card.inputs:
        order = order_of(name, variant, sensor)
        if order is not None:
            assert order == tuple(sorted(order)), f"{sensor.bands} arrive as {order}"
            assert len(order) >= min(3, len(sensor.bands))


def test_the_order_is_seen_for_most_networks() -> None:
    seen = {n: order_of(n, v, model(n, v).card.inputs[0]) for n, v in TINY}
    patches = {name for name, order in seen.items() if order is None}
    without = {n for n in NAMES if registry.model(n).CARD.weights is None}
    assert len(patches - without) <= len(NAMES) / 4, patches


class Spoilt(Model):
    """An adapter around another that changes what it is given."""

    def __init__(self, inner: Model, change: Any) -> None:
        super().__init__(inner.card)
        self.inner, self.change = inner, change

    def forward(self, batch: Batch) -> Features:
        changed = {n: self.change(x) for n, x in batch.images.items()}
        out: Features = self.inner(replace(batch, images=changed))
        return out


def spoilt(change: Any) -> tuple[Model, Batch]:
    inner = model("imagenet", "tiny")
    return Spoilt(inner, change), images(inner, inner.card.inputs[0])


def test_an_adapter_that_reads_blue_as_red_is_caught() -> None:
    which, given = spoilt(lambda x: x.flip(2))
    assert adapter_probes.band_order(which, given, "hr") == (2, 1, 0)
    assert adapter_probes.ignored_changes(which, given) == []  # its features do change


def test_an_adapter_that_ignores_its_values_or_the_order_is_caught() -> None:
    def standardised(x: torch.Tensor) -> torch.Tensor:
        low, high = x.amin((-1, -2), keepdim=True), x.amax((-1, -2), keepdim=True)
        return 255 * (x - low) / (high - low)

    assert adapter_probes.ignored_changes(*spoilt(standardised)) == [
        "hr: values doubled and shifted"
    ]
    grey = adapter_probes.ignored_changes(*spoilt(lambda x: x.mean(2, keepdim=True).expand_as(x)))
    assert grey == ["hr: bands reversed", "hr: red and blue exchanged"]
    assert len(adapter_probes.ignored_changes(*spoilt(torch.zeros_like))) == 3
