"""CROMA beyond the contract: published layouts, sets of sensors, biases, normalisation."""

from __future__ import annotations

import importlib
import json
import math
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from skybench.baselines._networks.croma import alibi_bias
from skybench.core import Batch, CannotRun, UsageError, WeightsError, registry
from skybench.weights.load import load_model

adapter = importlib.import_module("skybench.baselines._adapters.croma")
PLUGIN: Any = registry.model("croma")
GOLDENS = Path(__file__).parents[1] / "goldens"


def published() -> dict[str, Tensor]:
    """A tiny network's weights, of another seed, as `part.key`."""
    state = load_model("croma", "random", "tiny", seed=7).state_dict()
    return {k.removeprefix("net.").replace("_pool.", "_GAP_FFN."): t for k, t in state.items()}


def nested(state: dict[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The layout of the published file."""
    parts: dict[str, dict[str, Tensor]] = defaultdict(dict)
    for key, tensor in state.items():
        part, _, rest = key.partition(".")
        parts[part][rest] = tensor
    return dict(parts)


def batch(**images: Tensor) -> Batch:
    """One date of images [B, C, H, W]."""
    count = len(next(iter(images.values())))
    dated = {n: x[:, None] for n, x in images.items()}
    seen = {n: torch.ones(count, 1, dtype=torch.bool) for n in images}
    days = {n: torch.full((count, 1), -1) for n in images}
    return Batch(("a",) * count, dated, seen, days, torch.zeros(count, 2))


@pytest.mark.parametrize("layout", ["nested", "flat", "parallel", "torchgeo"])
def test_every_layout_loads(layout: str) -> None:
    state = published()
    files: dict[str, Any] = {
        "nested": nested(state),
        "flat": state,
        "parallel": {f"module.{key}": tensor for key, tensor in state.items()},
        "torchgeo": {**state, "attn_bias": torch.zeros(1, 16, 225, 225)},
    }
    model = load_model("croma", files[layout], "tiny")
    coverage = model.loaded.coverage
    assert coverage is not None
    assert (coverage.share, coverage.missing, coverage.unexpected) == (1, (), ())
    own = model.state_dict()
    assert all(
        torch.equal(own[f"net.{key.replace('_GAP_FFN.', '_pool.')}"], tensor)
        for key, tensor in state.items()
    )


def test_the_published_file_is_read(tmp_path: Path) -> None:
    torch.save(nested(published()), tmp_path / "CROMA_base.pt")
    model = load_model("croma", tmp_path / "CROMA_base.pt", "tiny")
    assert model.loaded.coverage is not None
    assert model.loaded.coverage.share == 1


def test_a_file_without_one_encoder_is_refused() -> None:
    state = {k: t for k, t in published().items() if not k.startswith("joint_encoder.")}
    with pytest.raises(WeightsError, match="do not fit croma"):
        load_model("croma", state, "tiny")


def test_a_wider_network_is_refused() -> None:
    with pytest.raises(WeightsError, match="do not fit croma"):
        load_model("croma", published(), "tiny", dim=128)
    with pytest.raises(UsageError, match="multiple of 16 heads, but got 100"):
        load_model("croma", "random", "tiny", dim=100)


@pytest.mark.parametrize(
    ("golden", "variant"),
    [("croma_base", "base"), ("croma_large", "large"), ("croma_tiny", ""), ("gfm_tiny", "")],
)
def test_a_file_tells_its_network(golden: str, variant: str) -> None:
    entries = json.loads((GOLDENS / f"{golden}.keys.json").read_text())["keys"]
    state = {key: torch.empty(entry["shape"], device="meta") for key, entry in entries.items()}
    assert PLUGIN.variant_of(state) == variant


def test_it_computes_what_torchgeos_does() -> None:
    theirs = importlib.import_module("torchgeo.models.croma").CROMA(
        encoder_dim=64, encoder_depth=2, image_size=40
    )
    model: Any = load_model("croma", theirs.eval().state_dict(), "tiny")
    made = torch.Generator().manual_seed(0)
    s2, s1 = (torch.rand(2, bands, 40, 40, generator=made) for bands in (12, 2))
    with torch.inference_mode():
        expected = theirs(x_sar=s1, x_optical=s2)
        found = {
            "optical": model.extract({"s2": s2}),
            "sar": model.extract({"s1": s1}),
            "joint": model.extract({"s2": s2, "s1": s1}),
        }
    for name, features in found.items():
        tokens = features.pyramid[0].flatten(2).mT
        for ours, kind in ((features.pooled, "GAP"), (tokens, "encodings")):
            torch.testing.assert_close(ours, expected[f"{name}_{kind}"], atol=1e-5, rtol=1e-5)


def test_the_bias_is_the_distance_times_a_slope_that_falls() -> None:
    bias = alibi_bias(2, 3, torch.zeros(1))[0]
    assert bias.shape == (16, 6, 6)
    assert bias[0, 0, 5] == pytest.approx(-math.sqrt(0.5) * math.sqrt(5))  # a row and two columns
    assert bias[1, 0, 1] == pytest.approx(-0.5)
    assert bias[15, 4, 1] == pytest.approx(-(2**-8))
    assert not bias.diagonal(dim1=1, dim2=2).any()


def test_an_oblong_image_is_a_map_of_its_shape() -> None:
    model: Any = load_model("croma", "random", "tiny")
    with torch.inference_mode():
        wide = torch.rand(1, 12, 16, 40)
        features = model.extract({"s2": wide})
        turned = model.extract({"s2": wide.transpose(2, 3).contiguous()})
    assert features.pyramid[0].shape == (1, 64, 2, 5)
    assert turned.pyramid[0].shape == (1, 64, 5, 2)


def test_sensors_on_different_grids_are_refused() -> None:
    model: Any = load_model("croma", "random", "tiny")
    images = {"s2": torch.zeros(1, 12, 16, 16), "s1": torch.zeros(1, 2, 24, 24)}
    with pytest.raises(CannotRun, match=r"one grid, but got sizes \[\(16, 16\), \(24, 24\)\]"):
        model(batch(**images))


def test_images_are_cut_off_at_two_deviations_and_rounded_down() -> None:
    s2, s1 = torch.zeros(1, 12, 1, 5), torch.zeros(1, 2, 1, 5)
    steps = torch.tensor([-3.0, -1.0, 0.0, 1.0, 2.5])
    bands = PLUGIN.CARD.inputs[0].bands
    s2[0, bands.index("nir09"), 0] = 2645.51888987 + 1582.28010962 * steps
    s1[0, 1, 0] = -20.19237134 + 5.91150917 * steps  # VH
    expected = torch.tensor([0.0, 63.0, 127.0, 191.0, 255.0])
    nir09 = adapter.normalise("s2", s2)[0, bands.index("nir09"), 0]
    torch.testing.assert_close(255 * nir09, expected)
    torch.testing.assert_close(255 * adapter.normalise("s1", s1)[0, 1, 0], expected)
    assert len(bands) == 12
    assert "cirrus" not in bands
