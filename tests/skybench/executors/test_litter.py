"""What killed processes leave behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from skybench.core import folders
from skybench.core.lock import hold_lock
from skybench.executors.litter import remove_litter
from skybench.plan.request import Request

KILLED = """
import os, pathlib, signal, sys
from skybench.core.atomic import temporary_beside
from skybench.core.lock import hold_lock
for folder in map(pathlib.Path, sys.argv[1:]):
    temporary_beside(folder / "a.json").touch()
with hold_lock(pathlib.Path(sys.argv[1]) / "cell.lock"):
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.usefixtures("own_cache")
def test_files_and_locks_of_dead_processes_are_removed_and_no_others(tmp_path: Path) -> None:
    results = tmp_path / "runs" / "task" / "set"
    for folder in (results, folders.cache()):
        folder.mkdir(parents=True)
    command = [sys.executable, "-P", "-c", KILLED, str(results), str(folders.cache())]
    assert subprocess.run(command, env=dict(os.environ), check=False).returncode == -9
    left = [len([*folder.iterdir()]) for folder in (results, folders.cache())]
    assert left == [2, 1]
    (results / "record.json").touch()
    with hold_lock(results / "held.lock"):
        remove_litter(Request(results=tmp_path / "runs"))
        assert sorted(p.name for p in results.iterdir()) == ["held.lock", "record.json"]
    assert [*folders.cache().iterdir()] == []
