"""What every model keeps, checked at its tiny variant with random weights."""

from __future__ import annotations

import functools
import itertools
import pickle
import socket
import subprocess
import sys
from typing import Any

import pytest
import torch
from torch import Tensor

from skybench.core import (
    CONVERT,
    Batch,
    CannotRun,
    Features,
    ModelCard,
    UsageError,
    WeightsError,
    registry,
    variants,
)
from skybench.core.model import Model
from skybench.weights.load import load_model

from ._batches import RANGES, random_batch

ALL = registry.names("baselines")
PLUGINS = {name: registry.model(name) for name in ALL}
NAMES = [name for name in ALL if not PLUGINS[name].CARD.unavailable]  # they have a network
# Every reduced network: (model, variant).
TINY = [(n, v) for n in NAMES for v in PLUGINS[n].VARIANTS if v.startswith("tiny")]
PUBLISHED = [(n, v) for n in NAMES for v in PLUGINS[n].VARIANTS if not v.startswith("tiny")]
HEAVY = ("torch", "numpy", "PIL", "rasterio", "timm", "pandas", "torchvision", "safetensors")


@functools.cache
def model(name: str, variant: str, seed: int = 0) -> Model:
    return load_model(name, "random", variant, seed)


def one_input(card: ModelCard, count: int = 2, dates: int = 1) -> Batch:
    return random_batch(card, [card.inputs[0].name], count, dates)


def run(which: Model, given: Batch) -> Features:
    before = {name: x.clone() for name, x in given.images.items()}
    with torch.inference_mode():
        features: Features = which(given)
    assert all(torch.equal(x, before[n]) for n, x in given.images.items())  # they are not its own
    return features


def tensors(features: Features) -> tuple[Tensor, ...]:
    return (features.pooled, *features.pyramid)


