"""SatLas: its networks' files, units, and several dates."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torchvision.models.swin_transformer import ShiftedWindowAttentionV2

from skybench.baselines._adapters.satlas import Attention
from skybench.core import Batch, Features, UsageError, WeightsError, registry, variants
from skybench.weights.load import load_model

PLUGIN: Any = registry.model("satlas")
GOLDENS = Path(__file__).parents[1] / "goldens"


def published(name: str) -> dict[str, Tensor]:
    """Keys and shapes of a golden, without values."""
    keys = json.loads((GOLDENS / f"{name}.keys.json").read_text())["keys"]
    return {k: torch.empty(e["shape"], device="meta") for k, e in keys.items()}


def batch(images: Tensor, seen: Tensor, sensor: str) -> Batch:
    count, dates = seen.shape
    days = {sensor: torch.full((count, dates), -1)}
    return Batch(
        tuple(map(str, range(count))), {sensor: images}, {sensor: seen}, days, torch.zeros(count, 2)
    )


def given_to(model: Any, pixel: list[float]) -> list[float]:
    """Normalise one pixel with the adapter."""
    found: list[Tensor] = []
    model.extract = lambda images, seen: found.append(images)
    images = torch.tensor(pixel)[None, None, :, None, None].expand(1, 1, -1, 32, 32)
    seen = torch.ones(1, 1, dtype=torch.bool)
    model(batch(images, seen, model.card.inputs[0].name))
    return found[0][0, 0, :, 3, 4].tolist()


@pytest.mark.parametrize(
    ("variant", "pixel", "expected"),
    [
        ("tiny", [255.0, 0.0, 51.0], [1.0, 0.0, 0.2]),
        ("tiny_sentinel2_rgb", [3558.0, 5000.0, 355.8], [1.0, 1.0, 0.1]),
        (
            "tiny_sentinel2_ms",
            [1779.0, 0.0, 9000.0, 816.0, 4080.0, 8160.0, 9000.0, 0.0, 2040.0],
            [0.5, 0.0, 1.0, 0.1, 0.5, 1.0, 1.0, 0.0, 0.25],
        ),
        # 20 lg(474 / 47.4) = 20: an amplitude of 47.4, and one beyond 255.
        ("tiny_sentinel1", [-20.0, 0.0], [47.4 / 255, 1.0]),
        # N = 5 x + 5000: 5000, 20320 and 4000 give 1000, 16320 and 0 of 16320.
        ("tiny_landsat", [0.0, 3064.0, -200.0] + [0.0] * 8, [1000 / 16320, 1.0, 0.0]),
    ],
)
def test_images_are_brought_to_0_to_1(
    variant: str, pixel: list[float], expected: list[float]
) -> None:
    found = given_to(load_model("satlas", "random", variant), pixel)
    assert found[: len(expected)] == pytest.approx(expected, abs=1e-6)


def test_bands_come_in_the_authors_order() -> None:
    bands = PLUGIN.card("sentinel2_swinb_si_ms").inputs[0].bands
    assert bands[:6] == ("red", "green", "blue", "rededge071", "rededge075", "rededge078")
    assert bands[6:] == ("nir", "swir16", "swir22")
    assert PLUGIN.card("sentinel1_swinb_mi").inputs[0].bands == ("vh", "vv")


@pytest.mark.parametrize("variant", ["tiny_temporal", "tiny_resnet50"])
def test_each_stage_is_the_maximum_of_the_seen_dates(variant: str) -> None:
    model: Any = load_model("satlas", "random", variant, temporal=True)
    assert model.card.temporal
    images = torch.rand(2, 3, 9, 64, 96, generator=torch.Generator().manual_seed(0)) * 6000
    seen = torch.tensor([[True, True, True], [True, False, True]])
    with torch.inference_mode():
        fused: Features = model(batch(images, seen, "s2"))
        each = [model(batch(images[:, t, None], seen[:, :1], "s2")).pyramid for t in range(3)]
    for index, level in enumerate(fused.pyramid):
        stacked = torch.stack([maps[index] for maps in each])
        expected = torch.stack((stacked[:, 0].amax(0), stacked[::2, 1].amax(0)))
        torch.testing.assert_close(level, expected, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(fused.pooled, fused.pyramid[-1].mean((2, 3)))


PREFIXES = {
    "tiny": ("", "backbone.backbone.", "backbone.backbone.backbone.", "module.backbone.backbone."),
    "tiny_resnet50": ("", "backbone.resnet.", "backbone.backbone.resnet."),
}


@pytest.mark.parametrize("variant", PREFIXES)
def test_every_layout_gives_the_same_keys(variant: str) -> None:
    own = load_model("satlas", "random", variant).state_dict()
    for prefix in PREFIXES[variant]:
        state = {f"{prefix}{k.removeprefix('net.')}": x for k, x in own.items()}
        state |= {f"{prefix}{k}": torch.zeros(4) for k in ("head.weight", "norm.bias", "fc.bias")}
        state["heads.0.layers.0.weight"] = torch.zeros(4)
        assert PLUGIN.convert(state).keys() == own.keys()
        coverage = load_model("satlas", state, variant).loaded.coverage
        assert coverage is not None
        assert coverage.share == 1
        assert not coverage.unexpected


@pytest.mark.parametrize(
    ("golden", "variant"),
    [
        ("satlas_swin_b_si_ms", "sentinel2_swinb_si_ms"),
        ("satlas_swin_t_mi_rgb", "sentinel2_swint_mi_rgb"),
        ("satlas_resnet50_si_ms", "sentinel2_resnet50_si_ms"),
        ("satlas_swin_b_si_rgb", ""),  # the aerial network's file looks the same
        ("cmid_resnet50", ""),
    ],
)
def test_the_variant_is_told_by_the_authors_file(golden: str, variant: str) -> None:
    state = published(golden)
    assert PLUGIN.variant_of(state) == variant
    copied = {k.replace("backbone.", "").replace("resnet.", ""): x for k, x in state.items()}
    assert PLUGIN.variant_of(copied) == ""  # torchgeo's: of one or several dates


def test_another_variants_file_is_refused() -> None:
    with torch.device("meta"), pytest.raises(WeightsError, match="of another shape: 1"):
        load_model("satlas", published("satlas_swin_b_si_ms"), "aerial_swinb_si")


def test_the_fpn_comes_from_the_authors_file_only() -> None:
    whole = load_model("satlas", "random", "tiny", fpn=True)
    assert whole.card.levels == tuple((128, s) for s in (4, 8, 16, 32))
    own = whole.state_dict()
    fpn = {f"intermediates.0.{k}": x for k, x in own.items() if k.startswith("fpn.")}
    bare = {k.removeprefix("net."): x for k, x in own.items() if k.startswith("net.")}
    assert load_model("satlas", bare | fpn, "tiny").loaded.source == "state_dict"
    assert load_model("satlas", bare | fpn, "tiny", fpn=True).loaded.source == "state_dict"
    with pytest.raises(WeightsError, match="hold no FPN"):
        load_model("satlas", bare, "tiny", fpn=True)


def test_an_unknown_sensor_is_refused() -> None:
    with pytest.raises(UsageError, match="Expected sensor to be one of aerial"):
        load_model("satlas", "random", "tiny", sensor="modis")


@pytest.mark.parametrize(
    ("dataset", "sensors", "variant"),
    [
        ("aid", "hr", "aerial_swinb_si"),
        ("eurosat", "s2", "sentinel2_swinb_si_rgb"),
        ("fmow_s2", "s2", "sentinel2_swinb_si_ms"),
        ("ben_mm", "s1", "sentinel1_swinb_si"),
    ],
)
def test_the_network_that_suits_the_sensor_is_taken(
    dataset: str, sensors: str, variant: str
) -> None:
    card = registry.dataset(dataset).CARD
    given = [s for s in card.sensors if s.name == sensors]
    assert variants.select_variant(PLUGIN, "full", given)[0] == variant


def test_torchgeos_copies_are_named_with_their_hashes(shared: Path) -> None:
    with (shared / "specs" / "torchgeo_weights.tsv").open() as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    listed = {r["url"]: r["sha8_in_name"] for r in rows if "satlas" in r["url"]}
    sources = [PLUGIN.card(name).weights for name in PLUGIN.HASHES]
    assert {s.url: s.sha256 for s in sources} == listed


@pytest.mark.parametrize("size", [(16, 24), (8, 16), (12, 5), (20, 20)])
def test_window_attention_is_torchvisions(size: tuple[int, int]) -> None:
    """Also where it is shifted along one axis alone, and padded."""
    torch.manual_seed(0)
    ours = Attention(8, [8, 8], [4, 4], 2).requires_grad_(False)
    theirs = ShiftedWindowAttentionV2(8, [8, 8], [4, 4], 2).requires_grad_(False)
    theirs.load_state_dict(ours.state_dict())
    x = torch.randn(2, *size, 8)
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=1e-5)
