"""`skybench records check`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tests.conftest import Made


def test_damage_gives_exit_code_1(skybench: Any, made: Made, tmp_path: Path) -> None:
    record = made("rcf", [True, False])
    sound = skybench("records", "check", "--results", str(tmp_path))
    assert (sound.code, sound.out) == (0, "1 record read, 0 damaged.\n")
    path = tmp_path / record.path.with_suffix(".npz")
    path.write_bytes(path.read_bytes()[:-5])
    for words in ([], [str(tmp_path / record.path)]):
        ended = skybench("records", "check", *words, "--results", str(tmp_path), "--json")
        assert (ended.code, ended.json["records"]) == (1, 1)
        assert [row["file"] for row in ended.json["damaged"]] == [str(path.relative_to(tmp_path))]
