from __future__ import annotations

from pathlib import Path

import pytest

from skybench.core import DataError
from skybench.features import cache


def test_a_cache_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="SKYBENCH_CACHE"):
        cache.fill(tmp_path / "file" / "entry", {}, [], 0, "pooled")
