from __future__ import annotations

import pytest
import torch

from skybench.core import UsageError
from skybench.training.precision import at_precision, tf32_on

cudnn = torch.backends.cudnn


def switches() -> tuple[bool, str]:
    return cudnn.allow_tf32, torch.get_float32_matmul_precision()


@pytest.mark.parametrize(
    ("precision", "within"),
    [("", (False, "highest")), ("tf32", (True, "high"))],
)
def test_tf32_is_on_for_convolutions_and_products_or_for_neither(
    precision: str, within: tuple[bool, str]
) -> None:
    before = switches()
    with at_precision(precision, "cuda:0"):  # on a machine without one, too
        assert switches() == within
    assert switches() == before
    with pytest.raises(RuntimeError, match="broken"), at_precision(precision, "cuda"):
        raise RuntimeError("broken")
    assert switches() == before


def test_tf32_is_no_matter_of_cpus() -> None:
    before = switches()
    with tf32_on(not before[0], "cpu"), at_precision("tf32", "cpu"):
        assert switches() == before


@pytest.mark.parametrize(
    ("precision", "dtype"),
    [("", torch.float32), ("tf32", torch.float32), ("bf16", torch.bfloat16),
     ("fp16", torch.float16)],
)  # fmt: skip
def test_autocast_is_to_the_dtype_of_the_precision(precision: str, dtype: torch.dtype) -> None:
    x = torch.ones(2, 2)
    with at_precision(precision, "cpu"):
        assert (x @ x).dtype == dtype
        with at_precision("", "cpu"):  # an inner context without autocast leaves it
            assert (x @ x).dtype == dtype
    assert (x @ x).dtype == torch.float32


def test_an_unknown_precision_is_refused() -> None:
    message = "No precision 'int8' of a recipe. Known: bf16, fp16, tf32"
    with pytest.raises(UsageError, match=message), at_precision("int8", "cpu"):
        pass
