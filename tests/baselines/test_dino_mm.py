"""What DINO-MM's adapter does beyond the contract: files, scales, missing sensors, positions."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from skybench.core import Batch, CannotRun, WeightsError
from skybench.weights.load import load_model


def batch(**images: Tensor) -> Batch:
    """Images [C, H, W] of one sample."""
    given = {n: x[None, None] for n, x in images.items()}
    seen = {n: torch.ones(1, 1, dtype=torch.bool) for n in given}
    days = {n: torch.full((1, 1), -1) for n in given}
    return Batch(("0",), given, seen, days, torch.zeros(1, 2))


def scaled(**images: Tensor) -> Tensor:
    """Input of the network, [14, H, W], as bytes."""
    model: Any = load_model("dino_mm", "random", "tiny")
    model.extract = lambda images: images
    found: Tensor = model(batch(**images))[0] * 255
    return found.round()


def test_a_missing_sensor_is_zeros() -> None:
    optical, radar = torch.full((12, 16, 24), 1000.0), torch.full((2, 16, 24), -12.0)
    both = scaled(s2=optical, s1=radar)
    assert both.shape == (14, 16, 24)
    assert both.gt(0).all()
    assert torch.equal(scaled(s2=optical), torch.cat((both[:12], torch.zeros(2, 16, 24))))
    assert torch.equal(scaled(s1=radar), torch.cat((torch.zeros(12, 16, 24), both[12:])))


def test_each_band_is_stretched_over_two_deviations_of_its_own() -> None:
    model: Any = load_model("dino_mm", "random", "tiny")
    optical, radar = model.card.inputs
    assert (optical.bands[1], optical.bands[9], optical.bands[11]) == ("blue", "nir09", "swir22")
    assert radar.bands == ("vh", "vv")
    image = torch.full((12, 16, 16), 2000.0)
    found = scaled(s2=image, s1=torch.tensor([-19.22, -8.0])[:, None, None].expand(2, 16, 16))
    # Blue is cut off; nir09: (2000 - 2246.05 + 2604.66) / 5209.31 * 255 = 115.46; swir22: 204.6.
    assert found[[1, 9, 11], 0, 0].tolist() == [255, 115, 204]
    # VH at its mean: 127.5 (or a hair less); VV: (-8 + 12.59 + 10.08) / 20.16 * 255 = 185.55.
    assert found[12:, 0, 0].tolist() == [127, 185]


def test_radar_is_cut_off_at_each_images_own_percentiles() -> None:
    made = torch.Generator().manual_seed(0)
    image = torch.randn(2, 16, 24, generator=made) * 3 - 14
    image[0, 0, 0], image[1, 3, 3] = 30.0, -90.0
    found = scaled(s1=image)[12:]
    low, high = np.quantile(image.flatten(1).numpy(), [0.01, 0.99], axis=1)
    cut = np.clip(image.numpy(), low[:, None, None], high[:, None, None])
    mean, std = np.array([-19.22, -12.59]), np.array([5.42, 5.04])
    bottom, top = (v[:, None, None] for v in (mean - 2 * std, mean + 2 * std))
    expected = np.clip((cut - bottom) / (top - bottom) * 255, 0, 255).astype(np.uint8)
    assert np.abs(found.numpy() - expected).max() <= 1  # rounded down of float32 and float64
    assert (found.numpy() != expected).mean() < 0.01


def test_sensors_of_different_sizes_are_refused() -> None:
    model = load_model("dino_mm", "random", "tiny")
    with pytest.raises(CannotRun, match="on one grid, but got sizes"):
        model(batch(s2=torch.zeros(12, 16, 16), s1=torch.zeros(2, 32, 32)))


@pytest.mark.parametrize("prefix", ["backbone.", "module.backbone.", "", "module."])
def test_every_published_layout_is_read(prefix: str) -> None:
    own = load_model("dino_mm", "random", "tiny", seed=1).state_dict()
    state = {prefix + key.removeprefix("net."): tensor for key, tensor in own.items()}
    head = prefix.replace("backbone.", "") + "head.mlp.0.weight"
    content = {"teacher": {**state, head: torch.zeros(3)}, "student": {"a": torch.zeros(1)}}
    model = load_model("dino_mm", content, "tiny")
    assert all(torch.equal(model.state_dict()[key], tensor) for key, tensor in own.items())


@pytest.fixture
def unrecognised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the search for the model that weights fit, which takes seconds."""
    monkeypatch.setattr("skybench.weights.identify.model_hint", lambda state: "")


@pytest.mark.usefixtures("unrecognised")
def test_a_vit_for_thirteen_bands_is_refused() -> None:
    own = load_model("dino_mm", "random", "tiny").state_dict()
    state = {key.removeprefix("net."): tensor for key, tensor in own.items()}
    state["patch_embed.proj.weight"] = state["patch_embed.proj.weight"][:, :13]
    with pytest.raises(WeightsError, match="do not fit dino_mm"):
        load_model("dino_mm", state, "tiny")


def test_positions_are_read_for_a_size_that_is_a_tenth_larger() -> None:
    model: Any = load_model("dino_mm", "random", "tiny")  # a grid of 4 x 4
    stored = model.net.pos_embed
    table = stored[:, 1:].unflatten(1, (4, 4)).permute(0, 3, 1, 2)
    resized = F.interpolate(table, scale_factor=(2.1 / 4, 7.1 / 4), mode="bicubic")
    expected = resized.permute(0, 2, 3, 1).flatten(1, 2)
    assert torch.equal(model.positions(2, 7)[:, 1:], expected)
    assert torch.equal(model.positions(2, 7)[:, 0], stored[:, 0])
    every = [model.positions(n, n).shape[1] for n in range(1, 30)]  # the authors assert the size
    assert every == [1 + n * n for n in range(1, 30)]
