"""Cells run by the public interface, with a cache and records of their own."""

from __future__ import annotations

import contextlib
import importlib
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from skybench.core import SkybenchError

VARIABLES = ("SKYBENCH_CACHE", "SKYBENCH_RESULTS")


@contextlib.contextmanager
def own_folders(cache: Path, results: Path) -> Iterator[None]:
    """Use these folders for the cache and the records, also in child processes."""
    before = {name: os.environ.get(name) for name in VARIABLES}
    os.environ |= dict(zip(VARIABLES, (str(cache), str(results)), strict=True))
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def measure_cells(**options: Any) -> list[Any]:
    """Run cells by `skybench.run`, which stands above this package; return their records.

    Raises SkybenchError where a cell did not come out: its time would mean nothing.
    """
    records = importlib.import_module("skybench").run(**options)
    for record in records:
        if not record.came_out:
            raise SkybenchError(f"{record.model} on {record.dataset} did not run: {record.note}")
    return list(records)


def command(*words: str) -> None:
    """Run the command line in a process of its own. Raises SkybenchError where it fails."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "skybench", *words],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise SkybenchError(f"skybench {' '.join(words)} failed: {done.stderr.strip()[-500:]}")
