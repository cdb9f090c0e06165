"""Numpy arrays in a pickle become tensors without numpy's code."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from skybench.weights.checkpoint_file import read_checkpoint
from skybench.weights.pickled_array import PickledArray, PickledDtype


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "i1", "i4", "i8", "u1", "b1"])
@pytest.mark.parametrize("shape", [(2, 3), (4,), ()])
def test_arrays_in_a_file_are_read(kind: str, shape: tuple[int, ...], tmp_path: Path) -> None:
    array = np.arange(int(np.prod(shape))).reshape(shape).astype(kind)
    torch.save({"model": {"a": array, "b": torch.ones(3)}}, tmp_path / "x.pt")
    found = read_checkpoint(tmp_path / "x.pt")["a"]
    assert torch.equal(found, torch.from_numpy(array))
    assert str(found.dtype) == f"torch.{np.dtype(kind).name}"


def test_the_order_of_fortran_is_turned(tmp_path: Path) -> None:
    array = np.asfortranarray(np.arange(24.0).reshape(2, 3, 4))
    torch.save({"a": array}, tmp_path / "x.pt")
    assert torch.equal(read_checkpoint(tmp_path / "x.pt")["a"], torch.from_numpy(array))


def filled(dtype: Any, raw: Any, shape: Any = (1,)) -> PickledArray:
    array = PickledArray()
    array.fill((1, shape, dtype, False, raw))
    return array


def test_what_is_no_array_of_numbers_stays_empty() -> None:
    swapped = PickledDtype("f4")
    swapped.fill((3, ">", None, None, None, -1, -1, 0))
    assert filled(swapped, b"1234").tensor is None
    assert filled(PickledDtype("O"), b"1234").tensor is None
    assert filled("f4", b"1234").tensor is None
    assert filled(PickledDtype("f4"), [1.0]).tensor is None


def test_bytes_that_do_not_fill_the_shape_are_refused() -> None:
    with pytest.raises(RuntimeError, match="shape"):
        filled(PickledDtype("f4"), b"12345678", (1 << 40,))
