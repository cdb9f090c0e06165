"""Clay beyond the contract: published layouts, positions, normalisation, what it is told."""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from skybench.baselines._networks.clay import grid_codes, wave_codes
from skybench.core import Batch, UsageError, WeightsError, registry
from skybench.weights.load import load_model

adapter = importlib.import_module("skybench.baselines._adapters.clay")
PLUGIN: Any = registry.model("clay")
GOLDENS = Path(__file__).parents[1] / "goldens"


def encoder() -> dict[str, Tensor]:
    """A tiny network's weights, of another seed, under the published encoder's names."""
    found = {}
    for key, tensor in load_model("clay", "random", "tiny", seed=7).state_dict().items():
        theirs = key.removeprefix("net.").replace("transformer_encoder.", "encoder.")
        part, _, rest = theirs.partition(".")
        if part == "layers" and rest.split(".")[1] == "1":
            number, _, place, name = rest.split(".")
            theirs = f"layers.{number}.1.net.{place}.{name}"
        if part in ("layers", "norm"):
            theirs = f"transformer.{theirs}"
        found[theirs] = tensor
    return found


@pytest.mark.parametrize("layout", ["file", "encoder", "parallel"])
def test_every_layout_loads(layout: str) -> None:
    state = encoder()
    whole = {f"model.encoder.{key}": tensor for key, tensor in state.items()}
    whole |= {f"model.teacher.{key}": torch.zeros(3) for key in state}
    whole |= {"model.decoder.transformer.norm.weight": torch.zeros(512)}
    files: dict[str, Any] = {
        "file": {"state_dict": whole},
        "encoder": state,
        "parallel": {f"module.{key}": tensor for key, tensor in state.items()},
    }
    model = load_model("clay", files[layout], "tiny")
    coverage = model.loaded.coverage
    assert coverage is not None
    assert (coverage.share, coverage.missing, coverage.unexpected) == (1, (), ())
    own = model.state_dict()
    assert torch.equal(own["net.norm.weight"], state["transformer.norm.weight"])
    assert torch.equal(own["net.layers.1.1.3.bias"], state["transformer.layers.1.1.net.3.bias"])
    kept = "patch_embedding.weight_generator.{}encoder.layers.0.linear1.weight"
    assert torch.equal(own[f"net.{kept.format('transformer_')}"], state[kept.format("")])


def test_another_network_is_refused() -> None:
    with pytest.raises(WeightsError, match="do not fit clay"):
        load_model("clay", encoder(), "tiny", dim=64)
    with pytest.raises(UsageError, match="multiple of 4 and of 3 heads, but got 32"):
        load_model("clay", "random", "tiny", heads=3)


@pytest.mark.parametrize(
    ("golden", "variant"),
    [("clay_v15_large", "v15_s2"), ("clay_tiny", ""), ("dofa_base", ""), ("prithvi_v1_100", "")],
)
def test_a_file_tells_its_network(golden: str, variant: str) -> None:
    entries = json.loads((GOLDENS / f"{golden}.keys.json").read_text())["keys"]
    state = {key: torch.empty(entry["shape"], device="meta") for key, entry in entries.items()}
    assert PLUGIN.variant_of(state) == variant


def test_wavelengths_are_told_by_sines() -> None:
    codes = wave_codes(torch.tensor([0.5, 2.0]))
    assert codes.shape == (2, 128)
    assert codes[1, 0] == pytest.approx(math.sin(2))
    assert codes[1, 63] == pytest.approx(math.sin(2 / 10000))
    assert codes[0, 64] == pytest.approx(math.cos(0.5))


def test_positions_are_those_of_column_and_row_in_metres() -> None:
    codes = grid_codes(2, 3, 24, 10.0, torch.zeros(1))
    assert codes.shape == (6, 24)
    last = codes[5]  # row 1, column 2
    assert last[0] == pytest.approx(math.sin(20), abs=1e-5)
    assert last[5] == pytest.approx(math.sin(20 / 10000 ** (2 / 24)), abs=1e-5)
    assert last[6] == pytest.approx(math.cos(20), abs=1e-5)
    assert last[12] == pytest.approx(math.sin(10), abs=1e-5)
    assert torch.equal(codes[2, :12], last[:12])


def test_what_is_known_of_time_and_place_is_in_the_last_channels() -> None:
    model: Any = load_model("clay", "random", "tiny")
    seen: list[Tensor] = []
    norm = model.net.get_submodule("layers.0.0.norm")
    norm.register_forward_hook(lambda _, given, __: seen.append(given[0]))
    images, about = torch.rand(2, 10, 16, 24), torch.arange(16.0).view(2, 8)
    with torch.inference_mode():
        assert model.extract(images).pyramid[0].shape == (2, 32, 2, 3)
        model.extract(images, about)
    added = seen[1] - seen[0]
    assert not added[:, 0].any()  # the class token has none
    assert not added[:, 1:, :-8].any()
    torch.testing.assert_close(added[:, 1:, -8:], about[:, None].expand(-1, 6, -1))


def batch(name: str, images: Tensor) -> Batch:
    """One date of an image [C, H, W] of a sensor, with a day and a place."""
    seen, days = torch.ones(1, 1, dtype=torch.bool), torch.full((1, 1), 18000)
    return Batch(("a",), {name: images[None, None]}, {name: seen}, {name: days}, torch.ones(1, 2))


@pytest.mark.parametrize(
    ("variant", "name", "band", "mean", "std"),
    [
        ("tiny", "s2", "rededge078", 2630.0, 1697.0),
        ("tiny", "s2", "swir22", 1835.0, 1379.0),
        ("tiny_s1", "s1", "vh", -18.673, 8.017),
        ("tiny_rgb", "hr", "blue", 98.15, 35.43),
    ],
)
def test_bands_are_standardised(
    variant: str, name: str, band: str, mean: float, std: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    model: Any = load_model("clay", "random", variant)
    channel = model.card.inputs[0].bands.index(band)
    images = torch.zeros(len(model.card.inputs[0].bands), 8, 8)
    images[channel] = mean + 2 * std
    given: list[Tensor] = []
    monkeypatch.setattr(model, "extract", given.append)
    model(batch(name, images))
    torch.testing.assert_close(given[0][0, channel], torch.full((8, 8), 2.0))
    assert len(adapter.PLATFORMS[name].waves) == given[0].shape[1]
