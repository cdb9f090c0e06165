"""Precision: in which number format a device computes, for extraction and for training steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import torch

from skybench.core import UsageError

# The dtype of autocast by the name of a precision. "" is float32; "tf32" is float32 whose
# convolutions and matrix products are computed in TF32 on GPUs.
PRECISIONS = {
    "": torch.float32,
    "bf16": torch.bfloat16,
    "fp16": torch.float16,
    "tf32": torch.float32,
}


def require_precision(precision: str) -> None:
    """Raise UsageError for a precision that is not known."""
    if precision not in PRECISIONS:
        known = ", ".join(filter(None, PRECISIONS))
        raise UsageError(f"No precision {precision!r} of a recipe. Known: {known}.")


@contextmanager
def tf32_on(on: bool, device: str) -> Iterator[None]:
    """Compute convolutions and matrix products of float32 on a GPU in TF32 here, or in float32.

    By torch's defaults convolutions are in TF32 and matrix products are not. Other devices have
    no TF32.
    """
    if torch.device(device).type != "cuda":
        yield
        return
    cudnn, products = torch.backends.cudnn, torch.get_float32_matmul_precision()
    convolutions = cudnn.allow_tf32
    try:
        cudnn.allow_tf32 = on
        torch.set_float32_matmul_precision("high" if on else "highest")
        yield
    finally:
        cudnn.allow_tf32 = convolutions
        torch.set_float32_matmul_precision(products)


@contextmanager
def at_precision(precision: str, device: str) -> Iterator[None]:
    """Compute on a device in a precision of `PRECISIONS` within this context.

    bf16 and fp16 are autocast: what torch knows to need float32 stays in it. TF32 is off unless
    asked for, and on CPUs there is none. Raises UsageError for an unknown precision.
    """
    require_precision(precision)
    kind, dtype = torch.device(device).type, PRECISIONS[precision]
    with ExitStack() as stack:
        stack.enter_context(tf32_on(precision == "tf32", device))
        if dtype != torch.float32:
            stack.enter_context(torch.autocast(kind, dtype))
        yield
