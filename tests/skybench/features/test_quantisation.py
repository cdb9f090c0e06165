"""Rounding of dense features: what comes back, how large the change is, and what is refused."""

from __future__ import annotations

import pytest
import torch

from skybench.core import UsageError
from skybench.features import quantisation


def maps(*shape: int) -> torch.Tensor:
    made = torch.Generator().manual_seed(0)
    return torch.randn(shape, generator=made) * torch.logspace(-3, 3, shape[-3])[:, None, None]


@pytest.mark.parametrize("shape", [(2, 5, 4, 6), (2, 3, 5, 4, 4), (1, 2, 1, 1)])
def test_integers_are_within_half_a_step_of_each_channel(shape: tuple[int, ...]) -> None:
    level = maps(*shape)
    stored, scale = quantisation.to_stored(level, "int8")
    assert (stored.dtype, stored.shape, scale.shape) == (torch.int8, shape, shape[:-2])
    back = quantisation.from_stored((stored, scale))
    step = level.abs().amax((-2, -1), keepdim=True) / 127
    assert ((back - level).abs() <= 0.5001 * step).all()
    assert torch.equal(back, quantisation.rounded(level, "int8"))


def test_the_usual_rounding_is_to_float16_within_its_range() -> None:
    (stored,) = quantisation.to_stored(torch.tensor([[[1 / 3, 1e6, -1e6]]]))
    assert stored.dtype == torch.float16
    assert stored.flatten().tolist() == [pytest.approx(1 / 3, rel=1e-3), 65504, -65504]


def test_zeros_stay_zeros_and_what_is_not_finite_is_not_hidden() -> None:
    level = torch.zeros(3, 2, 2)
    level[1, 0, 0], level[2, 1, 1] = float("nan"), float("inf")
    back = quantisation.rounded(level, "int8")
    assert back[0].tolist() == [[0, 0], [0, 0]]
    assert not back[1].isfinite().any()
    assert not back[2].isfinite().any()


def test_the_error_is_relative_to_the_feature_maps() -> None:
    level = maps(4, 8, 16, 16)
    change = (quantisation.rounded(level, "int8") - level).norm() / level.norm()
    assert quantisation.relative_error(level, "int8") == pytest.approx(float(change), rel=1e-4)
    assert 0.005 < float(change) < 0.02
    assert quantisation.relative_error(level, "float16") < 0.001
    assert quantisation.relative_error(torch.zeros(1, 2, 2), "int8") == 0


def test_another_kind_is_refused() -> None:
    with pytest.raises(UsageError, match="be 'int8', or left out, but got 'int4'"):
        quantisation.require_kind("int4")
