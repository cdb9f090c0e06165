"""What users pass as arrays; see skybench.metrics._arrays."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from skybench.core import InvalidArray, UsageError
from skybench.metrics._arrays import (
    as_array,
    as_class_ids,
    as_flag,
    as_masked,
    as_whole_number,
    count_classes,
    unmasked_rows,
)

ROWS = [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    "given",
    [
        ROWS,
        tuple(map(tuple, ROWS)),
        np.array(ROWS, np.uint8),
        np.array(ROWS, object),
        torch.tensor(ROWS),
        torch.tensor(ROWS, dtype=torch.bfloat16),
        torch.tensor(ROWS, dtype=torch.float32, requires_grad=True),
        torch.tensor(ROWS).to_sparse(),
        [torch.tensor(row, dtype=torch.float32, requires_grad=True) for row in ROWS],
        [[torch.tensor(v) for v in row] for row in ROWS],
        [np.array(row) for row in ROWS],
        (row for row in ROWS),
        map(np.array, ROWS),
        dict(enumerate(ROWS)).values(),
        pd.DataFrame(ROWS),
        pd.DataFrame(ROWS, dtype="Int64"),
        [pd.Series(row) for row in ROWS],
        np.array([np.array(row) for row in ROWS] + [None], object)[:2],
        np.ma.masked_array(ROWS, mask=False),
    ],
)
def test_arrays_of_any_library_are_read(given: Any) -> None:
    assert as_array(given, "x").tolist() == ROWS


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (None, "Expected an array or a list as x, but got None"),
        ("0110", "got the text '0110'"),
        ({0: 1}, "got a dict"),
        ({0, 1}, "got a set"),
        (b"01", "got a bytes"),
        (3, "an array or a list as x, but got one value, 3"),
        (np.float64(3), "but got one value"),
        (torch.tensor(3), "but got one value"),
        ([[1, 2], [3]], "whose rows have one length"),
        ([[1, 2], 3], "whose rows have one length"),
        ([np.zeros(2), np.zeros(3)], "whose rows have one length"),
        (np.array([np.zeros(2), np.zeros(3)], object), "got rows of shapes"),
        (["cat", "dog"], "got the text 'cat'"),
        ([1, "dog"], "got the text 'dog'"),
        (np.array(["cat"]), "Expected numbers in x, but got <U3 values"),
        ([1, None], "but got None"),
        (np.array([1, None], object), "Expected numbers in x, but got None"),
        (pd.Series(["a", "b"], dtype="category"), "Expected numbers in x"),
        ([1j], "Expected numbers in x"),
        (torch.tensor([1j]), "complex"),
        (np.array(["2020-01-01"], "M8[D]"), "Expected numbers in x"),
        (np.array([2**80, 1], object), "of 64 bits"),
        (object(), "Expected numbers in x, but got a object"),
        (np.ma.masked_array([1, 2], mask=[True, False]), "no masked values in x, but got 1"),
    ],
)
def test_anything_else_is_refused_by_name(given: Any, message: str) -> None:
    with pytest.raises(InvalidArray, match=message) as refusal:
        as_array(given, "x")
    assert isinstance(refusal.value, ValueError)
    assert isinstance(refusal.value, UsageError)


def test_a_list_that_holds_itself_is_refused() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(InvalidArray, match="whose rows have one length"):
        as_array(endless, "x")


def test_masks_are_kept_in_lists_too() -> None:
    one = np.ma.masked_array([1, 2], mask=[False, True])
    values, mask = as_masked([one, np.array([3, 4])], "x")
    assert values.tolist() == ROWS
    assert mask is not None
    assert mask.tolist() == [[False, True], [False, False]]
    assert as_masked(np.ma.masked_array([1, 2]), "x").mask is None


def test_ids_are_integers_or_truth_values() -> None:
    assert as_class_ids([True, False], "x").values.tolist() == [True, False]
    assert as_class_ids([], "x").values.dtype == np.int64
    with pytest.raises(InvalidArray, match=r"but got float64 in x: of scores, give the argmax"):
        as_class_ids([0.0, 1.0], "x")


def test_classes_are_counted_unless_an_id_marks_what_is_unlabelled() -> None:
    def count(ids: Any, classes: Any = None, **given: int) -> int:
        return count_classes({"true": np.array(ids)}, classes, **given)

    assert count([0, 3]) == 4
    assert count([]) == 1
    assert count([254, 255]) == 256  # 255 is a class where there are so many
    assert count([0, 255], 300) == 300
    for ids, wrong in (([0, 255], 255), ([0, 65535], 65535), ([0, -1], -1), ([0, 70000], 70000)):
        with pytest.raises(
            InvalidArray, match=f"Expected true class ids from 0 on, but got {wrong},"
        ):
            count(ids)
    assert count([0, 70000], most=2**31) == 70001
    for classes in (0, -1, 70000, 2.0, "2", True):
        with pytest.raises(InvalidArray, match="Expected classes to be an integer of 1 to 4096"):
            count([0], classes)


def test_samples_are_masked_as_a_whole() -> None:
    whole = as_masked(np.ma.masked_array(ROWS, mask=[[True, True], [False, False]]), "x")
    assert unmasked_rows(whole, as_masked([1, 2], "y")).tolist() == [False, True]
    part = as_masked(np.ma.masked_array(ROWS, mask=[[True, False], [False, False]]), "x")
    with pytest.raises(InvalidArray, match="but got row 0 with some"):
        unmasked_rows(part)
    with pytest.raises(InvalidArray, match="at least one sample that is not masked"):
        unmasked_rows(as_masked(np.ma.masked_array([1, 2], mask=True), "x"))


def test_options_are_whole_numbers_and_truth_values() -> None:
    assert as_whole_number(np.int64(3), "most", 1) == 3
    with pytest.raises(
        InvalidArray, match="Expected most to be an integer of 1 or more, but got 0"
    ):
        as_whole_number(0, "most", 1)
    assert as_flag(np.bool_(True), "x") is as_flag(1, "x") is True
    for wrong in ("no", 2, None, 0.0):
        with pytest.raises(InvalidArray, match="Expected x to be True or False"):
            as_flag(wrong, "x")
