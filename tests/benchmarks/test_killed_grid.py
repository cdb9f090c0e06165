"""What the long test of killed processes would notice; it runs for many minutes itself."""

from __future__ import annotations

import json
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
FOLDER = Path("scene_classification", "aid")


@pytest.fixture(scope="module")
def script() -> dict[str, Any]:
    return runpy.run_path(str(ROOT / "benchmarks" / "killed_grid.py"))


@pytest.fixture
def runs(tmp_path: Path) -> tuple[Path, Path]:
    """Two runs that differ in times only."""
    for number, name in enumerate(("calm", "wild")):
        folder = tmp_path / name / "runs" / FOLDER
        folder.mkdir(parents=True)
        (tmp_path / name / "cache").mkdir()
        record = {"status": "measured", "scores": {"oa": 1.0}, "made": number, "cost": number}
        used = {"features": {"remade": number}, "sensors": ["s2"]}
        (folder / "a.json").write_text(json.dumps({**record, "used": used}))
        (folder / "a.draws").write_text(json.dumps({"record": number, "rights": [1]}))
        (folder / "a.npz").write_bytes(b"same")
    return tmp_path / "calm", tmp_path / "wild"


def spoil_score(folder: Path) -> None:
    record = folder / "runs" / FOLDER / "a.json"
    record.write_text(record.read_text().replace("1.0", "1.5"))


CHANGES: list[tuple[Callable[[Path], Any], str]] = [
    (spoil_score, "differs: scene_classification/aid/a.json"),
    (lambda f: (f / "runs" / FOLDER / "a.npz").write_bytes(b"other"), "differs: .*a.npz"),
    (lambda f: (f / "runs" / FOLDER / "a.npz").unlink(), "only undisturbed: .*a.npz"),
    (lambda f: (f / "runs" / FOLDER / ".a.json.0.tmp").touch(), "only disturbed: .*tmp"),
    (lambda f: (f / "cache" / ".part.0.tmp").mkdir(), "left behind: .*part"),
    (lambda f: (f / "cache" / "x.lock").touch(), "left behind: .*lock"),
]


def test_times_may_differ(script: dict[str, Any], runs: tuple[Path, Path]) -> None:
    assert script["differences"](*runs) == []


@pytest.mark.parametrize(("change", "expected"), CHANGES)
def test_everything_else_is_noticed(
    change: Callable[[Path], Any], expected: str, script: dict[str, Any], runs: tuple[Path, Path]
) -> None:
    change(runs[1])
    (found,) = script["differences"](*runs)
    assert re.match(expected, found)


def test_processes_are_known_by_their_cache(script: dict[str, Any], tmp_path: Path) -> None:
    own = {**os.environ, "SKYBENCH_CACHE": str(tmp_path / "cache")}
    command = [sys.executable, "-c", "input()"]
    with subprocess.Popen(command, env=own, stdin=subprocess.PIPE) as process:
        assert script["_processes_of"](tmp_path) == [process.pid]
        assert script["_processes_of"](tmp_path / "cache") == []
        process.kill()
