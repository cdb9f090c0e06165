"""SkySense beyond the contract: which branch reads what, fusion, dates, partial weights."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import settings as settings_
from hypothesis import strategies as st
from torch import Tensor

from skybench.baselines._networks import prototypes
from skybench.core import Batch, CannotRun, Features, registry
from skybench.core.model import encode
from skybench.weights.load import load_model

adapter = importlib.import_module("skybench.baselines._adapters.skysense")
fusion = importlib.import_module("skybench.baselines._networks.fusion")
BANDS = {"hr": 3, "s2": 10, "s1": 2}
SIDES = {"hr": 256, "s2": 16, "s1": 16}


def make(dates: Mapping[str, int], sides: Mapping[str, int] = SIDES) -> Batch:
    """Normalised noise; every date is seen, a month apart."""
    made = torch.Generator().manual_seed(0)
    images = {
        n: torch.randn(2, t, BANDS[n], sides[n], sides[n], generator=made) for n, t in dates.items()
    }
    seen = {n: torch.ones(2, t, dtype=torch.bool) for n, t in dates.items()}
    days = {n: (18000 + 30 * torch.arange(t)).repeat(2, 1) for n, t in dates.items()}
    return Batch(("a", "b"), images, seen, days, torch.zeros(2, 2))


def features(model: Any, batch: Batch) -> Features:
    with torch.inference_mode():
        found: Features = model.features(batch)
    return found


def close(a: Features, b: Features) -> None:
    for x, y in zip((a.pooled, *a.pyramid), (b.pooled, *b.pyramid), strict=True):
        torch.testing.assert_close(x, y, atol=1e-5, rtol=1e-5)


@pytest.fixture(scope="module")
def tiny() -> Any:
    return load_model("skysense", "random", "tiny")


def test_it_has_as_many_parameters_as_the_official_parts() -> None:
    with torch.device("meta"):
        model: Any = registry.model("skysense").build("full")
    counts = {n: sum(p.numel() for p in m.parameters()) for n, m in model.named_children()}
    assert counts == {
        "net": 655_079_632, "s2": 302_738_432, "s1": 302_607_360, "fusion": 305_195_008,
        "head_s2": 46_182_400, "head_s1": 46_182_400,
    }  # fmt: skip
    assert model.ctpe.numel() == 1_027_840
    assert sum(p.numel() for p in model.parameters()) == 1_659_013_072


def test_each_sensor_has_its_own_statistics(tiny: Any) -> None:
    batch = make({"s2": 2, "s1": 1})
    raw = {
        "s2": batch.images["s2"] * torch.tensor(adapter.STATISTICS["s2"][1])[:, None, None]
        + torch.tensor(adapter.STATISTICS["s2"][0])[:, None, None],
        "s1": batch.images["s1"] * torch.tensor([5.25697717, 5.91150917])[:, None, None]
        + torch.tensor([-12.54847273, -20.19237134])[:, None, None],
    }
    assert adapter.STATISTICS["s2"][0][2] == 1297.47289228  # red, B4
    assert adapter.STATISTICS["s2"][1][6] == 1474.78900051  # nir, B8
    with torch.inference_mode():
        close(tiny(replace(batch, images=raw)), features(tiny, batch))


SETS = [
    {"hr": 1}, {"hr": 2}, {"s2": 1}, {"s1": 1}, {"s2": 3}, {"s1": 2}, {"s2": 1, "s1": 1},
    {"hr": 1, "s2": 1}, {"hr": 2, "s1": 3}, {"hr": 1, "s2": 2, "s1": 1},
]  # fmt: skip


@pytest.mark.parametrize("dates", SETS)
def test_the_pyramid_is_as_told(tiny: Any, dates: dict[str, int]) -> None:
    found = features(tiny, make(dates))
    side = SIDES["hr" if "hr" in dates else "s2"]
    told = tiny.levels_of(dates)
    assert [tuple(x.shape[1:]) for x in found.pyramid] == [
        (c, side // s, side // s) for c, s in told
    ]
    torch.testing.assert_close(found.pooled, found.pyramid[-1].mean((2, 3)))
    assert len(told) == (1 if "hr" not in dates else 4 if len(dates) == 1 else 5)


def test_one_sentinel_date_is_its_vits_last_map(tiny: Any) -> None:
    batch = make({"s2": 1})
    with torch.inference_mode():
        expected = tiny.s2(batch.images["s2"][:, 0])
    assert torch.equal(features(tiny, batch).pyramid[0], expected)


def test_a_fused_map_without_high_resolution_is_brought_to_stride_4(tiny: Any) -> None:
    batch = make({"s2": 2, "s1": 1})
    with torch.inference_mode():
        fused = tiny.fuse(batch, None)
    assert fused.shape == (2, 64, 16, 16)
    found = features(tiny, batch)
    torch.testing.assert_close(found.pyramid[0][0, 0, 0, 1], fused[0, 0, :4, 4:8].mean())
    torch.testing.assert_close(found.pooled, fused.mean((2, 3)))


def test_sentinel_maps_are_resized_to_the_cells_of_high_resolution(tiny: Any) -> None:
    batch = make({"hr": 1, "s2": 1, "s1": 1}, sides={"hr": 256, "s2": 16, "s1": 8})
    assert features(tiny, batch).pyramid[-1].shape == (2, 64, 8, 8)


def test_without_high_resolution_places_are_those_of_sentinel_2(tiny: Any) -> None:
    found = features(tiny, make({"s2": 1, "s1": 1}, sides={"s2": 24, "s1": 16}))
    assert found.pyramid[0].shape == (2, 64, 6, 6)
    assert features(tiny, make({"s1": 2}, sides={"s1": 16})).pyramid[0].shape == (2, 64, 4, 4)


@pytest.mark.parametrize("name", ["hr", "s2", "s1"])
def test_dates_that_are_not_seen_are_left_out(tiny: Any, name: str) -> None:
    long = make({"s1": 2, name: 3})
    seen = {n: s.clone() for n, s in long.seen.items()}
    seen[name][0, 2] = False
    padded = features(tiny, replace(long, seen=seen))
    short = replace(long, images={n: x[:, :2] if n == name else x for n, x in long.images.items()})
    short = replace(
        short, seen={n: torch.ones(x.shape[:2]).bool() for n, x in short.images.items()}
    )
    short = replace(short, days={n: d[:, : short.images[n].shape[1]] for n, d in long.days.items()})
    expected = features(tiny, short)
    torch.testing.assert_close(padded.pooled[0], expected.pooled[0], atol=1e-5, rtol=1e-5)
    whole = features(tiny, long)
    torch.testing.assert_close(padded.pooled[1], whole.pooled[1], atol=1e-5, rtol=1e-5)
    assert not torch.allclose(padded.pooled[0], whole.pooled[0], atol=1e-5)


def test_dates_of_high_resolution_are_averaged_as_the_core_does(tiny: Any) -> None:
    batch = make({"hr": 3})
    batch.seen["hr"][1, 2] = False
    raw = replace(batch, images={"hr": batch.images["hr"] * 57 + 120})
    with torch.inference_mode():
        (own,) = encode(tiny, raw, "fuse")
        card = tiny.card
        try:
            tiny.card = replace(card, temporal=False)
            (cores,) = encode(tiny, raw, "fuse")
        finally:
            tiny.card = card
    close(own, cores)


def test_the_order_of_dates_does_not_count(tiny: Any) -> None:
    batch = make({"s2": 3})
    images, days = ({"s2": x["s2"].flip(1)} for x in (batch.images, batch.days))
    close(features(tiny, batch), features(tiny, replace(batch, images=images, days=days)))


def test_places_run_in_parts_give_the_same(tiny: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    batch = make({"hr": 1, "s2": 2})
    batch.seen["s2"][0, 1] = False
    whole = features(tiny, batch)
    monkeypatch.setattr(fusion, "RUN", 20)
    close(whole, features(tiny, batch))


def test_the_calendar_has_365_days() -> None:
    texts = ["1970-01-01", "2019-12-31", "2020-02-29", "2020-12-30", "2020-12-31", "2021-01-01"]
    days = torch.tensor([int(np.datetime64(t, "D").astype(int)) for t in texts] + [-1])
    assert adapter.day_of_year(days).tolist() == [0, 364, 59, 364, 364, 0, -1]


def test_only_sentinel_2_knows_the_day(tiny: Any) -> None:
    batch = make({"s2": 2, "s1": 2})
    known = features(tiny, batch).pooled

    def moved(name: str, days: Tensor) -> Tensor:
        return features(tiny, replace(batch, days={**batch.days, name: days})).pooled

    assert torch.equal(moved("s1", batch.days["s1"] + 50), known)
    assert not torch.allclose(moved("s2", batch.days["s2"] + 50), known, atol=1e-5)
    unknown = moved("s2", torch.full((2, 2), -1))
    codes = tiny.ctpe.data.clone()
    try:
        tiny.ctpe.data.zero_()
        assert torch.equal(features(tiny, batch).pooled, unknown)
    finally:
        tiny.ctpe.data.copy_(codes)


def test_the_epsilon_of_the_vits_can_be_chosen() -> None:
    given = {n: load_model("skysense", "random", "tiny", eps=n) for n in (1e-5, 1e-6)}
    norms = [m for m in given[1e-6].modules() if isinstance(m, torch.nn.LayerNorm)]
    assert sum(m.eps == 1e-6 for m in norms) == 2 * 2 * 2  # norms x ViTs x layers
    batch = make({"s2": 1})
    batch.images["s2"][:] *= 0.01
    a, b = (features(m, batch).pooled for m in given.values())
    assert not torch.equal(a, b)


def test_only_heads_and_the_norms_of_stages_have_no_layer() -> None:
    with torch.device("meta"):
        full: Any = registry.model("skysense").build("full")
    layers = full.layers()
    assert len(layers) == 25  # the stem and 24 blocks, in all four networks
    found = [id(p) for layer in layers for p in layer.parameters()]
    assert len(found) == len(set(found))
    alone = {id(p) for m in (full.net.norms, full.head_s2, full.head_s1) for p in m.parameters()}
    assert {id(p) for p in full.parameters()} - set(found) == alone | {id(full.ctpe)}


def test_a_sensor_whose_branch_is_not_there_is_refused() -> None:
    model: Any = load_model("skysense", "random", "tiny", parts=("s2", "head_s2", "fusion"))
    assert features(model, make({"s2": 2})).pooled.shape == (2, 64)
    with pytest.raises(CannotRun, match=r"reads hr \(1 date\(s\)\) only with its parts hr, but"):
        features(model, make({"hr": 1}))
    with pytest.raises(CannotRun, match="only with its parts s1, head_s1, but"):
        model(make({"s2": 1, "s1": 1}))


def test_prototypes_of_a_region_stand_beside_the_fused_map() -> None:
    settings: dict[str, Any] = {"prototypes": 5, "regions": (2, 4)}
    model: Any = load_model("skysense", "random", "tiny", **settings)
    plain: Any = load_model("skysense", "random", "tiny")
    shared = {k: v for k, v in model.state_dict().items() if not k.startswith("prototypes.")}
    plain.load_state_dict(shared)
    batch = make({"s2": 2})
    places = torch.tensor([[11.6, 48.1], [float("nan"), 0.0]])
    fused = features(model, replace(batch, lonlat=places)).pyramid[-1]
    assert model.levels_of({"s2": 2}) == ((2 * model.arch.fusion_dims, 4),)
    known, context = fused.chunk(2, 1)
    torch.testing.assert_close(known, features(plain, batch).pyramid[-1])
    assert context[0].abs().max() > 0
    assert not context[1].any()  # an unknown place has none
    moved = torch.tensor([[-70.0, -30.0], [11.7, 48.2]])
    other = features(model, replace(batch, lonlat=moved)).pyramid[-1]
    assert not torch.allclose(other[0], fused[0])
    low, high = model.prototypes.values.amin(1), model.prototypes.values.amax(1)
    region = prototypes.region_of(places, 2, 4)[0]
    assert (context[0].flatten(1).mT <= high[region] + 1e-6).all()
    assert (context[0].flatten(1).mT >= low[region] - 1e-6).all()


@settings_(deadline=None, max_examples=200)
@given(st.floats(-180, 180), st.floats(-90, 90), st.integers(1, 20), st.integers(1, 20))
def test_every_place_is_in_a_region(lon: float, lat: float, rows: int, columns: int) -> None:
    place = torch.tensor([[lon, lat]])
    region = int(prototypes.region_of(place, rows, columns))
    assert 0 <= region < rows * columns
    # The south pole is in the first row, the north pole in the last.
    poles = torch.tensor([[lon, -90.0], [lon, 90.0]])
    first, last = (prototypes.region_of(poles, rows, columns) // columns).tolist()
    assert (first, last) == (0, rows - 1)


def test_regions_are_of_equal_area() -> None:
    made = torch.Generator().manual_seed(0)
    lon = 360 * torch.rand(80_000, generator=made) - 180
    lat = torch.rad2deg(torch.asin(2 * torch.rand(80_000, generator=made) - 1))
    counts = prototypes.region_of(torch.stack((lon, lat), 1), 4, 5).bincount(minlength=20)
    assert (counts - 4000).abs().max() < 5 * 4000**0.5
