"""SatMAE beyond the contract: published layouts, groups of bands, and which dates are read."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from skybench.core import Batch, Features, UsageError, WeightsError, registry
from skybench.weights.load import load_model

adapter = importlib.import_module("skybench.baselines._adapters.satmae")
PLUGIN: Any = registry.model("satmae")
GOLDENS = Path(__file__).parents[1] / "goldens"
DECODER = {"mask_token": torch.zeros(1, 1, 8), "decoder_blocks.0.norm1.weight": torch.zeros(8)}
KINDS = ("tiny", "tiny_multispectral", "tiny_temporal")


def bare(variant: str) -> dict[str, Tensor]:
    """A tiny network's weights, of another seed, under the published names."""
    state = load_model("satmae", "random", variant, seed=7).state_dict()
    return {key.removeprefix("net."): tensor for key, tensor in state.items()}


def batch(images: Tensor, days: Tensor | None = None, seen: Tensor | None = None) -> Batch:
    """Images [B, T, C, H, W] of the one input that their channels tell."""
    name, shape = {3: "hr", 10: "s2"}[images.shape[2]], images.shape[:2]
    days = torch.full(shape, -1) if days is None else days
    seen = torch.ones(shape, dtype=torch.bool) if seen is None else seen
    return Batch(("a",) * shape[0], {name: images}, {name: seen}, {name: days}, torch.zeros(2))


def close(a: Features, b: Features) -> None:
    for x, y in zip((a.pooled, *a.pyramid), (b.pooled, *b.pyramid), strict=True):
        torch.testing.assert_close(x, y, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize(
    ("golden", "variant"),
    [
        ("satmae_rgb_large", "rgb"),
        ("satmae_group_large", "multispectral"),
        ("satmae_group_base", "multispectral_base"),
        ("satmae_temporal_large", "temporal"),
        ("satmae_rgb_tiny", ""),
        ("satmae_group_tiny", ""),
        ("satmae_temporal_tiny", ""),
        ("croma_tiny", ""),
    ],
)
def test_a_file_tells_its_network(golden: str, variant: str) -> None:
    entries = json.loads((GOLDENS / f"{golden}.keys.json").read_text())["keys"]
    state = {key: torch.empty(entry["shape"], device="meta") for key, entry in entries.items()}
    assert PLUGIN.variant_of(state) == variant


@pytest.mark.parametrize("variant", KINDS)
@pytest.mark.parametrize(("container", "prefix"), [("model", ""), (None, "module."), (None, "")])
def test_every_layout_loads(variant: str, prefix: str, container: str | None) -> None:
    state = bare(variant)
    file: Any = {prefix + key: tensor for key, tensor in {**state, **DECODER}.items()}
    model = load_model("satmae", {container: file, "epoch": 9} if container else file, variant)
    assert model.loaded.coverage is not None
    assert model.loaded.coverage.share == 1
    assert not model.loaded.coverage.unexpected
    own = model.state_dict()
    assert all(torch.equal(own[f"net.{key}"], tensor) for key, tensor in state.items())


def test_the_class_tokens_group_is_zero_where_the_file_lacks_it() -> None:
    state = bare("tiny_multispectral")
    del state["channel_cls_embed"]
    model: Any = load_model("satmae", state, "tiny_multispectral")
    assert model.loaded.coverage.share == 1
    assert not model.net.channel_cls_embed.any()


@pytest.mark.parametrize("variant", KINDS)
@pytest.mark.parametrize("other", KINDS)
def test_another_networks_file_is_refused(variant: str, other: str) -> None:
    if variant != other:
        with pytest.raises(WeightsError, match="do not fit satmae"):
            load_model("satmae", bare(other), variant)


def test_a_width_without_room_for_the_codes_is_refused() -> None:
    with pytest.raises(UsageError, match="more than 48 codes, got 48"):
        load_model("satmae", "random", "tiny_temporal", dim=48)


def test_rgb_is_scaled_by_the_statistics_of_fmow() -> None:
    pixels = torch.tensor([0.0, 0.0, 255.0])[:, None, None].expand(3, 2, 2)
    found = adapter.NORMALISE["hr"](pixels[None])[0, :, 0, 0]
    expected = [-0.41820 / 0.28774, -0.42148 / 0.27542, (1 - 0.39913) / 0.27640]
    torch.testing.assert_close(found, torch.tensor(expected), atol=1e-4, rtol=1e-4)


def test_sentinel_2_is_cut_off_at_two_deviations_and_rounded_down() -> None:
    place = PLUGIN.CARDS["multispectral"].inputs[0].bands.index("nir08")
    mean, deviation = 1972.62420416, 1364.38688993  # of B8A
    values = mean + deviation * torch.tensor([-3.0, -2.0, 0.0, 1.0, 2.0, 9.0])
    images = torch.zeros(1, 10, 1, 6)
    images[0, place, 0] = values
    found = adapter.NORMALISE["s2"](images)[0, place, 0] * 255
    torch.testing.assert_close(found, torch.tensor([0.0, 0.0, 127.0, 191.0, 255.0, 255.0]))


@pytest.mark.parametrize(
    ("band", "group"),
    [("blue", 0), ("nir", 0), ("rededge071", 1), ("nir08", 1), ("swir16", 2), ("swir22", 2)],
)
def test_a_band_has_its_group(band: str, group: int) -> None:
    model: Any = load_model("satmae", "random", "tiny_multispectral")
    images = torch.zeros(1, 10, 32, 32)
    other = images.clone()
    other[:, model.card.inputs[0].bands.index(band)] = 1
    with torch.inference_mode():
        differ = (model.embed(images, None) != model.embed(other, None)).any(2)[0]
    assert not differ[0]
    assert differ[1:].view(3, 16).any(1).tolist() == [g == group for g in range(3)]


def test_positions_are_interpolated_for_every_group() -> None:
    model: Any = load_model("satmae", "random", "tiny_multispectral")
    net = model.net
    stored = net.pos_embed[0, 1:].T.reshape(1, 64, 4, 4)
    where = F.interpolate(stored, (3, 5), mode="bicubic", align_corners=False)[0, :, 2, 1]
    with torch.inference_mode():
        token = model.embed(torch.zeros(1, 10, 24, 40), None)[0, 1 + 15 + 2 * 5 + 1]
    expected = net.patch_embed[1].proj.bias + torch.cat((where, net.channel_embed[0, 1]))
    torch.testing.assert_close(token, expected)


@pytest.mark.parametrize("variant", KINDS[1:])
def test_the_map_is_the_mean_of_a_places_normed_tokens(variant: str) -> None:
    model: Any = load_model("satmae", "random", variant)
    images = torch.randn(1, 10, 32, 48) if variant == KINDS[1] else torch.randn(1, 3, 3, 64, 96)
    with torch.inference_mode():
        *_, last = model.tokens(images)
        features = model.extract(images)
        normed = model.net.norm(last[0, 1:]).view(3, 4, 6, -1)
    torch.testing.assert_close(features.pooled[0], last[0, 1:].mean(0))
    torch.testing.assert_close(features.pyramid[0][0, :, 1, 5], normed[:, 1, 5].mean(0))


def test_the_moment_of_a_day() -> None:
    days = torch.tensor([-1, 0, 16617, 17166, 17167])  # …, 31 December 2016, 1 January 2017
    expected = [[13, 6, 10], [-32, 0, 10], [13, 6, 10], [14, 11, 10], [15, 0, 10]]
    assert adapter.year_month_hour(days).tolist() == expected


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        ("1", ["000"]),
        ("11", ["011"]),
        ("111", ["012"]),
        ("1111", ["022", "133"]),
        ("11111", ["024", "133"]),
        ("111111", ["024", "135"]),
        ("1111111", ["036", "144", "255"]),
        ("1011", ["023"]),
        ("0100", ["111"]),
    ],
)
def test_dates_are_read_in_threes(seen: str, expected: list[str]) -> None:
    there = torch.tensor([[c == "1" for c in seen]])
    each, shares = adapter.date_triples(there)
    assert ["".join(map(str, row)) for row in each[:, 0].tolist()] == expected
    torch.testing.assert_close(shares, torch.full_like(shares, 1 / len(expected)))


