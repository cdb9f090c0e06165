"""RVSA: its windows against direct computations, its published files, what they are refused for."""

from __future__ import annotations

import dataclasses
import importlib
import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from skybench.baselines._networks.rvsa import RVSA, RVSAArch
from skybench.baselines._networks.rvsa_attention import WindowAttention, relative_scores
from skybench.core import Batch, CannotRun, WeightsError, registry
from skybench.weights.load import load_model

GOLDENS = Path(__file__).parents[1] / "goldens"
adapter = importlib.import_module("skybench.baselines._adapters.rvsa")
PLUGIN: Any = registry.model("rvsa")
PLAIN = RVSAArch(32, 3, 4, interval=1, relative=False, class_token=True, taken=())
WINDOWED = "tiny_vit_b_rvsa"
DENSE = "tiny_vitae_b_rvsa_kvdiff_dense"


def noise(*shape: int) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


def pretrained(variant: str) -> dict[str, Tensor]:
    """A file of MAE pre-training for 14 x 14 patches: published keys, noise, parts of a decoder."""
    vitae = dataclasses.replace(PLAIN, bias="query and value", parallel=True)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        own = {
            k: t + 0.1 * torch.randn(t.shape) if t.is_floating_point() else t
            for k, t in RVSA(vitae if variant == "vitae_b" else PLAIN).state_dict().items()
        }
    file = {k.replace(".qkv.q_", ".q_").replace(".qkv.v_", ".v_"): t for k, t in own.items()}
    decoder = {"mask_token": (1, 1, 16), "decoder_embed.weight": (16, 32)}
    return file | {key: torch.zeros(shape) for key, shape in decoder.items()}


def load(variant: str, state: dict[str, Tensor], **arch: Any) -> Any:
    return load_model("rvsa", {"model": state}, variant, grid=14, **arch)


def extract(model: Any, images: Tensor) -> Any:
    with torch.inference_mode():
        return model.extract(images)


def keys(name: str, mae: bool = False) -> dict[str, Tensor]:
    """The keys of a golden, or of the pre-training file that it names, without values."""
    case = json.loads((GOLDENS / f"{name}.keys.json").read_text())
    shapes = {k: e["shape"] for k, e in case["keys"].items()}
    if mae:
        shapes = {k: s for k, s in shapes.items() if k not in case["meta"]["not_in_mae_ckpt"]}
        shapes |= {k: e["shape"] for k, e in case["meta"]["mae_only_keys"].items()}
    return {k: torch.empty(s, device="meta") for k, s in shapes.items()}


def test_relative_scores_of_an_oblong_map_are_those_of_the_offsets() -> None:
    q, rows, columns = noise(2, 6, 4), noise(3, 4), noise(5, 4) + 1
    found = relative_scores(q, rows, columns, (2, 3))
    for query in range(6):
        for key in range(6):
            (y, x), (v, u) = divmod(query, 3), divmod(key, 3)
            expected = q[:, query] @ rows[y - v + 1] + q[:, query] @ columns[x - u + 2]
            torch.testing.assert_close(found[:, query, key], expected)


def test_tables_for_another_grid_are_interpolated_along_the_offsets() -> None:
    q, table = noise(1, 25, 4), noise(5, 4)
    longer = F.interpolate(table.T[None, :, :, None], (9, 1), mode="bicubic")[0, :, :, 0].T
    expected = relative_scores(q, longer, longer, (5, 5))
    torch.testing.assert_close(relative_scores(q, table, table, (5, 5)), expected)


def windowed(size: tuple[int, int], shift_x: float) -> tuple[Tensor, Tensor, Any]:
    """Attention of one head without positions whose windows are shifted only; its input."""
    attention: Any = WindowAttention(8, 1, "none", separate=False).requires_grad_(False)
    attention.relative_position_bias_table.zero_()
    for name in ("offsets", "scales", "angles"):
        layer = attention.get_submodule(f"sampling_{name}")[2]
        layer.weight.zero_()
        layer.bias.zero_()
    attention.sampling_offsets[2].bias[0] = shift_x
    x = noise(2, size[0] * size[1], 8)
    return x, attention(x, size), attention


