"""TerraMind beyond the contract: published layouts, patches, positions, sensors, normalisation."""

from __future__ import annotations

import importlib
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from skybench.core import Batch, CannotRun, UsageError, WeightsError, registry
from skybench.weights.load import load_model

adapter = importlib.import_module("skybench.baselines._adapters.terramind")
PLUGIN: Any = registry.model("terramind")
GOLDENS = Path(__file__).parents[1] / "goldens"
THEIRS = {
    "net.embeddings.s2.": "encoder_embeddings.untok_sen2l2a@224.",
    "net.embeddings.s1.": "encoder_embeddings.untok_sen1grd@224.",
    "net.blocks.": "encoder.",
    "net.norm.": "encoder_norm.",
    ".fc1_g.": ".fc1.",
    ".fc1_x.": ".fc3.",
}


def published(variant: str = "tiny") -> dict[str, Tensor]:
    """A reduced network's weights, of another seed, as the published file has them."""
    found = {}
    for key, tensor in load_model("terramind", "random", variant, seed=7).state_dict().items():
        if ".embeddings." in key and key.endswith("proj.weight"):
            tensor = tensor.permute(0, 2, 3, 1).flatten(1)
        for ours, theirs in THEIRS.items():
            key = key.replace(ours, theirs)
        found[key] = tensor
    return found


def batch(**images: Tensor) -> Batch:
    """One date of images [B, C, H, W]."""
    count = len(next(iter(images.values())))
    dated = {n: x[:, None] for n, x in images.items()}
    seen = {n: torch.ones(count, 1, dtype=torch.bool) for n in images}
    days = {n: torch.full((count, 1), -1) for n in images}
    return Batch(("a",) * count, dated, seen, days, torch.zeros(count, 2))


@pytest.mark.parametrize("prefix", ["", "module."])
@pytest.mark.parametrize("variant", ["tiny", "tiny_biased"])
def test_the_published_file_loads(variant: str, prefix: str) -> None:
    state = published(variant)
    others = {
        "encoder_embeddings.untok_dem@224.mod_emb": torch.zeros(1, 1, 32),
        "decoder.0.mlp.fc1.weight": torch.zeros(3, 3),
        "mask_token": torch.zeros(1, 1, 32),
    }
    model = load_model(
        "terramind", {f"{prefix}{k}": t for k, t in (state | others).items()}, variant
    )
    coverage = model.loaded.coverage
    assert coverage is not None
    assert (coverage.share, coverage.missing, coverage.unexpected) == (1, (), ())
    own, first = model.state_dict(), "net.blocks.0.mlp.fc1.weight"
    if variant == "tiny":
        first = "net.blocks.0.mlp.fc1_g.weight"
        assert torch.equal(own["net.blocks.0.mlp.fc1_x.weight"], state["encoder.0.mlp.fc3.weight"])
    assert torch.equal(own[first], state["encoder.0.mlp.fc1.weight"])
    positions = "encoder_embeddings.untok_sen1grd@224.pos_emb"
    assert torch.equal(own["net.embeddings.s1.pos_emb"], state[positions])


def test_another_network_is_refused() -> None:
    with pytest.raises(WeightsError, match="do not fit terramind"):
        load_model("terramind", published(), "tiny_biased")
    with pytest.raises(UsageError, match="multiple of 4 and of 3 heads, but got 32"):
        load_model("terramind", "random", "tiny", heads=3)


@pytest.mark.parametrize(
    ("golden", "variant"),
    [("terramind_v1_tiny", "v1_tiny"), ("terramind_tiny", ""), ("dofa_base", "")],
)
def test_a_file_tells_its_network(golden: str, variant: str) -> None:
    entries = json.loads((GOLDENS / f"{golden}.keys.json").read_text())["keys"]
    state = {key: torch.empty(entry["shape"], device="meta") for key, entry in entries.items()}
    assert PLUGIN.variant_of(state) == variant


def test_a_patch_is_read_by_row_column_and_band() -> None:
    state = published()
    model: Any = load_model("terramind", state, "tiny")
    images = torch.rand(1, 12, 32, 48, generator=torch.Generator().manual_seed(0))
    weight = state["encoder_embeddings.untok_sen2l2a@224.proj.weight"]
    patch = images[0, :, 16:, 32:].permute(1, 2, 0).flatten()
    with torch.inference_mode():
        found = model.net.embeddings["s2"].proj(images)[0, :, 1, 2]
    torch.testing.assert_close(found, weight @ patch)


def test_positions_are_sines_of_row_then_column() -> None:
    model: Any = load_model("terramind", "random", "tiny", image=64)
    table = model.net.embeddings["s2"].pos_emb
    assert table.shape == (1, 16, 32)
    place = table[0, 4 * 3 + 2]  # row 3, column 2
    assert place[0] == pytest.approx(math.sin(3))
    assert place[9] == pytest.approx(math.cos(3 / 10000 ** (1 / 8)))
    assert place[16] == pytest.approx(math.sin(2))


def test_positions_of_another_size_are_interpolated() -> None:
    model: Any = load_model("terramind", "random", "tiny")
    embed = model.net.embeddings["s1"]
    with torch.inference_mode():
        stored = embed(torch.zeros(1, 2, 32, 32)) - embed.mod_emb
        wide = (embed(torch.zeros(1, 2, 32, 64)) - embed.mod_emb).view(2, 4, 32)
    torch.testing.assert_close(stored, embed.pos_emb)
    # Bicubic with a = -0.75, borders repeated: a quarter before the middle of two columns.
    left, right = embed.pos_emb.view(2, 2, 32).unbind(1)
    near, far = 0.87890625 - 0.10546875, 0.26171875 - 0.03515625
    torch.testing.assert_close(wide[:, 1], near * left + far * right)


def test_both_sensors_are_averaged_place_by_place() -> None:
    model: Any = load_model("terramind", "random", "tiny")
    made = torch.Generator().manual_seed(0)
    images = {n: torch.rand(2, c, 32, 48, generator=made) for n, c in (("s2", 12), ("s1", 2))}
    with torch.inference_mode():
        features = model.extract(images)
        turned = model.extract(dict(reversed(images.items())))
        alone = model.extract({"s2": images["s2"]})
    assert features.pyramid[0].shape == (2, 32, 2, 3)
    torch.testing.assert_close(features.pyramid[0].mean((2, 3)), features.pooled)
    torch.testing.assert_close(turned.pooled, features.pooled)
    assert not torch.allclose(alone.pooled, features.pooled)


def test_sensors_on_different_grids_are_refused() -> None:
    model: Any = load_model("terramind", "random", "tiny")
    with pytest.raises(CannotRun, match=r"one grid, but got sizes \[\(32, 32\), \(48, 48\)\]"):
        model(batch(s2=torch.zeros(1, 12, 32, 32), s1=torch.zeros(1, 2, 48, 48)))


def test_bands_are_standardised() -> None:
    bands = PLUGIN.CARD.inputs[0].bands
    s2, s1 = torch.zeros(1, 12, 1, 1), torch.zeros(1, 2, 1, 1)
    s2[0, bands.index("nir09")] = 3162.988 + 2 * 1797.379
    s1[0, 1] = -20.293 - 5.890  # VH
    normal = {"s2": adapter.NORMALISE["s2"](s2), "s1": adapter.NORMALISE["s1"](s1)}
    assert normal["s2"][0, bands.index("nir09")].item() == pytest.approx(2)
    assert normal["s1"][0, 1].item() == pytest.approx(-1)
    assert "cirrus" not in bands
