"""RingMo: no file is public; a user's, converted from MindSpore, loads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from skybench.core import WeightsError, registry
from skybench.weights.load import load_model

PLUGIN: Any = registry.model("ringmo")
KEYS = Path(__file__).parents[1] / "goldens" / "ringmo_swin_tiny.keys.json"
TO_MINDSPORE = {
    "weight": "gamma", "bias": "beta",
    "running_mean": "moving_mean", "running_var": "moving_variance",
}  # fmt: skip


def published() -> dict[str, Tensor]:
    """A checkpoint of the tiny golden: PyTorch's names, MindSpore's order of axes."""
    made = torch.Generator().manual_seed(0)
    keys = json.loads(KEYS.read_text())["keys"]
    return {k: torch.randn(e["shape"], generator=made) for k, e in keys.items()}


def in_mindspore(key: str) -> str:
    """MindSpore's name: norms have gamma and beta."""
    path, _, last = key.rpartition(".")
    norm = "norm" in path.split(".")[-1] or path.split(".")[-1] in ("1", "4", "7")
    return f"encoder.{path}.{TO_MINDSPORE[last]}" if norm and last in TO_MINDSPORE else key


def test_mindspores_names_are_known() -> None:
    state = published()
    mindspore = {in_mindspore(k).removeprefix("encoder."): x for k, x in state.items()}
    assert "layers.0.blocks.0.norm1.gamma" in mindspore
    assert "patch_embed.projection.4.moving_variance" in mindspore
    prefixed = {f"encoder.{k}": x for k, x in mindspore.items()} | {"mask.gamma": torch.zeros(1)}
    own = PLUGIN.convert(state)
    for other in (mindspore, prefixed):
        again = PLUGIN.convert(other)
        assert again.keys() == own.keys()
        assert all(torch.equal(again[k], own[k]) for k in own)


def test_linear_layers_may_lie_either_way() -> None:
    state = published()
    turned = {k: x.T if ".mlp." in k and x.ndim == 2 else x for k, x in state.items()}
    own, again = PLUGIN.convert(state), PLUGIN.convert(turned)
    assert own["net.layers.0.blocks.0.mlp.fc1.weight"].shape == (128, 32)
    assert all(torch.equal(again[k], own[k]) for k in own)


def test_queries_keys_and_values_are_joined_in_this_order() -> None:
    state = published()
    prefix = "layers.1.blocks.0.attn."
    joined = PLUGIN.convert(state)[f"net.{prefix}qkv.bias"]
    assert torch.equal(joined, torch.cat([state[f"{prefix}{p}.bias"] for p in "qkv"]))


def test_nobody_can_have_the_weights() -> None:
    with pytest.raises(WeightsError, match="are not available: no checkpoint is public"):
        load_model("ringmo")


def test_another_swin_is_refused() -> None:
    with torch.device("meta"), pytest.raises(WeightsError, match="do not fit ringmo"):
        load_model("ringmo", {"model": published()})


@pytest.mark.parametrize(("side", "windows"), [(192, ()), (224, (7, 7, 7, 7)), (512, (7, 7, 7, 7))])
def test_windows_keep_in_proportion_to_the_image(side: int, windows: tuple[int, ...]) -> None:
    with torch.device("meta"):
        model = PLUGIN.build("full")
    assert model.windows(side) == windows


def test_batch_norms_keep_their_statistics_in_training() -> None:
    model = load_model("ringmo", "random", "tiny").train()
    assert model.training
    assert not any(m.training for m in model.modules() if isinstance(m, nn.BatchNorm2d))
