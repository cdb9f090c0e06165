"""Errors: a caller may catch all that a user can fix at once."""

from __future__ import annotations

import pytest

from skybench.core import CannotRun, DataError, SkybenchError, UsageError, WeightsError


@pytest.mark.parametrize("kind", [CannotRun, DataError, UsageError, WeightsError])
def test_every_error_is_one_of_skybench(kind: type[SkybenchError]) -> None:
    assert issubclass(kind, SkybenchError)
    assert not issubclass(kind, ValueError | OSError)  # or a bug would look like a user's mistake
