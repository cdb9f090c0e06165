"""Sizes and times in the words of people."""

from __future__ import annotations

import pytest

from skybench.cli.output_cache import age_text, bytes_of, size_text
from skybench.core import UsageError


@pytest.mark.parametrize(
    ("text", "size"), [("100GB", 1e11), ("1.5 mb", 1.5e6), ("7", 7.0), ("2T", 2e12), ("0", 0.0)]
)
def test_a_size_is_read(text: str, size: float) -> None:
    assert bytes_of(text) == size


@pytest.mark.parametrize("text", ["", "GB", "-1GB", "1PB", "1e9"])
def test_what_is_no_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="as 100GB"):
        bytes_of(text)


def test_sizes_and_ages_are_told_in_their_largest_unit() -> None:
    assert [size_text(x) for x in (0, 1e6, 2.5e12)] == ["0.0 kB", "1.0 MB", "2,500.0 GB"]
    assert [age_text(x) for x in (0, 61, 90000)] == ["0 s", "1 min", "1 d"]
