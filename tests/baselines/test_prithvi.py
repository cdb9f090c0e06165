"""Prithvi beyond the contract: published layouts, series, time and place, other sizes."""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from skybench.baselines._networks.prithvi import grid_codes, sincos_codes
from skybench.core import Batch, Features, UsageError, WeightsError, registry
from skybench.weights.load import load_model

adapter = importlib.import_module("skybench.baselines._adapters.prithvi")
PLUGIN: Any = registry.model("prithvi")
GOLDENS = Path(__file__).parents[1] / "goldens"
# What files with and without a prefix have beside the encoder.
DECODERS = {
    "encoder.": {"decoder.mask_token": torch.zeros(8), "decoder.norm.bias": torch.zeros(8)},
    "": {"mask_token": torch.zeros(8), "decoder_pos_embed": torch.zeros(8)},
}


@pytest.fixture(scope="module")
def tiny() -> Any:
    return load_model("prithvi", "random", "tiny")


@pytest.fixture(scope="module")
def located() -> Any:
    return load_model("prithvi", "random", "tiny_tl")


def bare(variant: str, **arch: Any) -> dict[str, Tensor]:
    """A tiny network's weights, of another seed, under the published names."""
    state = load_model("prithvi", "random", variant, seed=7, **arch).state_dict()
    return {key.removeprefix("net."): tensor for key, tensor in state.items()}


def batch(images: Tensor, days: Tensor | None = None, lonlat: Tensor | None = None) -> Batch:
    """Images [B, T, 6, H, W]; days and places are unknown if none are given."""
    shape = images.shape[:2]
    days = torch.full(shape, -1) if days is None else days
    lonlat = torch.full((shape[0], 2), torch.nan) if lonlat is None else lonlat
    seen = {"s2": torch.ones(shape, dtype=torch.bool)}
    return Batch(("a",) * shape[0], {"s2": images}, seen, {"s2": days}, lonlat)


def run(model: Any, given: Batch) -> Features:
    with torch.inference_mode():
        features: Features = model(given)
    return features


@pytest.mark.parametrize("prefix", ["encoder.", ""])
@pytest.mark.parametrize("variant", PLUGIN.CARDS)
def test_a_file_tells_its_network(variant: str, prefix: str) -> None:
    with torch.device("meta"):
        own = PLUGIN.build(variant, depth=1).state_dict()
    state = {key.replace("net.", prefix, 1): tensor for key, tensor in own.items()}
    assert PLUGIN.variant_of({**state, **DECODERS[prefix]}) == variant


@pytest.mark.parametrize(
    ("golden", "variant"),
    [
        ("prithvi_v1_100", "v1_100"),
        ("prithvi_v2_tiny_tl", "v2_tiny_tl"),
        ("prithvi_tiny", ""),
        ("satvit_v1", ""),
        ("satmae_rgb_large", ""),
    ],
)
def test_a_golden_tells_its_network(golden: str, variant: str) -> None:
    entries = json.loads((GOLDENS / f"{golden}.keys.json").read_text())["keys"]
    state = {key: torch.empty(entry["shape"], device="meta") for key, entry in entries.items()}
    assert PLUGIN.variant_of(state) == variant


@pytest.mark.parametrize("variant", ["tiny", "tiny_tl"])
@pytest.mark.parametrize("prefix", ["encoder.", ""])
@pytest.mark.parametrize("module", ["module.", ""])
def test_every_layout_loads(variant: str, prefix: str, module: str) -> None:
    state = bare(variant)
    file = {module + prefix + k: t for k, t in state.items()}
    file |= {module + k: t for k, t in DECODERS[prefix].items()}
    model = load_model("prithvi", file, variant)
    assert model.loaded.coverage is not None
    assert model.loaded.coverage.share == 1
    assert not model.loaded.coverage.unexpected
    own = model.state_dict()
    assert all(torch.equal(own[f"net.{key}"], tensor) for key, tensor in state.items())


def test_positions_for_other_dates_are_computed_not_loaded(tiny: Any) -> None:
    model: Any = load_model("prithvi", bare("tiny", frames=5), "tiny")
    assert model.loaded.coverage.share == 1
    assert torch.equal(model.net.pos_embed, tiny.net.pos_embed)


def test_another_networks_file_is_refused() -> None:
    with pytest.raises(WeightsError, match="do not fit prithvi"):
        load_model("prithvi", bare("tiny", dim=48), "tiny")
    with pytest.raises(UsageError, match="multiple of 16, but got 24"):
        load_model("prithvi", "random", "tiny", dim=24)


