"""GFM: its file, and tables of relative positions for other windows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from skybench.baselines._networks.swin import geometric_ratio, table_resizer
from skybench.core import WeightsError, registry
from skybench.weights.load import load_model

PLUGIN: Any = registry.model("gfm")
GOLDENS = Path(__file__).parents[1] / "goldens"
CPU = torch.device("cpu")


def published(name: str) -> dict[str, Tensor]:
    """Keys and shapes of a golden, without values."""
    keys = json.loads((GOLDENS / f"{name}.keys.json").read_text())["keys"]
    return {k: torch.empty(e["shape"], device="meta") for k, e in keys.items()}


@pytest.mark.parametrize(("before", "after"), [(11, 15), (11, 13), (11, 7), (13, 15)])
def test_tables_are_interpolated_as_by_the_authors(before: int, after: int) -> None:
    name = f"{before}_{after}"
    with np.load(GOLDENS / "gfm_relpos_interp.npz") as golden:
        given, expected = (torch.from_numpy(golden[f"{k}_{name}"]) for k in ("in", "out"))
        assert geometric_ratio(before // 2, after // 2) == float(golden[f"q_{name}"])
    to = table_resizer((before + 1) // 2, (after + 1) // 2, CPU)
    square = given.view(before, before, -1)
    found = torch.einsum("ai,bj,ijh->abh", to, to, square).flatten(0, 1)
    assert float((found - expected).abs().max() / expected.std()) < 5e-6


@pytest.mark.parametrize(
    ("side", "windows"),
    [
        (128, (4, 4, 4, 4)),  # configs/BEN.yaml
        (192, ()),
        (224, (7, 7, 7, 7)),
        (256, (8, 8, 8, 8)),  # configs/UCM.yaml
        (896, (8, 8, 8, 8)),
    ],
)
def test_windows_keep_in_proportion_to_the_image(side: int, windows: tuple[int, ...]) -> None:
    with torch.device("meta"):
        model = PLUGIN.build("full")
    assert model.windows(side) == windows


def test_another_size_is_as_a_network_built_for_it() -> None:
    interpolate = pytest.importorskip("scipy.interpolate")
    model: Any = load_model("gfm", "random", "tiny")
    sized: Any = load_model("gfm", "random", "tiny", image=128, window=4)  # 96 and 3 before
    state = model.state_dict()
    for key in [k for k in state if k.endswith("table")]:
        table, to = state[key].double().numpy(), np.arange(-3.0, 4.0)
        steps = geometric_ratio(2, 3) ** np.arange(2)
        nodes = np.concatenate((-steps.cumsum()[::-1], [0], steps.cumsum()))
        splines = (
            interpolate.RectBivariateSpline(nodes, nodes, head.reshape(5, 5)) for head in table.T
        )
        resized = np.stack([spline(to, to) for spline in splines], -1).reshape(-1, table.shape[1])
        state[key] = torch.from_numpy(resized).float()
    sized.load_state_dict(state)
    images = torch.randn(2, 3, 128, 160, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        for a, b in zip(model.extract(images).pyramid, sized.extract(images).pyramid, strict=True):
            torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-5)


def test_tables_learn_at_another_size_after_inference() -> None:
    model: Any = load_model("gfm", "random", "tiny")
    images = torch.randn(1, 3, 160, 192, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        model.extract(images)
    model.extract(images).pooled.square().sum().backward()
    grad = model.net.layers[0].blocks[1].attn.relative_position_bias_table.grad
    assert grad is not None
    assert grad.abs().min() > 0


def test_the_teacher_in_the_file_is_left_out() -> None:
    state = published("gfm_tiny")
    others = ("encoder.mask_token", "decoder.0.weight", "projector.weight", "teacher.norm.weight")
    own = PLUGIN.convert(state | {key: torch.empty(1, device="meta") for key in others})
    assert own.keys() == PLUGIN.convert(state).keys()
    assert own["net.norms.3.weight"] is state["encoder.norm.weight"]
    assert not any(key.endswith(("index", "mask", "token")) for key in own)


def test_a_fine_tuned_file_has_bare_keys() -> None:
    state = published("gfm_tiny")
    bare = {key.replace("encoder.", "module."): tensor for key, tensor in state.items()}
    bare["module.head.weight"] = torch.empty(19, 256, device="meta")
    assert PLUGIN.convert(bare) == PLUGIN.convert(state)


def test_a_file_for_another_window_is_refused() -> None:
    with torch.device("meta"), pytest.raises(WeightsError, match="of another shape: 24"):
        load_model("gfm", {"model": published("gfm_swin_b_w8")})
