from __future__ import annotations

from pathlib import Path

import pytest

from skybench import keeping
from skybench.core import DataError


def test_a_cache_that_cannot_be_written_to_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(DataError, match="SKYBENCH_CACHE"):
        keeping.fill(tmp_path / "file" / "entry", {}, [], 0, "pooled")
