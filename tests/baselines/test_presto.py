"""Presto beyond the contract: layouts, units, patches, dates and places."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from skybench.baselines._networks.presto import BandGroup, cartesian, date_codes, month_codes
from skybench.core import Batch, CannotRun, Features, UsageError, WeightsError, registry
from skybench.core.sensors import S2_FINE
from skybench.weights.load import load_model, sha256_file

adapter = importlib.import_module("skybench.baselines._adapters.presto")
PLUGIN: Any = registry.model("presto")


@pytest.fixture(scope="module")
def tiny() -> Any:
    return load_model("presto", "random", "tiny")


def batch(lonlat: Tensor | None = None, **images: Tensor) -> Batch:
    """Images [B, T, C, H, W] by input, every 30 days from 1 July 2015."""
    count = len(next(iter(images.values())))
    dates = {n: x.shape[1] for n, x in images.items()}
    seen = {n: torch.ones(count, t, dtype=torch.bool) for n, t in dates.items()}
    days = {n: 16617 + 30 * torch.arange(t).repeat(count, 1) for n, t in dates.items()}
    lonlat = torch.full((count, 2), torch.nan) if lonlat is None else lonlat
    return Batch(("a",) * count, images, seen, days, lonlat)


def series(channels: int, dates: int = 2, count: int = 1) -> Tensor:
    made = torch.Generator().manual_seed(channels)
    images = torch.rand(count, dates, channels, 8, 12, generator=made)
    return -25 * images if channels == 2 else 3000 * images


def run(model: Any, given: Batch) -> Features:
    with torch.inference_mode():
        features: Features = model(given)
    return features


def alone(model: Any, pixel: Mapping[str, Tensor], place: Tensor | None) -> Tensor:
    """The encoding of one pixel's series, [T, C] by input in its unit, dates as in `batch`."""
    groups: dict[str, BandGroup] = {}
    for name, x in pixel.items():
        months = adapter.months(16617 + 30 * torch.arange(len(x)), adapter.UNKNOWN)[None]
        groups |= {g: BandGroup(v[None], months) for g, v in adapter.groups(name, x).items()}
    with torch.inference_mode():
        encoding: Tensor = model.net.pool(model.net(groups, place))[0]
    return encoding


@pytest.mark.parametrize("prefix", ["encoder.", "module.encoder.", ""])
def test_every_layout_loads(tiny: Any, prefix: str) -> None:
    state = {k.removeprefix("net."): t for k, t in tiny.state_dict().items()}
    file = {prefix + key: tensor + 1 for key, tensor in state.items()}
    if prefix:
        file[prefix.replace("encoder", "decoder") + "mask_token"] = torch.zeros(8)
    model = load_model("presto", file, "tiny")
    assert model.loaded.coverage is not None
    assert model.loaded.coverage.share == 1
    assert not model.loaded.coverage.unexpected
    own = model.state_dict()
    assert all(torch.equal(own[f"net.{k}"], t + 1) for k, t in state.items())


def test_other_sizes_are_refused(tiny: Any) -> None:
    state = {k.removeprefix("net."): t for k, t in tiny.state_dict().items()}
    with pytest.raises(WeightsError, match="do not fit presto"):
        load_model("presto", state)
    with pytest.raises(UsageError, match="multiple of 8, but got 20"):
        load_model("presto", "random", dim=20)
    with pytest.raises(UsageError, match="1 or more, but got 0"):
        load_model("presto", "random", patch_size=0)


def test_the_published_file_is_known(shared: Path) -> None:
    path = shared / "weights" / "presto" / "default_model.pt"
    if not path.is_file():
        pytest.skip("needs Presto's published weights")
    model: Any = load_model("presto", path)
    assert sha256_file(path) == model.card.weights.sha256
    assert model.loaded.coverage.share == 1
    assert not model.loaded.coverage.unexpected
    torch.testing.assert_close(model.net.pos_embed.data, date_codes(64))
    torch.testing.assert_close(model.net.month_embed.weight.data, month_codes(32))


