"""Coverage: what is enough of a model to load a file."""

from __future__ import annotations

import pytest

from skybench.core.loaded import MIN_COVERAGE, Coverage, LoadInfo


@pytest.mark.parametrize(
    ("share", "mismatched", "enough"),
    [(1.0, (), True), (MIN_COVERAGE, (), True), (0.98, (), False), (1.0, ("head.weight",), False)],
)
def test_almost_all_elements_and_no_other_shape_are_enough(
    share: float, mismatched: tuple[str, ...], enough: bool
) -> None:
    assert Coverage(share, (), (), mismatched).enough == enough


def test_nothing_is_known_of_weights_unless_they_are_a_file() -> None:
    assert LoadInfo("random") == LoadInfo("random", path="", sha256="", coverage=None, note="")
