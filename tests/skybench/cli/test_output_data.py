"""Output of the commands about data."""

from __future__ import annotations

from pathlib import Path

import pytest

from skybench.cli import output_data
from skybench.core import SkybenchError, UsageError


def test_a_folder_with_files_is_not_written_to(tmp_path: Path) -> None:
    (tmp_path / "eurosat").mkdir()
    (mine := tmp_path / "eurosat" / "mine").touch()
    with pytest.raises(SkybenchError, match="is not empty"):
        output_data.write_demo(tmp_path, ["ben_s2", "eurosat"])
    assert [*tmp_path.rglob("*")] == [mine.parent, mine]  # nor was another written
    with pytest.raises(UsageError, match="eurosat"):
        output_data.write_demo(tmp_path, ["eurosatt"])
