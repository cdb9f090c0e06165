"""Paired tests of a table: made once, and made again where predictions or rules are others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skybench.analysis import paired_tests, remembered_tests
from skybench.analysis.remembered_tests import RememberedTests
from skybench.core import folders
from skybench.report import tables
from tests.conftest import Made

pytestmark = pytest.mark.usefixtures("own_cache")
RNG = np.random.default_rng(0)
BEST, NEXT, POOR = (RNG.random(60) < share for share in (0.95, 0.8, 0.3))


@pytest.fixture
def tested(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    pairs, real = [], paired_tests.paired_difference

    def spy(one: Any, other: Any) -> Any:
        pairs.append((one.record, other.record))
        return real(one, other)

    monkeypatch.setattr(paired_tests, "paired_difference", spy)
    return pairs


def test_a_table_tests_each_row_against_the_best_once(
    made: Made, tmp_path: Path, tested: list[Any]
) -> None:
    records = [made("imagenet", BEST), made("rcf", NEXT), made("image_stats", POOR)]
    first = tables.record_grids(records, tmp_path)
    assert len(tested) == 2
    assert first[0].best
    assert tables.record_grids(records, tmp_path) == first
    assert len(tested) == 2
    more = [*records, made("gfm", ~BEST)]
    tables.record_grids(more, tmp_path)
    assert len(tested) == 3


def test_nothing_is_remembered_of_other_code_or_of_a_damaged_file(
    made: Made, tmp_path: Path, tested: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = made("imagenet", BEST), made("rcf", NEXT)

    def p_value() -> float | None:
        with RememberedTests(tmp_path) as tests:
            return tests.p_value(one, other)

    p = p_value()
    assert p is not None
    (file,) = (folders.cache() / "tests").iterdir()
    for text in ("{", "[]", '{"rules": 0, "pairs": {}}'):
        file.write_text(text)
        assert p_value() == p
    assert len(tested) == 4
    monkeypatch.setattr(remembered_tests, "_rules", lambda: [[1]])
    assert p_value() == p
    assert len(tested) == 5


def test_without_predictions_there_is_no_test(
    made: Made, tmp_path: Path, tested: list[Any]
) -> None:
    one, other, none = made("imagenet", BEST), made("rcf", NEXT), made("gfm", POOR, keep=False)
    with RememberedTests(tmp_path) as tests:
        assert tests.p_value(one, none) is tests.p_value(none, one) is None
        assert tests.p_value(one, other) is not None
    for file in tmp_path.rglob(f"{other.path.stem}.*"):
        if file.suffix in (".npz", ".draws"):
            file.unlink()
    with RememberedTests(tmp_path) as tests:
        assert tests.p_value(one, other) is None  # though it is remembered: the table tells ties
    assert len(tested) == 1
