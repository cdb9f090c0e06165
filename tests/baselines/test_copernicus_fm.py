"""Copernicus-FM beyond the contract: published layouts, place and time, bands, positions."""

from __future__ import annotations

import functools
import importlib
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from skybench.core import Batch, WeightsError, registry
from skybench.weights.load import load_model

PLUGIN: Any = registry.model("copernicus_fm")
adapter = importlib.import_module("skybench.baselines._adapters.copernicus_fm")


def published() -> dict[str, Tensor]:
    """A tiny network's weights, of another seed, without the norm that files lack."""
    state = load_model("copernicus_fm", "random", "tiny", seed=7).state_dict()
    bare = {key.removeprefix("net."): tensor for key, tensor in state.items()}
    return {key: tensor for key, tensor in bare.items() if not key.startswith("norm.")}


def batch(name: str, day: int, lonlat: tuple[float, float]) -> Batch:
    """One image for an input of the network for Sentinel-2."""
    bands = next(s.bands for s in PLUGIN.CARD.inputs if s.name == name)
    image = torch.full((1, 1, len(bands), 32, 32), 1500.0)
    seen, days = torch.ones(1, 1, dtype=torch.bool), torch.tensor([[day]])
    return Batch(("a",), {name: image}, {name: seen}, {name: days}, torch.tensor([lonlat]))


@pytest.mark.parametrize("layout", ["authors", "torchgeo", "pre-training"])
def test_every_layout_loads(layout: str) -> None:
    state = published()
    beside = ("norm.weight", "mask_token", "decoder_norm.bias", "coord_token_dec", "teacher.norm")
    others = {key: torch.full((32,), 9.0) for key in beside}
    files: dict[str, Any] = {
        "authors": state | others,
        "torchgeo": state,
        "pre-training": {"model": {f"module.{k}": t for k, t in (state | others).items()}},
    }
    model = load_model("copernicus_fm", files[layout], "tiny")
    coverage = model.loaded.coverage
    assert coverage is not None
    assert (coverage.share, coverage.unexpected) == (1, ())
    own = model.state_dict()
    assert all(torch.equal(own[f"net.{key}"], tensor) for key, tensor in state.items())
    assert bool((own["net.norm.weight"] == 1).all()), "pre-training's norm is another"


def test_a_file_without_the_embedding_of_variables_is_refused() -> None:
    state = {k: t for k, t in published().items() if "variable" not in k}
    with pytest.raises(WeightsError, match="do not fit copernicus_fm"):
        load_model("copernicus_fm", state, "tiny")


@pytest.mark.parametrize("known", [True, False])
def test_it_computes_what_torchgeos_does(known: bool) -> None:
    theirs = importlib.import_module("torchgeo.models.copernicusfm").CopernicusFM(
        img_size=32, embed_dim=32, depth=2, num_heads=2,
        norm_layer=functools.partial(nn.LayerNorm, eps=1e-6),
    )  # fmt: skip
    state = {key: torch.randn_like(tensor) / 9 for key, tensor in theirs.state_dict().items()}
    theirs.load_state_dict(state)
    ours: Any = load_model("copernicus_fm", state, "tiny")
    images = torch.randn(2, 3, 48, 48)
    bands = ([490.0, 665.0, 2190.0], [65.0, 30.0, 180.0])
    about = torch.tensor([[-70.5, -33.4, 19000.0, 0.0256], [11.6, 48.1, 5.0, 3.0]])
    about = about if known else torch.full_like(about, torch.nan)
    with torch.inference_mode():
        expected = theirs.eval()(images, about, *bands)
        found = ours.extract(images, bands, about).pooled
    torch.testing.assert_close(found, expected, atol=2e-5, rtol=2e-5)


def test_what_is_not_known_of_one_sample_is_known_of_another() -> None:
    model: Any = load_model("copernicus_fm", "random", "tiny")
    net, nan = model.net, torch.nan
    about = torch.tensor([[12.0, 48.0, 18000.0, 0.0256], [12.0, nan, 18000.0, nan]])
    with torch.inference_mode():
        both = model.context(torch.zeros(2, 32, 2, 2), about)
        alone = [model.context(torch.zeros(1, 32, 2, 2), row[None]) for row in about]
        day = net.time_fc(adapter.fourier_codes(about[1:, 2], 1, 365.25, 32))
        learned = net.coord_fc(net.coord_token) + net.scale_fc(net.scale_token)
    torch.testing.assert_close(both, torch.cat(alone))
    torch.testing.assert_close(both[1:], learned + day)
    assert not torch.allclose(both[0], both[1])


def test_place_and_day_are_read() -> None:
    model: Any = load_model("copernicus_fm", "random", "tiny")
    there, nowhere = (12.0, 48.0), (torch.nan, torch.nan)
    given = [
        batch("s2_rgb", 18000, there),
        batch("s2_rgb", -1, there),
        batch("s2_rgb", -1, nowhere),
    ]
    with torch.inference_mode():
        first, second, third = (model(b).pooled for b in given)
        images = (1500 - torch.tensor([1373.1, 1322.3, 1397.6])) / torch.tensor(
            [1144.9, 878.7, 854.3]
        )
        bands = ((665, 560, 490), (30, 35, 65))
        about = torch.tensor([[12.0, 48.0, 18000.0, 0.0256]], dtype=torch.float64)
        expected = model.extract(images.view(1, 3, 1, 1).expand(1, 3, 32, 32), bands, about).pooled
    torch.testing.assert_close(first, expected)
    assert not torch.allclose(first, second)
    assert not torch.allclose(second, third)


def test_bands_that_lack_are_left_out() -> None:
    bands = adapter.BANDS["s2_l2a"]
    assert bands.centres == (440, 490, 560, 665, 705, 740, 783, 842, 860, 940, 1610, 2190)
    assert adapter.BANDS["s2_20m"].widths == (65, 35, 30, 15, 15, 20, 115, 20, 90, 180)
    assert adapter.BANDS["hr"].centres == (665, 560, 490)
    assert adapter.NORMALISE["s2_20m"].mean[-1] == 1537.4


def test_positions_at_another_size_are_smoothed() -> None:
    model: Any = load_model("copernicus_fm", "random", "tiny", image=64)
    stored = model.net.pos_embed
    square = stored[:, 1:].mT.reshape(1, 32, 4, 4)
    expected = F.interpolate(square, (2, 3), mode="bicubic", antialias=True).flatten(2).mT
    assert torch.equal(model.positions(2, 3), torch.cat((stored[:, :1], expected), 1))
