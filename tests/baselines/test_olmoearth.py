"""OlmoEarth beyond the contract: layouts, band sets, units, patches and long series."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from skybench.baselines._networks.olmoearth import Series
from skybench.core import Batch, CannotRun, UsageError, WeightsError, registry
from skybench.weights.load import load_model

adapter = importlib.import_module("skybench.baselines._adapters.olmoearth")
PLUGIN: Any = registry.model("olmoearth")
BANDS = PLUGIN.S2_BANDS
KEYS = Path(__file__).parents[1] / "goldens/olmoearth_v1_nano.keys.json"


@pytest.fixture(scope="module")
def tiny() -> Any:
    return load_model("olmoearth", "random", "tiny")


def batch(days: Tensor | None = None, **images: Tensor) -> Batch:
    """Images [B, T, C, H, W] by input, every 30 days from 1 July 2015."""
    count = len(next(iter(images.values())))
    dates = {n: x.shape[1] for n, x in images.items()}
    seen = {n: torch.ones(count, t, dtype=torch.bool) for n, t in dates.items()}
    when = {
        n: 16617 + 30 * torch.arange(t).repeat(count, 1) if days is None else days
        for n, t in dates.items()
    }
    return Batch(("a",) * count, images, seen, when, torch.zeros(count, 2))


def published(model: Any, prefix: str) -> dict[str, Tensor]:
    """A model's weights under published names."""
    state = {}
    for key, tensor in model.state_dict().items():
        (theirs,) = [
            p + key.removeprefix(f"net.{own}")
            for p, own in PLUGIN.NAMES.items()
            if key.startswith(f"net.{own}")
        ]
        state[prefix + theirs] = tensor
    return state


@pytest.mark.parametrize("prefix", ["encoder.", "module.encoder.", ""])
def test_every_layout_loads(tiny: Any, prefix: str) -> None:
    file = {key: tensor + 1 for key, tensor in published(tiny, prefix).items()}
    file["target_encoder.norm.weight"] = torch.zeros(32)
    file[f"{prefix}project_and_aggregate.projection.0.bias"] = torch.zeros(32)
    model = load_model("olmoearth", file, "tiny")
    assert model.loaded.coverage is not None
    assert model.loaded.coverage.share == 1
    assert torch.equal(model.state_dict()["net.norm.bias"], tiny.net.norm.bias + 1)


def test_a_file_tells_its_network() -> None:
    entries = json.loads(KEYS.read_text())["keys"]
    state = {key: torch.empty(entry["shape"], device="meta") for key, entry in entries.items()}
    assert PLUGIN.variant_of(state) == "v1_nano"
    flat = {k: t.flatten(1) if t.ndim == 4 else t for k, t in state.items()}  # as in v1.1
    assert PLUGIN.variant_of(flat) == ""
    assert PLUGIN.variant_of({"norm.weight": torch.zeros(128)}) == ""


def test_another_size_is_refused(tiny: Any) -> None:
    with pytest.raises(WeightsError, match="do not fit olmoearth"):
        load_model("olmoearth", published(tiny, "encoder."), "tiny", dim=64)
    with pytest.raises(UsageError, match="patch_size to be 1 to 8, but got 9"):
        load_model("olmoearth", "random", "tiny", patch_size=9)


def test_bands_are_scaled_by_their_own_statistics() -> None:
    image = torch.zeros(1, 1, 12, 1, 1)
    image[0, 0, BANDS.index("nir")] = 2755.481305
    image[0, 0, BANDS.index("coastal")] = 1115.849439 + 3 * 1955.699179  # not cut off
    scaled = adapter.normalise("s2", image)[0, 0, :, 0, 0]
    assert scaled[3] == pytest.approx(0.5)
    assert scaled[10] == pytest.approx(1.25)
    radar = torch.tensor([-11.648991, -17.745436 - 2 * 10.216275])[None, None, :, None, None]
    assert adapter.normalise("s1", radar).flatten().tolist() == pytest.approx([0.5, 0], abs=1e-6)


def test_unknown_dates_are_in_july() -> None:
    days = torch.tensor([[-1, 0, 16617, 18321]])
    assert adapter.months(days, adapter.JULY).tolist() == [[6, 0, 6, 1]]


def test_a_band_set_is_embedded_from_its_own_bands(tiny: Any) -> None:
    series = Series(torch.rand(1, 1, 12, 8, 8), torch.tensor([[3]]))
    other = series.images.clone()
    other[:, :, 4:10] += 1  # the second set
    with torch.inference_mode():
        a, b = (tiny.net.embed("s2", s, 8) for s in (series, series._replace(images=other)))
    changed = (a != b).flatten(3).any(-1)[0, 0].tolist()
    assert [any(c) if isinstance(c, list) else c for c in changed] == [False, True, False]


def test_missing_band_sets_are_left_out(tiny: Any) -> None:
    images = 3000 * torch.rand(1, 2, 12, 8, 8)
    with torch.inference_mode():
        few = tiny.net.embed("s2", Series(images[:, :, :10], torch.zeros(1, 2).long()), 4)
        all_of_them = tiny.net.embed("s2", Series(images, torch.zeros(1, 2).long()), 4)
        ten = tiny(batch(s2_20m=images[:, :, :10])).pooled
        four = tiny(batch(s2_10m=images[:, :, :4])).pooled
        whole = tiny(batch(s2=images)).pooled
        both = tiny(batch(s2=images, s2_10m=images[:, :, :4])).pooled
    torch.testing.assert_close(few, all_of_them[:, :, :2])
    assert not torch.allclose(ten, whole)
    assert not torch.allclose(ten, four)
    assert torch.equal(both, whole)


def test_small_patches_are_resized_to_the_kernels(tiny: Any) -> None:
    images, months = torch.rand(2, 1, 2, 4, 6), torch.zeros(2, 1, dtype=torch.long)
    large = F.interpolate(images[:, 0], (16, 24), mode="bicubic", antialias=True)[:, None]
    with torch.inference_mode():
        small = tiny.net.embed("s1", Series(images, months), 2)
        expected = tiny.net.embed("s1", Series(large, months), 8)
    # Positions differ, in the last quarter: patches of 2 and of 8 pixels.
    torch.testing.assert_close(small[..., :24], expected[..., :24])
    assert not torch.allclose(small[..., 24:], expected[..., 24:])


def test_a_long_series_is_the_mean_of_its_parts(tiny: Any) -> None:
    images = 3000 * torch.rand(1, 16, 12, 4, 8)
    given = batch(s2=images)
    days = given.days["s2"]
    with torch.inference_mode():
        whole = tiny(given)
        halves = [tiny(batch(days[:, i::2], s2=images[:, i::2])) for i in (0, 1)]
    torch.testing.assert_close(whole.pooled, (halves[0].pooled + halves[1].pooled) / 2)


def test_sensors_on_different_grids_are_refused(tiny: Any) -> None:
    with pytest.raises(CannotRun, match=r"one grid, but got sizes \[\(4, 4\), \(8, 8\)\]"):
        tiny(batch(s2=torch.zeros(1, 1, 12, 8, 8), s1=torch.zeros(1, 1, 2, 4, 4)))
