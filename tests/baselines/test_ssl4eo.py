"""What SSL4EO-S12's adapters do beyond the contract: files, variants, scales, positions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from skybench.core import DB, REFLECTANCE, UINT8, Batch, Sensor, WeightsError, registry, variants
from skybench.weights.load import load_model

PLUGIN: Any = registry.model("ssl4eo")
GOLDENS = Path(__file__).parents[1] / "goldens"


def meta(name: str) -> dict[str, Tensor]:
    """The published keys of a golden, without values."""
    keys = json.loads((GOLDENS / f"{name}.keys.json").read_text())["keys"]
    return {k: torch.empty(entry["shape"], device="meta") for k, entry in keys.items()}


def scaled(variant: str, **image: Tensor) -> Tensor:
    """Input of a variant's network for an image, [C, H, W] in the input's unit."""
    ((name, x),) = image.items()
    model: Any = load_model("ssl4eo", "random", variant)
    model.extract = lambda images: images
    given = {name: x[None, None]}
    seen = {name: torch.ones(1, 1, dtype=torch.bool)}
    batch = Batch(("0",), given, seen, {name: torch.full((1, 1), -1)}, torch.zeros(1, 2))
    found: Tensor = model(batch)[0]
    return found


def bare(variant: str) -> dict[str, Tensor]:
    """An encoder's file as torchgeo has it, with values that no fresh network has."""
    own = load_model("ssl4eo", "random", variant, seed=1).state_dict()
    return {key.removeprefix("net."): tensor for key, tensor in own.items()}


@pytest.mark.parametrize(
    ("variant", "container", "prefix", "further"),
    [
        ("tiny", "", "", "fc.weight"),
        ("tiny", "", "module.", "module.fc.weight"),
        ("tiny", "state_dict", "module.encoder_q.", "module.encoder_k.conv1.weight"),
        ("tiny", "teacher", "module.backbone.", "module.head.mlp.0.weight"),
        ("tiny", "teacher", "backbone.", "head.mlp.0.weight"),
        ("tiny_vit", "", "", "head.weight"),
        ("tiny_vit", "model", "", "decoder_blocks.0.norm1.weight"),
        ("tiny_vit", "state_dict", "module.base_encoder.", "module.base_encoder.head.0.weight"),
        ("tiny_vit", "state_dict", "module.base_encoder.", "module.momentum_encoder.norm.weight"),
        ("tiny_dino_vit", "teacher", "backbone.", "head.last_layer.weight_v"),
    ],
)
def test_every_published_layout_is_read(
    variant: str, container: str, prefix: str, further: str
) -> None:
    state = {prefix + key: tensor for key, tensor in bare(variant).items()}
    state[further] = torch.zeros(3)
    model = load_model("ssl4eo", {container: state} if container else state, variant)
    coverage = model.loaded.coverage
    assert coverage is not None
    assert (coverage.share, coverage.missing, coverage.unexpected) == (1, (), ())
    for key, tensor in bare(variant).items():
        assert torch.equal(model.state_dict()[f"net.{key}"], tensor)


def test_a_folder_with_the_published_file_is_enough(tmp_path: Path) -> None:
    torch.save(bare("tiny_s1"), tmp_path / "resnet50_sentinel1_all_moco-906e4356.pth")
    model = load_model("ssl4eo", tmp_path, "tiny_s1")
    assert model.loaded.source == "file"
    assert "is not the published file's, 906e4356" in model.loaded.note


@pytest.mark.parametrize(
    ("golden", "variant"),
    [
        ("ssl4eo_moco_resnet50_s2", "moco_resnet50_s2"),
        ("ssl4eo_moco_resnet50_s1", "moco_resnet50_s1"),
        ("ssl4eo_moco_resnet50_rgb", "moco_resnet50_rgb"),
        ("ssl4eo_dino_resnet50_s2", "dino_resnet50_s2"),
        ("ssl4eo_dino_vit_small", "dino_vit_small_s2"),
        ("ssl4eo_moco3_vit_small", "moco_vit_small_s2"),
        ("ssl4eo_mae_vit_small_s1", "mae_vit_small_s1"),
        ("ssl4eo_mae_vit_small_s2", ""),  # of an encoder alone: three methods look alike
        ("ssl4eo_mae_vit_tiny", ""),
        ("satvit_v1", ""),
    ],
)
def test_a_file_tells_its_variant_where_only_one_looks_so(golden: str, variant: str) -> None:
    assert PLUGIN.variant_of(meta(golden)) == variant


