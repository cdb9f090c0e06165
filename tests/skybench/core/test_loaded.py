"""Coverage: when a file may be loaded."""

from __future__ import annotations

import pytest

from skybench.core.loaded import SETS, Coverage, LoadInfo


@pytest.mark.parametrize(
    ("coverage", "enough"),
    [
        (Coverage(1.0, (), (), ()), True),
        (Coverage(1.0, ("spare.bias",), ("head.bias",), (), unused=("head (1)",)), True),
        (Coverage(0.9999, (), (), (), lacking=("norm.bias",)), False),
        (Coverage(1.0, (), (), ("head.weight",)), False),
        (Coverage(1.0, (), (), (), inside=("blocks.0.ls1.gamma",)), False),
        (Coverage(0.0, (), (), ()), False),
    ],
)
def test_a_file_is_used_whole_or_not_at_all(coverage: Coverage, enough: bool) -> None:
    assert coverage.enough == enough


def test_nothing_is_known_of_weights_unless_they_are_a_file() -> None:
    assert LoadInfo("random") == LoadInfo("random", path="", sha256="", coverage=None, note="")


def test_the_sets_of_weights_are_two_pairs() -> None:
    assert SETS == ("raw", "student", "ema", "teacher")
