"""What SatViT's adapter does beyond the contract: channels that must be stated, files, scales."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from skybench.core import (
    DB,
    REFLECTANCE,
    Batch,
    CannotRun,
    Sensor,
    UsageError,
    WeightsError,
    match,
    registry,
)
from skybench.weights.load import load_model

PLUGIN: Any = registry.model("satvit")
GOLDENS = Path(__file__).parents[1] / "goldens"
MIXED = ("s1d:vh", "s2:red", "s1:vv", "s2:coastal")


def meta(name: str) -> dict[str, Tensor]:
    """The published keys of a golden, without values."""
    keys = json.loads((GOLDENS / f"{name}.keys.json").read_text())["keys"]
    return {k: torch.empty(entry["shape"], device="meta") for k, entry in keys.items()}


def batch(**images: Tensor) -> Batch:
    """Images [C, H, W] of one sample."""
    given = {n: x[None, None] for n, x in images.items()}
    seen = {n: torch.ones(1, 1, dtype=torch.bool) for n in given}
    days = {n: torch.full((1, 1), -1) for n in given}
    return Batch(("0",), given, seen, days, torch.zeros(1, 2))


def test_a_published_network_without_channels_reads_nothing_and_says_why() -> None:
    given = [Sensor("s2", PLUGIN.card("tiny").inputs[0].bands, 10.0, REFLECTANCE)]
    for version in ("v1", "v2"):
        with pytest.raises(CannotRun, match=r"state the 15 channels by load_model.*no publication"):
            match(PLUGIN.card(version), given)
    model = load_model("satvit", "random", "v2", depth=1, dim=16, heads=1)
    with pytest.raises(CannotRun, match="does not know its channels; state the 15 channels"):
        model(batch(s2=torch.zeros(15, 64, 64)))


def test_stated_channels_are_read_in_their_order_with_their_own_statistics() -> None:
    model: Any = load_model("satvit", "random", "tiny", channels=MIXED)
    assert model.card.inputs == (
        Sensor("s1d", ("vh",), 10.0, DB),
        Sensor("s2", ("red", "coastal"), 10.0, REFLECTANCE),
        Sensor("s1", ("vv",), 10.0, DB),
    )
    model.extract = lambda images: images
    red, coastal = torch.full((16, 24), 2414.81), torch.full((16, 24), 884.73)
    found = model(
        batch(
            s1=torch.full((1, 16, 24), -10.97 - 3.667),
            s1d=torch.full((1, 16, 24), -18.023 + 2 * 4.493),
            s2=torch.stack((red, coastal)),
        )
    )[0, :, 0, 0]
    torch.testing.assert_close(found, torch.tensor([2.0, 1.0, -1.0, 0.0]), atol=1e-5, rtol=0)


def test_a_missing_sensor_and_two_grids_are_refused() -> None:
    model = load_model("satvit", "random", "tiny", channels=MIXED)
    with pytest.raises(CannotRun, match="s1d, s2, s1 together on one grid, but got no s1d, s1"):
        model(batch(s2=torch.zeros(2, 64, 64)))
    sizes = {"s1": torch.zeros(1, 8, 8), "s1d": torch.zeros(1, 8, 8), "s2": torch.zeros(2, 64, 64)}
    with pytest.raises(CannotRun, match=r"but got sizes \[\(8, 8\), \(64, 64\)\]"):
        model(batch(**sizes))


@pytest.mark.parametrize("wrong", ["s2:cirrus", "red", "hr:red", "s1:vv"])
def test_a_channel_without_statistics_or_twice_is_refused(wrong: str) -> None:
    with pytest.raises(UsageError, match=f"but got '{wrong}'"):
        load_model("satvit", "random", "tiny", channels=("s1:vv", wrong))


@pytest.mark.parametrize("prefix", ["", "module."])
def test_the_published_patch_embedding_is_a_matrix_of_channels_and_then_pixels(prefix: str) -> None:
    shapes = meta("satvit_tiny")
    made = torch.Generator().manual_seed(0)
    state = {prefix + k: torch.randn(t.shape, generator=made) for k, t in shapes.items()}
    bands = [f"s2:{band}" for band in PLUGIN.STATISTICS["s2"]][:11]
    channels = (*bands, "s1a:vv", "s1a:vh", "s1d:vv", "s1d:vh")
    model: Any = load_model("satvit", state, "tiny", channels=channels, dim=64, depth=4, heads=4)
    image = torch.randn(1, 15, 64, 64, generator=made)
    patch = image[0, :, 8:16, 40:48].flatten()  # in row 1, column 5
    expected = F.linear(
        patch, state[f"{prefix}linear_input.weight"], state[f"{prefix}linear_input.bias"]
    )
    found = model.net.patch_embed.proj(image)[0, :, 1, 5]
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.fixture
def unrecognised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the search for the model that weights fit, which takes seconds."""
    monkeypatch.setattr("skybench.weights.identify.model_hint", lambda state: "")


@pytest.mark.usefixtures("unrecognised")
def test_a_file_tells_its_version_and_another_versions_file_is_refused() -> None:
    with torch.device("meta"):
        for version, other in (("v1", "v2"), ("v2", "v1")):
            state = meta(f"satvit_{version}")
            assert PLUGIN.variant_of(state) == version
            assert load_model("satvit", state).card.title.startswith(f"SatViT-{version.upper()}")
            with pytest.raises(WeightsError, match="do not fit satvit"):
                load_model("satvit", state, other)
    assert PLUGIN.variant_of(meta("satvit_tiny")) == PLUGIN.variant_of({}) == ""


def test_positions_at_another_size_are_interpolated() -> None:
    model: Any = load_model("satvit", "random", "tiny")
    table = model.net.pos_embed.unflatten(1, (8, 8)).permute(0, 3, 1, 2)
    resized = F.interpolate(table, (10, 9), mode="bicubic", align_corners=False)
    assert torch.equal(model.positions(10, 9), resized.permute(0, 2, 3, 1).flatten(1, 2))
