"""Records as rows of plain values."""

from __future__ import annotations

from skybench.core import Record
from skybench.report import long_rows

RECORD = Record(
    "imagenet", "scene_classification", "aid",
    {"protocol": "knn", "label": "20 %", "seeds": 1, "fraction": 1.0, "limit": 0},
    "measured", "real", "f" * 64, {"oa": 71.234}, intervals={"oa": [69.0, 73.0]},
    seeds=[{"seed": 0}], used={"weights": "ab" * 32},
)  # fmt: skip


def test_a_data_frame_has_one_row_a_record() -> None:
    failed = Record("rcf", "scene_classification", "aid", RECORD.recipe, "failed", "real", "e" * 64)
    frame = long_rows.data_frame([RECORD, failed])
    assert list(frame["weights"]) == ["abababab", "none"]
    assert list(frame["low"].isna()) == [False, True]
    assert frame["score"][0] == 71.234


def test_rows_are_written_as_csv_without_a_last_newline() -> None:
    assert long_rows.csv_of([]) == ""
    assert long_rows.csv_of([{"a": 1, "b": None}, {"a": "x, y", "b": 2}]) == 'a,b\n1,\n"x, y",2'