@pytest.mark.parametrize(
    ("variant", "mean", "std"), [("tiny", 2497, 1368), ("tiny_tl", 2734, 1850)]
)
def test_each_generation_has_its_statistics(variant: str, mean: float, std: float) -> None:
    model: Any = load_model("prithvi", "random", variant)
    place = model.card.inputs[0].bands.index("nir08")
    found = model.normalise(torch.full((1, 1, 6, 1, 2), mean + 2.0 * std))
    torch.testing.assert_close(found[0, 0, place, 0], torch.tensor([2.0, 2.0]))


def test_the_moment_of_a_day() -> None:
    days = torch.tensor([0, 16617, 17166, 17167, -1])  # …, 31 December 2016, 1 January 2017
    found = adapter.year_and_day(days)
    assert found[:4].tolist() == [[1970, 1], [2015, 182], [2016, 366], [2017, 1]]
    assert found[4].isnan().all()


def test_positions_tell_column_row_and_date() -> None:
    code = grid_codes(3, 4, 5, 32)[0]
    assert not code[0].any()
    expected = [
        sincos_codes(torch.tensor(n, dtype=torch.float64), w) for n, w in ((3, 12), (2, 12), (1, 8))
    ]
    token = code[1 + 1 * 20 + 2 * 5 + 3]
    torch.testing.assert_close(token, torch.cat(expected).float())
    assert token[1].item() == pytest.approx(math.sin(3 / 10000 ** (1 / 6)))


def test_positions_are_interpolated_between_the_corners(tiny: Any) -> None:
    maps = grid_codes(2, 2, 2, 32)[0, 1:].view(2, 2, 2, 32).movedim(-1, 1)
    resized = F.interpolate(maps, (3, 5), mode="bicubic", align_corners=True)
    found = tiny.net.grid(2, 3, 5)[0]
    assert len(found) == 1 + 2 * 3 * 5
    torch.testing.assert_close(found[1 + 15 + 2 * 5 + 1], resized[1, :, 2, 1])
    torch.testing.assert_close(found[1 + 15 + 14], maps[1, :, 1, 1])


def test_longer_series_are_averaged_over_parts(tiny: Any) -> None:
    images = 3000 * torch.rand(2, 4, 6, 32, 48, generator=torch.Generator().manual_seed(0))
    normed = tiny.normalise(images).transpose(1, 2)
    with torch.inference_mode():
        parts = [tiny.extract(normed[:, :, dates]) for dates in ([0, 2], [1, 3])]
        *_, last = tiny.net.tokens(normed[:, :, [0, 2]])
        tokens = tiny.net.norm(last)[:, 1:].view(2, 2, 2, 3, 32)
    found = run(tiny, batch(images))
    level = (parts[0].pyramid[0] + parts[1].pyramid[0]) / 2
    torch.testing.assert_close(found.pyramid[0], level, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(found.pooled, level.mean((2, 3)), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(parts[0].pooled, tokens.mean((1, 2, 3)), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(parts[0].pyramid[0][:, :, 1, 2], tokens[:, :, 1, 2].mean(1))


def test_latitude_comes_first_and_an_unknown_place_adds_nothing(located: Any) -> None:
    images = torch.full((1, 1, 6, 32, 32), 1000.0)
    normed = located.normalise(images).transpose(1, 2)
    given = batch(images, torch.tensor([[16617]]), torch.tensor([[9.0, 48.0]]))
    when, where = torch.tensor([[[2015.0, 182.0]]]), torch.tensor([[48.0, 9.0]])
    with torch.inference_mode():
        expected = located.extract(normed, when, where).pooled
        nothing = located.extract(normed).pooled
    assert torch.equal(run(located, given).pooled, expected)
    assert torch.equal(run(located, batch(images)).pooled, nothing)
    assert not torch.allclose(expected, nothing, atol=1e-4)


def test_an_unknown_date_changes_no_other(located: Any) -> None:
    images = torch.randn(1, 6, 2, 32, 32)
    half = torch.tensor([[[2015.0, 182.0], [torch.nan, torch.nan]]])
    with torch.inference_mode():
        known = located.net.temporal_embed_enc(half)
        tokens = next(iter(located.net.tokens(images, half)))
    assert known[0, 0].any()
    assert not known[0, 1].any()
    assert tokens.isfinite().all()
