"""The table of damaged files."""

from __future__ import annotations

from pathlib import Path

import pytest

from skybench.cli.output_records import show_record_damage


def test_an_empty_folder_and_one_with_a_text(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert show_record_damage([], tmp_path, as_json=False) == 0
    assert capsys.readouterr().out == "0 records read, 0 damaged.\n"
    path = tmp_path / "a" / "b" / "c.json"
    path.parent.mkdir(parents=True)
    path.write_text("{}")
    assert show_record_damage([], tmp_path, as_json=False) == 1
    out = capsys.readouterr().out
    assert "a/b/c.json" in out
    assert "not a record of skybench" in out
