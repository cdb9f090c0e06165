"""AnySat beyond the contract: layouts, units, dates, and the order and distances of places."""

from __future__ import annotations

import importlib
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from skybench.baselines._networks.anysat import (
    date_codes,
    grid_codes,
    patchify,
    relative_position_bias,
    relative_position_buckets,
)
from skybench.core import Batch, CannotRun, UsageError, WeightsError, registry
from skybench.weights.load import load_model

adapter = importlib.import_module("skybench.baselines._adapters.anysat")
PLUGIN: Any = registry.model("anysat")


@pytest.fixture(scope="module")
def tiny() -> Any:
    return load_model("anysat", "random", "tiny")


def batch(seen: Tensor, **images: Tensor) -> Batch:
    """Images [B, T, C, H, W] by input, every 30 days from 1 July 2015."""
    count, dates = seen.shape
    days = 16617 + 30 * torch.arange(dates).repeat(count, 1)
    names = dict.fromkeys(images)
    return Batch(
        ("a",) * count, images, dict.fromkeys(names, seen), dict.fromkeys(names, days),
        torch.zeros(count, 2),
    )  # fmt: skip


def published(model: Any, prefix: str) -> dict[str, Tensor]:
    """A model's weights under published names."""
    state = {}
    for key, tensor in model.state_dict().items():
        name = key.removeprefix("net.")
        name = name.replace("spatial_encoder.blocks.", "spatial_encoder.predictor_blocks.")
        name = name.replace("spatial_encoder.norm.", "spatial_encoder.predictor_norm.")
        for theirs, ours in PLUGIN.NAMES.items():
            if ours != ".":
                name = name.replace(ours, theirs)
        state[prefix + name] = tensor
    return state


@pytest.mark.parametrize("prefix", ["", "model.", "module.model."])
def test_every_layout_loads(tiny: Any, prefix: str) -> None:
    file = {key: tensor + 1 for key, tensor in published(tiny, prefix).items()}
    assert f"{prefix}projector_s2.patch_embed.attention_heads.Q" in file
    file[f"{prefix}projector_s1-asc.patch_embed.inconv.0.weight"] = torch.zeros(8, 2)
    file[f"{prefix}projector_s2.pad_parameter"] = torch.zeros(())
    model = load_model("anysat", {"state_dict": file}, "tiny")
    assert model.loaded.coverage is not None
    assert model.loaded.coverage.share == 1
    assert torch.equal(model.state_dict()["net.cls_token"], tiny.net.cls_token + 1)


def test_another_size_is_refused(tiny: Any) -> None:
    with pytest.raises(WeightsError, match="do not fit anysat"):
        load_model("anysat", published(tiny, ""), "tiny", dim=128)
    with pytest.raises(UsageError, match="multiple of 64, but got 96"):
        load_model("anysat", "random", "tiny", dim=96)
    with pytest.raises(UsageError, match="at least 1, but got 0"):
        load_model("anysat", "random", "tiny", patch_size=0)


def test_radar_gets_its_ratio_as_a_third_channel() -> None:
    radar = torch.tensor([-10.930951, -17.348515 + 3.212952])[:, None, None]
    scaled = adapter.normalise("s1", radar).flatten().tolist()
    assert scaled == pytest.approx([0, 1, (6.417564 - 3.212952 - 6.417512) / 3.342108], abs=1e-5)


def test_bands_are_scaled_by_their_own_statistics() -> None:
    image = torch.zeros(10, 1, 1)
    image[PLUGIN.S2_FINE.index("nir")] = 3205.901855 + 1784.860596
    assert adapter.normalise("s2", image).flatten()[6] == pytest.approx(1)


def test_days_of_the_year_begin_with_0() -> None:
    # Unknown; 1 January 1970; 1 July 2015; 31 December 2016, a leap year.
    found = adapter.days_of_year(torch.tensor([[-1, 0, 16617, 17166]]))
    assert found.tolist() == [[181, 0, 181, 365]]


def test_codes_of_dates_take_turns() -> None:
    found = date_codes(torch.tensor([10.0]), 4)[0].tolist()
    slow = 10 / math.sqrt(367)
    assert found == pytest.approx([math.sin(10), math.cos(10), math.sin(slow), math.cos(slow)])


def test_codes_of_places_begin_with_the_column() -> None:
    found = grid_codes(2, 3, 10, torch.zeros(8))
    assert found[1, 2].tolist() == pytest.approx(
        [f(x) for step in (20, 10) for f in (math.sin, math.cos) for x in (step, step / 100)]
    )


def test_distances_fall_into_four_classes() -> None:
    found = relative_position_buckets(1, 6, torch.device("cpu"))
    assert found[1].tolist() == [7, 3, 4, 5, 5, 6, 6]
    assert found[0].tolist() == [7] * 7
    assert relative_position_buckets(2, 2, torch.device("cpu"))[1].tolist() == [
        7,
        3,
        4,
        4,
        4,
    ]  # sqrt(2) is 1


def test_all_heads_get_the_distances_of_the_first() -> None:
    queries, table = torch.rand(2, 3, 5, 4), torch.rand(1, 4, 8)
    found = relative_position_bias(
        queries, table, relative_position_buckets(2, 2, torch.device("cpu"))
    )
    assert found.shape == (2, 1, 5, 5)
    assert found[1, 0, 1, 4] == pytest.approx(float(queries[1, 0, 1] @ table[0, :, 4]))


def test_parts_of_a_patch_are_in_the_order_of_its_squares() -> None:
    maps = torch.arange(32.0).view(1, 1, 4, 8)  # two patches of 2 x 2 squares of 2 x 2 parts
    found = patchify(maps, 2, 2)[0, 0, :, :, 0]
    assert found[1].tolist() == [4, 5, 12, 13, 6, 7, 14, 15, 20, 21, 28, 29, 22, 23, 30, 31]


def test_a_date_that_is_not_seen_does_not_count(tiny: Any) -> None:
    images = 3000 * torch.rand(2, 3, 10, 8, 4)
    with torch.inference_mode():
        found = tiny(batch(torch.tensor([[True, True, True], [True, True, False]]), s2=images))
        alone = tiny(batch(torch.ones(1, 2, dtype=torch.bool), s2=images[1:, :2]))
    torch.testing.assert_close(found.pooled[1:], alone.pooled)
    assert found.pyramid[0].shape == (2, 64, 2, 1)


def test_sensors_on_different_grids_are_refused(tiny: Any) -> None:
    once = torch.ones(1, 1, dtype=torch.bool)
    with pytest.raises(CannotRun, match=r"one grid, but got sizes \[\(4, 4\), \(8, 8\)\]"):
        tiny(batch(once, s2=torch.zeros(1, 1, 10, 8, 8), s1=torch.zeros(1, 1, 2, 4, 4)))