def test_a_shorter_series_has_its_own_threes() -> None:
    each, shares = adapter.date_triples(torch.arange(7) < torch.tensor([[7], [2]]))
    assert each[:, 0].tolist() == [[0, 3, 6], [1, 4, 4], [2, 5, 5]]
    assert each[0, 1].tolist() == [0, 1, 1]
    assert shares.T.tolist() == [[pytest.approx(1 / 3)] * 3, [1, 0, 0]]


def test_features_of_more_dates_are_averaged() -> None:
    model: Any = load_model("satmae", "random", "tiny_temporal")
    made = torch.Generator().manual_seed(0)
    images = 255 * torch.rand(1, 5, 3, 64, 64, generator=made)
    days = torch.tensor([[17000, 17100, 17200, -1, 17400]])
    normed, when = adapter.NORMALISE["hr"](images), adapter.year_month_hour(days)
    with torch.inference_mode():
        parts = [model.extract(normed[:, d], when[:, d]) for d in ([0, 2, 4], [1, 3, 3])]
        found = model(batch(images, days))
        unseen = torch.tensor([[True, False, False, False, False]])
        alone = model(batch(images, days, unseen))
        thrice = model.extract(normed[:, [0, 0, 0]], when[:, [0, 0, 0]])
    first, second = parts
    mean = Features(
        (first.pooled + second.pooled) / 2, ((first.pyramid[0] + second.pyramid[0]) / 2,)
    )
    close(found, mean)
    close(alone, thrice)


def test_a_date_changes_the_features() -> None:
    model: Any = load_model("satmae", "random", "tiny_temporal")
    images = torch.full((1, 1, 3, 64, 64), 100.0)
    with torch.inference_mode():
        july, august, unknown = (
            model(batch(images, torch.tensor([[day]]))).pooled for day in (16617, 16648, -1)
        )
    assert torch.equal(july, unknown)
    assert not torch.allclose(july, august, atol=1e-4)
