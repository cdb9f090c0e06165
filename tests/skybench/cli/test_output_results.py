from __future__ import annotations

import pytest

from skybench.cli import output_results
from skybench.core import Record, UsageError

OLD = Record("rcf", "gone", "aid", {"protocol": "old"}, "measured", "real", "f" * 64, {"oa": 9.0})


def test_protocols_of_records_are_known_too() -> None:
    assert output_results._protocol("old", [OLD]) == "old"
    assert output_results._protocol("", []) == ""
    with pytest.raises(UsageError, match="No protocol 'old'"):
        output_results._protocol("old", [])


@pytest.mark.parametrize(
    ("unit", "note"),
    [("%", "on the mean over the cells, in points."), ("", "on the mean over the cells."),
     ("mixed", "gain: none, since the cells have scores of several units.")],
)  # fmt: skip
def test_gains_are_told_with_their_unit(unit: str, note: str) -> None:
    assert output_results._gain_note(unit).endswith(note)


def test_small_p_values_keep_a_digit() -> None:
    assert [output_results._p(p) for p in (None, 0.0421, 3e-7)] == ["", "0.042", "3e-07"]