def test_an_encoder_alone_tells_less_than_a_full_checkpoint() -> None:
    def without_prefix(golden: str) -> dict[str, Tensor]:
        return {k.removeprefix("module.encoder_q."): t for k, t in meta(golden).items()}

    assert PLUGIN.variant_of(without_prefix("ssl4eo_moco_resnet50_s2")) == ""
    assert PLUGIN.variant_of(without_prefix("ssl4eo_moco_resnet50_rgb")) == "moco_resnet50_rgb"
    mae = meta("ssl4eo_mae_vit_small_s2")
    mae["decoder_embed.weight"] = mae["norm.weight"]
    assert PLUGIN.variant_of(mae) == "mae_vit_small_s2"


@pytest.fixture
def unrecognised(monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip the search for the model that weights fit, which takes seconds."""
    monkeypatch.setattr("skybench.weights.identify.model_hint", lambda state: "")


@pytest.mark.parametrize("other", ["tiny_s1", "tiny_rgb", "tiny_vit"])
@pytest.mark.usefixtures("unrecognised")
def test_the_file_of_another_kind_is_refused(other: str) -> None:
    with pytest.raises(WeightsError, match="do not fit ssl4eo"):
        load_model("ssl4eo", bare(other), "tiny")


def test_reflectance_becomes_bytes_that_are_rounded_down_and_cut_off() -> None:
    image = torch.zeros(13, 32, 32)
    image[:, 0, :4] = torch.tensor([5000.0, 39.0, 12_000.0, -50.0])
    found = scaled("tiny", s2=image)
    expected = torch.tensor([127.0, 0.0, 255.0, 0.0]) / 255  # of 127.5, 0.99, 306, -1.3
    assert torch.equal(found[:, 0, :4], expected.expand(13, 4))
    assert torch.equal(scaled("tiny_rgb", s2_rgb=image[:3]), found[:3])
    assert torch.equal(scaled("tiny_dino_vit", s2=image), found)


def test_level_2a_gets_zeros_for_the_cirrus_band() -> None:
    bands = (torch.arange(1, 13) * 400.0)[:, None, None].expand(12, 32, 32)
    found = scaled("tiny", s2_l2a=bands)[:, 0, 0] * 255
    expected = [10, 20, 30, 40, 51, 61, 71, 81, 91, 102, 0, 112, 122]  # 10.2 each, rounded down
    assert found.round().int().tolist() == expected
    l1c, l2a = PLUGIN.CARD.inputs
    assert l1c.bands.index("cirrus") == 10
    assert l2a.bands == tuple(b for b in l1c.bands if b != "cirrus")


def test_radar_is_stretched_over_two_deviations() -> None:
    image = torch.zeros(2, 32, 32)
    image[:, 0, :3] = torch.tensor([[-12.0, -24.0, -1.0], [-20.0, -33.0, -7.0]])  # VV, VH
    found = (scaled("tiny_s1", s1=image)[:, 0, :3] * 255).round().int()
    # VV: (-12 + 12.54847 + 10.51395) / 21.02791 * 255 = 134.15; VH likewise of 23.64600: 129.57.
    assert found.tolist() == [[134, 0, 255], [129, 0, 255]]


def test_the_variant_suits_the_sensors() -> None:
    l1c, l2a = PLUGIN.CARD.inputs
    radar = Sensor("s1", ("vv", "vh"), 10.0, DB)
    aerial = Sensor("hr", ("red", "green", "blue"), 0.5, UINT8)
    few = Sensor("s2", ("blue", "green", "red", "nir"), 10.0, REFLECTANCE)
    bigearthnet = Sensor("s2", l2a.bands, 10.0, REFLECTANCE)

    def chosen(*given: Sensor) -> str:
        return variants.select_variant(PLUGIN, "full", given)[0]

    assert chosen(l1c) == chosen(l1c, radar) == chosen(bigearthnet) == "moco_resnet50_s2"
    assert chosen(bigearthnet, radar) == "moco_resnet50_s2"
    assert chosen(radar) == "moco_resnet50_s1"
    assert chosen(aerial) == chosen(few) == "moco_resnet50_rgb"


def test_positions_at_another_size() -> None:
    dino: Any = load_model("ssl4eo", "random", "tiny_dino_vit")  # a grid of 4 x 4
    mae: Any = load_model("ssl4eo", "random", "tiny_vit")
    for model, options in (
        (dino, {"scale_factor": (6.1 / 4, 3.1 / 4)}),
        (mae, {"size": (6, 3), "align_corners": False}),
    ):
        stored = model.net.pos_embed
        assert torch.equal(model.positions(4, 4), stored)
        table = stored[:, 1:].unflatten(1, (4, 4)).permute(0, 3, 1, 2)
        resized = F.interpolate(table, mode="bicubic", **options).permute(0, 2, 3, 1).flatten(1, 2)
        assert torch.equal(model.positions(6, 3), torch.cat((stored[:, :1], resized), 1))
