"""CMID: the authors' files, and its Swin Transformer where windows do not fit the map."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from skybench.baselines._networks.swin import Block, PatchMerging, Swin, SwinOptions
from skybench.core import Batch, WeightsError, registry
from skybench.weights.load import load_model

PLUGIN: Any = registry.model("cmid")
GOLDENS = Path(__file__).parents[1] / "goldens"


def published(name: str) -> dict[str, Tensor]:
    """Keys and shapes of a golden, without values."""
    keys = json.loads((GOLDENS / f"{name}.keys.json").read_text())["keys"]
    return {k: torch.empty(e["shape"], device="meta") for k, e in keys.items()}


def seen_by(model: Any, image: Tensor) -> Tensor:
    """Input of the network for one image [C, H, W]."""
    given: list[Tensor] = []
    model.extract = lambda images: given.append(images)
    seen, days = {"hr": torch.ones(1, 1, dtype=torch.bool)}, {"hr": torch.full((1, 1), -1)}
    model(Batch(("0",), {"hr": image[None, None]}, seen, days, torch.zeros(1, 2)))
    return given[0][0]


@pytest.mark.parametrize("name", ["cmid_swin_tiny", "cmid_resnet50"])
def test_every_layout_gives_the_same_keys(name: str) -> None:
    bare = published(name)
    full = {f"online_encoder.model.{k}": x for k, x in bare.items()}
    full |= {f"target_encoder.model.{k}": x for k, x in bare.items()}
    full["online_encoder.projector.0.weight"] = torch.empty(2, 2, device="meta")
    parallel = {f"module.{k}": x for k, x in bare.items()}
    own = PLUGIN.convert(bare)
    assert all(key.startswith("net.") and not key.endswith("_index") for key in own)
    for state in (full, parallel):
        assert {k: x.shape for k, x in PLUGIN.convert(state).items()} == {
            k: x.shape for k, x in own.items()
        }


def test_the_variant_is_told_by_its_file() -> None:
    told = {n: PLUGIN.variant_of(published(n)) for n in ("cmid_resnet50", "cmid_swinb")}
    assert told == {"cmid_resnet50": "resnet50", "cmid_swinb": "swin_b"}
    assert PLUGIN.variant_of(published("cmid_swin_tiny")) == ""
    assert PLUGIN.variant_of(published("gfm_swin_b")) == ""


def test_the_other_variants_file_is_refused() -> None:
    with torch.device("meta"), pytest.raises(WeightsError, match="do not fit cmid"):
        load_model("cmid", published("cmid_resnet50"), "swin_b")


@pytest.mark.parametrize("variant", ["tiny", "tiny_resnet50"])
def test_images_are_normalised_as_imagenets(variant: str) -> None:
    model: Any = load_model("cmid", "random", variant)
    pixel = torch.tensor([255.0, 0.0, 103.53])[:, None, None]
    seen = seen_by(model, pixel.expand(3, 224, 224))
    assert seen[:, 5, 7].tolist() == pytest.approx([131.325 / 58.395, -116.28 / 57.12, 0.0])


def test_mms_merging_is_converted() -> None:
    torch.manual_seed(0)
    ours, x = PatchMerging(6, 1e-5), torch.randn(2, 4, 8, 6)
    weight, bias, matrix = torch.randn(24), torch.randn(24), torch.randn(12, 24)
    columns = F.unfold(x.permute(0, 3, 1, 2), 2, stride=2).mT  # as mm: channel, row, column
    expected = F.linear(F.layer_norm(columns, (24,), weight, bias), matrix).view(2, 2, 4, 12)
    state = {"norm.weight": weight, "norm.bias": bias, "reduction.weight": matrix}
    stem = {"patch_embed.projection.weight": torch.zeros(1)}
    own = PLUGIN.convert({f"stages.0.downsample.{k}": t for k, t in state.items()} | stem)
    prefix = "net.layers.0.downsample."
    ours.load_state_dict({k[len(prefix) :]: t for k, t in own.items() if k.startswith(prefix)})
    torch.testing.assert_close(ours(x), expected)


def directly(block: Any, x: Tensor, window: int, shift: int) -> Tensor:
    """Window attention of one map [H, W, C], pixel by pixel of the padded and rolled map."""
    height, width, dim = x.shape
    down, across = (-(-n // window) * window for n in (height, width))
    padded = x.new_zeros(down, across, dim)
    padded[:height, :width] = x
    attn, out = block.attn, torch.zeros_like(padded)
    table = attn.relative_position_bias_table.view(2 * window - 1, 2 * window - 1, -1)

    def place(at: int, size: int) -> tuple[int, bool]:  # after rolling: where, and if wrapped
        return (at - shift) % size, at < shift

    pixels = [(r, c) for r in range(down) for c in range(across)]
    for row, column in pixels:
        (r, rw), (c, cw) = place(row, down), place(column, across)
        near = []
        for other in pixels:
            (a, aw), (b, bw) = place(other[0], down), place(other[1], across)
            # Of the last windows only, rolled pixels keep apart from the others.
            if (a // window, b // window, aw, bw) == (r // window, c // window, rw, cw):
                near.append((*other, r - a + window - 1, c - b + window - 1))
        keys = torch.stack([padded[a, b] for a, b, _, _ in near])
        bias = torch.stack([table[i, j] for _, _, i, j in near])  # [N, heads]
        q = attn.qkv(padded[row, column])[:dim].view(attn.heads, -1)
        k, v = (t.view(len(near), attn.heads, -1) for t in attn.qkv(keys)[:, dim:].split(dim, 1))
        scores = torch.einsum("hc,nhc->nh", q, k) / math.sqrt(q.shape[1]) + bias
        out[row, column] = torch.einsum("nh,nhc->hc", scores.softmax(0), v).flatten()
    return attn.proj(out)[:height, :width]  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    ("height", "width", "small", "shift"),
    [(6, 7, False, 1), (3, 5, False, 0), (3, 5, True, 1), (2, 4, True, 1)],
)
def test_windows_that_do_not_fit_are_padded_before_the_roll(
    height: int, width: int, small: bool, shift: int
) -> None:
    torch.manual_seed(0)
    block = Block(8, 2, 3, True, SwinOptions(shift_small=small))
    torch.nn.init.normal_(block.attn.relative_position_bias_table)
    x = torch.randn(height, width, 8)
    with torch.inference_mode():
        torch.testing.assert_close(block.attend(x[None], 3)[0], directly(block, x, 3, shift))


def test_a_ragged_image_is_padded_at_the_right_and_bottom() -> None:
    torch.manual_seed(0)
    net = Swin(8, (1, 1), (1, 2), (7, 7), SwinOptions(norms=(1,))).eval()
    x = torch.randn(1, 3, 42, 29)
    maps, padded = net(x), net(F.pad(x, (0, 3, 0, 2)))
    assert [m.shape[2:] for m in maps] == [(11, 8), (6, 4)]
    for a, b in zip(maps, padded, strict=True):
        assert torch.equal(a, b)