@pytest.mark.parametrize("columns", [0, 2])
def test_a_window_looks_at_its_own_places_shifted(columns: int) -> None:
    height, width = 8, 15  # filled up to 14 x 21: 3 rows above, 3 columns to the left
    # A column of the filled-up map is 2 / 20 wide; the shift is divided by the one row of windows.
    x, found, attention = windowed((height, width), columns * 2 / 20)
    q, k, v = (
        F.pad(t.mT.reshape(2, 8, height, width), (3, 3, 3, 3)) for t in attention.qkv(x)[:, :, 0]
    )
    looked = [F.pad(t, (0, 2))[..., columns : columns + 21] for t in (k, v)]
    out = torch.zeros(2, 8, 14, 21)
    for top in (0, 7):
        for left in (0, 7, 14):
            of = (..., slice(top, top + 7), slice(left, left + 7))
            q_, k_, v_ = (t[of].flatten(2).mT for t in (q, *looked))
            out[of] = F.scaled_dot_product_attention(q_, k_, v_).mT.reshape(2, 8, 7, 7)
    expected = attention.proj(out[..., 3:11, 3:18].flatten(2).mT)
    torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-4)


def test_turning_and_stretching_a_window_moves_its_corners() -> None:
    _, _, attention = windowed((7, 7), 0.0)
    attention.sampling_angles[2].bias[0] = torch.pi / 2
    attention.sampling_scales[2].bias[:] = torch.tensor([1.0, 0.0])  # x twice
    places = attention.places(torch.zeros(1, 8, 7, 7), (7, 7), "")[0]
    torch.testing.assert_close(places[0, 0], torch.tensor([1.0, -2.0]), atol=1e-6, rtol=0)
    torch.testing.assert_close(places[0, 6], torch.tensor([1.0, 2.0]), atol=1e-6, rtol=0)
    torch.testing.assert_close(places[3, 3], torch.zeros(2), atol=1e-6, rtol=0)


def test_without_windows_and_convolutions_the_network_is_timms() -> None:
    state, images = pretrained("vit_b"), noise(2, 3, 64, 96)
    plain = load_model("rvsa", {"model": state}, "tiny", image=224, depth=3, heads=4)
    ours: Any = adapter.RVSARGB(plain.card, PLAIN, normed=True).eval()
    ours.load_state_dict(PLUGIN.convert(state))
    expected, found = extract(plain, images), extract(ours, images)
    torch.testing.assert_close(found.pooled, expected.pooled, atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.pyramid[0], expected.pyramid[0], atol=1e-5, rtol=1e-4)


def test_the_convolutions_see_the_map_and_not_the_class_token() -> None:
    model = load("tiny_vitae_b", pretrained("vitae_b"))
    block, x = model.net.blocks[0], noise(2, 1 + 2 * 3, 32)
    with torch.inference_mode():
        local = block.PCM(x[:, 1:].mT.reshape(2, 32, 2, 3)).flatten(2).mT
        attended = x + block.attn(block.norm1(x), (2, 3))
        attended[:, 1:] += local
        expected = attended + block.mlp(block.norm2(attended))
        torch.testing.assert_close(block(x, (2, 3)), expected)


@pytest.mark.parametrize("prefix", ["", "module.", "encoder.", "module.encoder."])
def test_every_layout_of_the_pretraining_file_loads(prefix: str) -> None:
    state = pretrained("vitae_b")
    file = {prefix + k: t for k, t in state.items()}
    model = load("tiny_vitae_b", file)
    assert model.loaded.coverage.share == 1
    assert not model.loaded.coverage.missing
    assert torch.equal(model.net.blocks[1].attn.qkv.v_bias, state["blocks.1.attn.v_bias"])
    assert torch.equal(model.net.pos_embed, state["pos_embed"])


def test_convolutions_of_pretraining_are_padded() -> None:
    state = pretrained("vitae_b")
    small = {k: t[:, :, 1:2, 1:2] if ".PCM." in k and t.ndim == 4 else t for k, t in state.items()}
    kernel = load("tiny_vitae_b", small).net.blocks[0].PCM[0].weight
    assert torch.equal(kernel, F.pad(small["blocks.0.PCM.0.weight"], (1, 1, 1, 1)))


def test_the_windows_are_all_that_the_pretraining_file_lacks() -> None:
    state = pretrained("vitae_b")
    model, same, other = (
        load_model("rvsa", {"model": state}, DENSE, seed, grid=14) for seed in (0, 0, 1)
    )
    coverage = model.loaded.coverage
    assert coverage is not None
    assert coverage.share == 1
    assert all(".rel" in k or ".sampling_" in k or ".fpn" in k for k in coverage.missing)
    assert any(".sampling_" in k for k in coverage.drawn)
    net: Any = model.net
    assert torch.equal(net.pos_embed, state["pos_embed"][:, 1:])  # no class token here
    assert not net.blocks[0].attn.rel_pos_h.any()
    images = noise(1, 3, 128, 128)
    features = extract(model, images)
    assert torch.equal(features.pooled, extract(same, images).pooled)
    assert not torch.equal(features.pooled, extract(other, images).pooled)


