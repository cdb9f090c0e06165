"""Parts of series: which dates are read together."""

from __future__ import annotations

import importlib

import pytest
import torch

series = importlib.import_module("skybench.baselines._adapters.series")


def seen(*rows: str) -> torch.Tensor:
    return torch.tensor([[c == "1" for c in row] for row in rows])


def digits(dates: torch.Tensor) -> list[str]:
    return ["".join(map(str, row)) for row in dates.tolist()]


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("1", ["0"]),
        ("111", ["012"]),
        ("1111", ["02", "13"]),
        ("111111", ["024", "135"]),
        ("1111111", ["036", "14", "25"]),
        ("10110", ["023"]),
        ("000", ["0"]),
    ],
)
def test_longer_series_are_read_in_parts_spread_over_them(row: str, expected: list[str]) -> None:
    parts = list(series.series_parts({"s2": seen(row)}, 3))
    assert [digits(p.dates["s2"])[0] for p in parts] == expected
    lengths = [len(e) for e in expected]
    assert [p.share for p in parts] == pytest.approx([n / sum(lengths) for n in lengths])


def test_samples_with_as_many_dates_are_read_together() -> None:
    parts = list(series.series_parts({"s2": seen("1100", "1111", "0110")}, 4))
    assert [p.rows.tolist() for p in parts] == [[0, 2], [1]]
    assert [digits(p.dates["s2"]) for p in parts] == [["01", "12"], ["0123"]]


def test_a_sensor_without_dates_is_left_out() -> None:
    given = {"s2": seen("1111", "0000", "0000"), "s1": seen("10", "11", "00")}
    parts = {p.rows.tolist()[0]: p for p in series.series_parts(given, 8)}
    assert {n: digits(d) for n, d in parts[0].dates.items()} == {"s2": ["0123"], "s1": ["0"]}
    assert {n: digits(d) for n, d in parts[1].dates.items()} == {"s1": ["01"]}
    assert {n: digits(d) for n, d in parts[2].dates.items()} == {"s2": ["0"]}
    first, *others = series.series_parts({n: s[:1] for n, s in given.items()}, 1)
    assert {*first.dates} == {"s2", "s1"}
    assert all({*part.dates} == {"s2"} for part in others)
    assert first.share + sum(part.share for part in others) == pytest.approx(1)


def test_samples_that_differ_in_a_trait_are_read_apart() -> None:
    known = torch.tensor([[True], [False], [True]])
    parts = list(series.series_parts({"s2": seen("11", "11", "11")}, 2, known))
    assert [p.rows.tolist() for p in parts] == [[1], [0, 2]]


def test_a_part_picks_its_rows_and_dates() -> None:
    (part,) = series.series_parts({"s2": seen("101", "011")}, 2)
    images = torch.arange(6).view(2, 3, 1).float()
    assert part.pick({"s2": images, "s1": images})["s2"].flatten(1).tolist() == [[0, 2], [4, 5]]