def assert_declared(features: Features, given: Batch, which: Model) -> None:
    """Levels are those of the finest input given; `pooled` of other levels is of their last."""
    card = which.card
    finest = next(s.name for s in card.inputs if s.name in given.images)
    height, width = given.images[finest].shape[-2:]
    levels = which.levels_of({n: x.shape[1] for n, x in given.images.items()})
    count = len(given.keys)
    dim = card.dim if levels == card.levels else levels[-1][0]
    assert features.pooled.shape == (count, dim)
    shapes = [tuple(level.shape) for level in features.pyramid]
    assert shapes == [(count, c, height // s, width // s) for c, s in levels]
    assert all(torch.isfinite(t).all() for t in tensors(features))


@pytest.mark.parametrize("name", ALL)
def test_the_plugin_is_complete(name: str) -> None:
    plugin = PLUGINS[name]
    assert plugin.CARD.name == name
    if plugin.CARD.unavailable:
        with pytest.raises(CannotRun, match="cannot be built"):
            load_model(name, "random")
        return
    picks = {asked: variants.resolve_variants(plugin, asked) for asked in ("full", "tiny")}
    assert variants.variant_card(plugin, picks["full"][0]) == plugin.CARD
    for asked, meant in picks.items():
        assert set(meant) <= set(plugin.VARIANTS)
        assert all(v.startswith("tiny") == (asked == "tiny") for v in meant)
    sensors = [{s.name for s in variants.variant_card(plugin, v).inputs} for v in picks["full"]]
    assert [
        {s.name for s in variants.variant_card(plugin, v).inputs} for v in picks["tiny"]
    ] == sensors


@pytest.mark.parametrize(("name", "variant"), [*PUBLISHED, *TINY])
def test_the_card_is_complete(name: str, variant: str) -> None:
    card = variants.variant_card(PLUGINS[name], variant)
    assert card.name == name
    assert all(text.strip() for text in (card.title, card.paper, card.code, card.licence))
    assert card.group in ("paper", "inferred", "floor", "extra")
    assert card.version >= 1
    assert len({s.name for s in card.inputs}) == len(card.inputs) > 0
    cards = [registry.dataset(n).CARD for n in registry.names("datasets")]
    assert set(card.trained_on) <= {n for c in cards for n in (c.name, c.image_source)}
    for sensor in card.inputs:
        assert len(set(sensor.bands)) == len(sensor.bands) > 0
        assert any(to == sensor.unit for _, to in CONVERT), "a unit that nothing converts to"
    if card.weights is None:
        return
    assert all((card.pretraining, card.normalisation, card.pooling, card.params))
    source = card.weights
    assert all(text.strip() for text in (source.filename, source.obtain, source.licence))
    assert source.package or source.url or source.withheld or "http" in source.obtain
    assert not (source.sha256 and len(source.sha256) not in (8, 64))
    if not variant.startswith("tiny"):
        assert source.variants, "which networks the file fits"


@pytest.mark.parametrize(("name", "variant"), PUBLISHED)
def test_the_card_is_that_of_the_network(name: str, variant: str) -> None:
    with torch.device("meta"):
        built = PLUGINS[name].build(variant)
    assert built.card == variants.variant_card(PLUGINS[name], variant)
    assert sum(p.numel() for p in built.parameters()) == built.card.params


@pytest.mark.parametrize(("name", "variant"), TINY)
def test_any_subset_of_inputs_gives_the_declared_shapes(name: str, variant: str) -> None:
    tiny = model(name, variant)
    inputs = [s.name for s in tiny.card.inputs]
    subsets = [c for n in range(1, len(inputs) + 1) for c in itertools.combinations(inputs, n)]
    for names in subsets:
        given = random_batch(tiny.card, names)
        assert_declared(run(tiny, given), given, tiny)


@pytest.mark.parametrize(("name", "variant"), TINY)
def test_a_sample_does_not_depend_on_its_batch(name: str, variant: str) -> None:
    tiny = model(name, variant)
    given = one_input(tiny.card)
    together = run(tiny, given)
    images = {n: x[1:] for n, x in given.images.items()}
    seen = {n: x[1:] for n, x in given.seen.items()}
    days = {n: x[1:] for n, x in given.days.items()}
    alone = run(tiny, Batch(("1",), images, seen, days, given.lonlat[1:]))
    for a, b in zip(tensors(alone), tensors(together), strict=True):
        torch.testing.assert_close(a, b[1:], atol=1e-5 * float(b.abs().max()), rtol=1e-5)


@pytest.mark.parametrize(("name", "variant"), TINY)
def test_the_seed_alone_decides(name: str, variant: str) -> None:
    first = model(name, variant)
    torch.manual_seed(1)  # the state of the global generator does not matter, nor is it touched
    expected = torch.rand(1)
    torch.manual_seed(1)
    second = load_model(name, "random", variant, 0)
    assert torch.equal(torch.rand(1), expected)
    given = one_input(first.card)
    for a, b in zip(tensors(run(first, given)), tensors(run(second, given)), strict=True):
        assert torch.equal(a, b)
    if any(p.requires_grad for p in first.parameters()):
        assert not torch.equal(run(first, given).pooled, run(model(name, variant, 1), given).pooled)


@pytest.mark.parametrize(("name", "variant"), TINY)
def test_a_model_pickles(name: str, variant: str) -> None:
    tiny = model(name, variant)
    given = one_input(tiny.card, 1)
    back = pickle.loads(pickle.dumps(tiny))
    assert back.card == tiny.card
    assert torch.equal(run(back, given).pooled, run(tiny, given).pooled)


@pytest.mark.parametrize(("name", "variant"), TINY)
def test_a_model_asks_for_no_network(
    name: str, variant: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> None:
        raise AssertionError(f"{name} opened a connection")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    tiny = load_model(name, "random", variant)
    run(tiny, one_input(tiny.card, 1))


@pytest.mark.parametrize(("name", "variant"), TINY)
def test_gradients_reach_the_first_layer(name: str, variant: str) -> None:
    tiny = load_model(name, "random", variant)
    if not any(p.requires_grad for p in tiny.parameters()):
        pytest.skip("nothing is learned")
    tiny.train()
    made = torch.Generator().manual_seed(0)
    out = tensors(tiny(one_input(tiny.card)))
    sum((t * torch.randn(t.shape, generator=made)).sum() for t in out).backward()  # type: ignore[union-attr]
    grads = [p.grad for p in tiny.layers()[0].parameters() if p.grad is not None]
    assert any(g.abs().max() > 0 for g in grads)
    assert all(torch.isfinite(g).all() for g in grads)


@pytest.mark.parametrize(("name", "variant"), TINY)
def test_layers_do_not_overlap(name: str, variant: str) -> None:
    tiny = model(name, variant)
    parameters = [id(p) for layer in tiny.layers() for p in layer.parameters()]
    assert len(parameters) == len(set(parameters))
    assert set(parameters) <= {id(p) for p in tiny.parameters()}


@pytest.mark.parametrize(("name", "variant"), TINY)
def test_constant_images_give_finite_features(name: str, variant: str) -> None:
    tiny = model(name, variant)
    given = random_batch(tiny.card, [s.name for s in tiny.card.inputs], 1)
    for constant in (0.0, 1.0):
        images = {
            s.name: torch.full_like(given.images[s.name], RANGES[s.unit][int(constant)])
            for s in tiny.card.inputs
        }
        features = run(tiny, Batch(given.keys, images, given.seen, given.days, given.lonlat))
        assert_declared(features, given, tiny)


TEMPORAL = [(n, v) for n, v in TINY if variants.variant_card(PLUGINS[n], v).temporal]


@pytest.mark.parametrize(("name", "variant"), TEMPORAL)
def test_a_padded_date_does_not_count(name: str, variant: str) -> None:
    tiny = model(name, variant)
    short, long = one_input(tiny.card, 1, 14), one_input(tiny.card, 1, 16)
    (sensor,) = short.images
    images = torch.cat((short.images[sensor], torch.zeros_like(long.images[sensor][:, :2])), 1)
    seen = torch.arange(16)[None] < 14
    days = torch.where(seen, long.days[sensor], -1)
    padded = Batch(short.keys, {sensor: images}, {sensor: seen}, {sensor: days}, short.lonlat)
    for a, b in zip(tensors(run(tiny, short)), tensors(run(tiny, padded)), strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(("name", "variant"), TINY)
def test_an_unknown_variant_or_setting_is_refused(name: str, variant: str) -> None:
    with pytest.raises(UsageError, match="No variant 'huge'"):
        load_model(name, "random", "huge")
    with pytest.raises(UsageError, match="No setting 'no_such'"):
        load_model(name, "random", variant, no_such=1)


@pytest.mark.parametrize(("name", "variant"), TINY)
def test_what_was_loaded_is_told(name: str, variant: str) -> None:
    tiny = model(name, variant)
    learned = tiny.card.weights is not None
    assert tiny.loaded.source == ("random" if learned else "none")
    assert not tiny.training
    if learned:
        with pytest.raises(WeightsError, match=f"do not fit {name}: they match 0.0 %"):
            load_model(name, {"model": {"a.weight": torch.zeros(2)}}, variant)


def test_reading_the_cards_imports_nothing_heavy() -> None:
    code = (
        "import sys; from skybench.core import registry; "
        "[registry.model(n).CARD for n in registry.names('baselines')]; "
        f"print([m for m in {HEAVY} if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-P", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[]"