def test_the_classification_form_leaves_the_biases_out() -> None:
    model = load(WINDOWED, pretrained("vit_b"))
    assert "net.blocks.0.attn.qkv.bias" in model.loaded.coverage.unexpected
    assert model.net.blocks[0].attn.qkv.bias is None


def test_a_fine_tuned_file_decides_the_grid_and_its_decoder_is_left_out() -> None:
    fresh: Any = load_model("rvsa", "random", DENSE, grid=10)
    file = {
        k.replace("net.", "backbone.").replace(".qkv.q_", ".q_").replace(".qkv.v_", ".v_"): t
        for k, t in fresh.state_dict().items()
    }
    file["decode_head.conv_seg.weight"] = torch.zeros(2, 2)
    model: Any = load_model("rvsa", {"state_dict": file}, DENSE)
    assert model.net.settings.grid == 10
    images = noise(1, 3, 160, 160)
    assert torch.equal(extract(model, images).pyramid[0], extract(fresh, images).pyramid[0])


@pytest.mark.parametrize(
    ("name", "mae", "variant"),
    [
        ("rvsa_vitb_cls", False, "vit_b_rvsa"),
        ("rvsa_vitb_cls", True, "vit_b"),
        ("rvsa_vitb_seg", False, "vit_b_rvsa_dense"),
        ("rvsa_vitb_seg_kvdiff", False, "vit_b_rvsa_kvdiff_dense"),
        ("rvsa_vitb_seg_kvdiff", True, "vit_b"),
        ("rvsa_vitaeb_cls", False, "vitae_b_rvsa"),
        ("rvsa_vitaeb_seg", False, "vitae_b_rvsa_dense"),
        ("rvsa_vitaeb_seg", True, "vitae_b"),
        ("rvsa_vit_cls_tiny_kvdiff", False, ""),
        ("samrs_vit_b_rvsa", False, ""),
        ("satmae_rgb_large", False, ""),
    ],
)
def test_a_file_tells_which_variant_it_is(name: str, mae: bool, variant: str) -> None:
    state = keys(name, mae)
    assert PLUGIN.variant_of(state) == variant
    assert PLUGIN.variant_of({f"module.encoder.{k}": t for k, t in state.items()}) == variant


@pytest.mark.parametrize(
    ("name", "mae", "variant", "reason"),
    [
        ("rvsa_vitaeb_seg", True, "vit_b", "convolutions beside"),
        ("rvsa_vitaeb_seg", True, "vit_b_rvsa", "convolutions beside"),
        ("rvsa_vitb_cls", False, "vit_b", "windows that keys and values share"),
        ("rvsa_vitb_seg_kvdiff", False, "vit_b_rvsa_dense", "windows of their own"),
        ("rvsa_vitb_seg", False, "vit_b_rvsa_kvdiff_dense", "windows that keys and values share"),
        ("samrs_vit_b_rvsa", False, "vit_b_rvsa_dense", "no net.pos_embed"),
        ("rvsa_vitb_cls", True, "vitae_b", "match 96.8 %"),
    ],
)
def test_the_file_of_another_network_is_refused(
    name: str, mae: bool, variant: str, reason: str
) -> None:
    with torch.device("meta"), pytest.raises(WeightsError, match=reason):
        load_model("rvsa", {"model": keys(name, mae)}, variant)


def test_images_are_scaled_as_imagenets() -> None:
    model: Any = load_model("rvsa", "random", WINDOWED)
    images = torch.zeros(1, 1, 3, 128, 128)
    images[0, 0, 0], images[0, 0, 2] = 255.0, 103.53
    seen, days = torch.ones(1, 1, dtype=torch.bool), torch.full((1, 1), -1)
    with torch.inference_mode():
        found = model(Batch(("a",), {"hr": images}, {"hr": seen}, {"hr": days}, torch.zeros(1, 2)))
    # (1 - 0.485) / 0.229, (0 - 0.456) / 0.224, (0.406 - 0.406) / 0.225
    scaled = torch.tensor([2.24891, -2.03571, 0.0])[:, None, None].expand(1, 3, 128, 128)
    torch.testing.assert_close(found.pooled, extract(model, scaled).pooled, atol=1e-4, rtol=1e-4)


def test_an_image_without_a_whole_window_is_refused() -> None:
    model: Any = load_model("rvsa", "random", WINDOWED)
    with pytest.raises(CannotRun, match="112 pixels a side or more, but got 96 x 128"):
        extract(model, noise(1, 3, 96, 128))