def test_units_are_scaled_as_in_pre_training() -> None:
    pixel = torch.zeros(1, 10)
    values = {"green": 500.0, "red": 1000.0, "nir": 3000.0, "rededge078": 200.0, "swir22": 2e4}
    for band, value in values.items():
        pixel[0, S2_FINE.index(band)] = value
    found = {n: g[0].tolist() for n, g in adapter.groups("s2", pixel).items()}
    assert found == {
        "S2_RGB": pytest.approx([0, 0.05, 0.1]),
        "S2_Red_Edge": pytest.approx([0, 0, 0.02]),
        "S2_NIR_10m": pytest.approx([0.3]),
        "S2_NIR_20m": [0],
        "S2_SWIR": pytest.approx([0, 2]),
        "NDVI": pytest.approx([0.5]),
    }
    assert {*adapter.groups("s2_rgb", pixel[:, :3])} == {"S2_RGB"}
    radar = adapter.groups("s1", torch.tensor([[-25.0, 0.0]]))
    assert {n: g.tolist() for n, g in radar.items()} == {"S1": [[0.0, 1.0]]}


def test_the_vegetation_index_of_darkness_is_0() -> None:
    dark = torch.zeros(2, 10)
    dark[1, S2_FINE.index("red")], dark[1, S2_FINE.index("nir")] = -300.0, 100.0
    assert adapter.groups("s2", dark)["NDVI"].tolist() == [[0], [0]]


def test_the_month_of_a_day() -> None:
    days = torch.tensor([[0, 30, 31], [17166, 17167, -1]])  # …, 31 December 2016, 1 January 2017
    assert adapter.months(days, adapter.UNKNOWN).tolist() == [[0, 0, 1], [11, 0, 6]]


def test_a_place_on_the_sphere() -> None:
    found = cartesian(torch.tensor([[90.0, 12.0], [0.0, 90.0], [-30.0, 180.0]]))
    expected = torch.tensor([[0, 0, 1], [0, 1, 0], [-(0.75**0.5), 0, -0.5]])
    torch.testing.assert_close(found, expected)


def test_a_patch_is_read_as_the_series_of_its_mean_pixel(tiny: Any) -> None:
    optical, radar = series(10, count=2), series(2, dates=3, count=2)
    lonlat = torch.tensor([[9.0, 48.0], [torch.nan, torch.nan]])
    found = run(tiny, batch(lonlat, s2=optical, s1=radar))
    assert found.pyramid[0].shape == (2, 32, 2, 3)
    for row, place in enumerate((torch.tensor([[48.0, 9.0]]), None)):
        patch = slice(None), slice(None), slice(4, 8), slice(8, 12)
        pixel = {"s2": optical[row][patch].mean((2, 3)), "s1": radar[row][patch].mean((2, 3))}
        expected = alone(tiny, pixel, place)
        torch.testing.assert_close(found.pyramid[0][row, :, 1, 2], expected, atol=1e-5, rtol=1e-5)
    encodings = found.pyramid[0].flatten(2)
    pooled = torch.cat((encodings.mean(2), encodings.std(2)), 1)
    torch.testing.assert_close(found.pooled, pooled)


def test_a_single_patch_deviates_by_0(tiny: Any) -> None:
    found = run(tiny, batch(s2=series(10)[..., :4, :4]))
    assert not found.pooled[0, 32:].any()


def test_all_bands_win_over_colours_alone(tiny: Any) -> None:
    optical = series(10)
    both = run(tiny, batch(s2=optical, s2_rgb=optical[:, :, :3]))
    assert torch.equal(both.pooled, run(tiny, batch(s2=optical)).pooled)


def test_more_than_24_dates_are_read_in_parts(tiny: Any) -> None:
    images = series(10, dates=26)[..., :4, :4]
    given = batch(s2=images)
    with torch.inference_mode():
        months = adapter.months(given.days["s2"], adapter.UNKNOWN)
        parts = [
            tiny.maps({"s2": images[:, start::2]}, {"s2": months[:, start::2]}, None)
            for start in range(2)
        ]
    found = run(tiny, given).pyramid[0]
    torch.testing.assert_close(found, (parts[0] + parts[1]) / 2, atol=1e-5, rtol=1e-5)


def test_reading_some_pixels_at_a_time_changes_nothing(
    tiny: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    given = batch(torch.tensor([[9.0, 48.0]]), s2=series(10))
    whole = run(tiny, given)
    monkeypatch.setattr(adapter, "TOKENS", 50)  # 3 of 13 tokens each
    torch.testing.assert_close(run(tiny, given).pooled, whole.pooled, atol=1e-5, rtol=1e-5)


def test_sensors_on_two_grids_are_refused(tiny: Any) -> None:
    with pytest.raises(CannotRun, match=r"one grid, but got sizes \[\(8, 8\), \(8, 12\)\]"):
        tiny(batch(s2=series(10), s1=series(2)[..., :8]))
