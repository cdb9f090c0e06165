"""The commands that read records, on an empty folder and with unknown names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def test_without_records_a_table_says_how_to_make_them(skybench: Any, tmp_path: Path) -> None:
    done = skybench("table", "--results", str(tmp_path))
    assert done.code == 0
    assert done.out.strip() == "No records."
    assert "`skybench run` makes them" in done.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("table", "--format", "xls"), "No format 'xls'. Known: text, md"),
        (("compare", "galileo", "rcff"), "Nothing of galileo was measured here"),
        (("rank", "--protocol", "fine"), "No protocol 'fine'. Did you mean 'finetune'?"),
        (("rank", "--impute", "mean"), "Expected --impute worst or floor"),
        (("curve", "--task", "no_such"), "No task 'no_such'"),
        (("reproduce", "abcd"), "No record's fingerprint begins with 'abcd'"),
        (("claims", "--model", "galileo"), "Nothing of galileo was measured in"),
    ],
)
def test_what_is_unknown_is_refused(
    words: tuple[str, ...], message: str, skybench: Any, tmp_path: Path
) -> None:
    done = skybench(*words, "--results", str(tmp_path))
    assert done.code == 2
    assert message in done.err
