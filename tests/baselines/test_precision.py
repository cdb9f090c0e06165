"""What makes places, biases and kernels is the same under autocast as without, to the last bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from skybench.baselines._networks import clay, croma, dynamic, galileo, prithvi
from skybench.baselines._networks.deformable import DeformableAttention
from skybench.baselines._networks.precision import date_mean, in_float32
from skybench.baselines._networks.rvsa_attention import WindowAttention as RotatedWindows
from skybench.baselines._networks.swin_v2 import WindowAttention as CosineWindows
from skybench.weights.load import load_model

MADE = torch.Generator().manual_seed(0)
MAPS = torch.randn(2, 8, 14, 21, generator=MADE)
SERIES = torch.randn(3, 2, 8, 4, generator=MADE)
LOW = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)


def awake(module: nn.Module) -> nn.Module:
    """The module with parameters that are none of them 0."""
    made = torch.Generator().manual_seed(1)
    for parameter in module.parameters():
        parameter.data = 0.3 * torch.randn(parameter.shape, generator=made)
    return module


def _position_bias_of_swin_v2() -> Callable[[], Any]:
    return awake(CosineWindows(8, 2)).bias  # type: ignore[return-value]


def _position_bias_of_satlas() -> Callable[[], Any]:
    from skybench.baselines._adapters.satlas import Attention

    return awake(Attention(8, [8, 8], [4, 4], 2)).get_relative_position_bias  # type: ignore[return-value]


def _windows_of_rvsa() -> Callable[[], Any]:
    layer: Any = awake(RotatedWindows(8, 2, "all", separate=False))
    return lambda: layer.places(MAPS, (14, 21), "")


def _points_of_decur() -> Callable[[], Any]:
    layer: Any = awake(DeformableAttention(8, 4, 2, 3, 7))
    return lambda: torch.cat([layer.points(MAPS), layer.points(MAPS.flip(0))])


def _bias_of_decur() -> Callable[[], Any]:
    layer: Any = awake(DeformableAttention(8, 4, 2, 3, 7))
    points = layer.points(MAPS).detach()
    return lambda: layer.bias(points, 14, 21)


def _kernels_of_dofa() -> Callable[[], Any]:
    layer: Any = dynamic.DynamicPatches(8, 4)
    codes = dynamic.sincos_codes(torch.tensor([490.0, 560.0, 665.0]), dynamic.CODE)
    return lambda: layer.kernels(codes)[0]


def _kernels_of_clay() -> Callable[[], Any]:
    layer: Any = clay.Patches(8, 4)
    return lambda: layer.kernels(torch.tensor([0.49, 0.56, 0.665]))[0]


def _kernels_of_galileo() -> Callable[[], Any]:
    to = galileo.kernel_resizer(4, torch.device("cpu"))
    return lambda: galileo._resized(MAPS.new_ones(3, 64).cumsum(1) / 7, to)


def _context_of_copernicus_fm() -> Callable[[], Any]:
    net: Any = load_model("copernicus_fm", "random", "tiny")
    about = torch.tensor([[11.0, 48.0, 18000.0, 0.02]])
    return lambda: net.context(MAPS[:1], about)


def _place_of_presto() -> Callable[[], Any]:
    net: Any = load_model("presto", "random", "tiny").get_submodule("net")
    return lambda: net.place(torch.tensor([[48.137, 11.575]]))


KEPT: dict[str, Callable[[], Callable[[], Any]]] = {
    "Swin V2's position bias": _position_bias_of_swin_v2,
    "SatLas' position bias": _position_bias_of_satlas,
    "RVSA's windows": _windows_of_rvsa,
    "DeCUR's points": _points_of_decur,
    "DeCUR's position bias": _bias_of_decur,
    "CROMA's distances": lambda: lambda: croma.alibi_bias(12, 12, MAPS),
    "DOFA's kernels": _kernels_of_dofa,
    "Clay's kernels": _kernels_of_clay,
    "Clay's positions": lambda: lambda: clay.grid_codes(9, 9, 8, 10.0, MAPS.half()),
    "Galileo's kernels": _kernels_of_galileo,
    "Galileo's positions": lambda: lambda: galileo.grid_codes(9, 9, 1.0, MAPS.new_ones(16)),
    "Copernicus-FM's places and dates": _context_of_copernicus_fm,
    "Presto's place": _place_of_presto,
    "Prithvi's dates": lambda: lambda: prithvi.sincos_codes(torch.tensor([365.0]), 8),
    "a mean over dates": lambda: lambda: date_mean(SERIES, torch.full((3, 2), 1 / 3)),
}


@LOW
@pytest.mark.parametrize("what", KEPT)
def test_it_stays_float32_under_autocast(what: str, dtype: torch.dtype) -> None:
    with torch.no_grad():
        made = KEPT[what]()
        full = made()
        with torch.autocast("cpu", dtype):
            low = made()
    assert full.dtype == low.dtype == torch.float32
    assert torch.equal(full, low)


@LOW
def test_half_precision_is_brought_to_float32_within(dtype: torch.dtype) -> None:
    seen = []

    def plain(a: Tensor, b: Tensor, ids: Tensor, factor: float) -> Tensor:
        seen.append((a.dtype, b.dtype, ids.dtype))
        return factor * (a @ b)

    product = in_float32(plain)
    a = torch.randn(2, 2, generator=MADE)
    ids = torch.arange(2)
    assert torch.equal(product(a, a, ids, factor=2.0), 2 * (a @ a))
    with torch.autocast("cpu", dtype):
        found = product(a.to(dtype), a, ids, factor=2.0)
        assert (a @ a).dtype == dtype  # again after it
    assert torch.equal(found, 2 * (a.to(dtype).float() @ a))
    assert seen == [(torch.float32, torch.float32, torch.int64)] * 2
    assert product(a.to(dtype), a.to(dtype), ids, 1.0).dtype == dtype  # without autocast, as it is


@LOW
def test_a_key_of_zeros_stays_finite(dtype: torch.dtype) -> None:
    """Padding at the edge of a map."""
    layer: Any = CosineWindows(8, 2).requires_grad_(False)
    with torch.autocast("cpu", dtype):
        assert torch.isfinite(layer(torch.zeros(1, 1, 64, 8), None)).all()
