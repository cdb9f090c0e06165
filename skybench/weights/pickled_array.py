"""Numpy arrays in a pickle, read as data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch import Tensor

DTYPES = {
    "f2": "float16", "f4": "float32", "f8": "float64", "i1": "int8", "i2": "int16", "i4": "int32",
    "i8": "int64", "u1": "uint8", "b1": "bool",
}  # fmt: skip


class PickledDtype:
    """A numpy dtype in a pickle, as "f4"."""

    def __init__(self, name: object) -> None:
        self.name, self.order = str(name), "|"

    def fill(self, content: tuple[Any, ...]) -> None:
        """Take the state that numpy pickles: (version, byte order, ...)."""
        self.order = str(content[1])


class PickledArray:
    """A numpy array in a pickle; `tensor` is None until it is filled, and for arrays of objects."""

    def __init__(self) -> None:
        self.tensor: Tensor | None = None

    def fill(self, content: tuple[Any, ...]) -> None:
        """Take the state that numpy pickles: (version, shape, dtype, Fortran order, bytes).

        Raises ValueError or RuntimeError where bytes and shape do not agree.
        """
        import torch

        _, shape, dtype, fortran, raw = content
        numbers = isinstance(dtype, PickledDtype) and dtype.name in DTYPES and dtype.order != ">"
        if not (numbers and isinstance(raw, bytes | bytearray)):
            return
        kind = getattr(torch, DTYPES[dtype.name])
        sizes = [int(n) for n in (reversed(shape) if fortran else shape)]
        empty = torch.empty(0, dtype=kind)
        flat = torch.frombuffer(bytearray(raw), dtype=kind) if raw else empty
        shaped = flat.reshape(sizes)
        self.tensor = shaped.permute(*reversed(range(len(sizes)))) if fortran else shaped
