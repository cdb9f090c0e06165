"""The folders of data, weights, results and the cache, and where each setting comes from."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


class Folder(NamedTuple):
    """The folder that a variable stands for, and where that was set."""

    variable: str
    path: Path
    why: str  # "environment", "default", or "below SKYBENCH_CACHE"


DEFAULTS = {
    "SKYBENCH_DATA": "data",
    "SKYBENCH_RESULTS": "runs",
    "SKYBENCH_CACHE": "~/.cache/skybench",
    "SKYBENCH_WEIGHTS": "~/.cache/skybench/weights",
}


def folder_of(variable: str) -> Folder:
    """Return the folder of an environment variable, or its default; it need not exist."""
    given = os.environ.get(variable, "").strip()
    if given:
        return Folder(variable, Path(given).expanduser(), "environment")
    if variable == "SKYBENCH_WEIGHTS" and os.environ.get("SKYBENCH_CACHE", "").strip():
        return Folder(variable, cache() / "weights", "below SKYBENCH_CACHE")
    return Folder(variable, Path(DEFAULTS[variable]).expanduser(), "default")


def data() -> Path:
    """Return the folder of the datasets, which has one subfolder for each, by name."""
    return folder_of("SKYBENCH_DATA").path


def results() -> Path:
    """Return the folder of the records, one JSON file for each cell."""
    return folder_of("SKYBENCH_RESULTS").path


def cache() -> Path:
    """Return the folder of features, demo data and split lists, which can all be made again."""
    return folder_of("SKYBENCH_CACHE").path


def weights() -> Path:
    """Return the folder of the checkpoints, which has one subfolder for each model, by name."""
    return folder_of("SKYBENCH_WEIGHTS").path
