"""The commands of `skybench weights`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


def test_the_list_says_how_to_get_each_checkpoint(skybench: Any) -> None:
    rows = skybench("weights", "list", "--json").json
    assert {"name", "variant", "state", "file", "licence", "obtain"} == set(rows[0])
    missing = [row for row in rows if row["state"] == "missing"]
    assert missing
    assert all(row["obtain"] for row in missing)


def test_without_a_checkpoint_there_is_nothing_to_verify(
    skybench: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("SKYBENCH_WEIGHTS", str(tmp_path))
    done = skybench("weights", "verify", "galileo")
    assert done.code in (0, 2)
    assert "skybench weights" in done.err or "galileo" in done.err


def test_a_missing_file_is_a_user_s_error(skybench: Any, tmp_path: Path) -> None:
    done = skybench("weights", "import", str(tmp_path / "none.pth"))
    assert done.code == 2
    assert "none.pth" in done.err
