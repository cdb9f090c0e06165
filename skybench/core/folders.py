"""Where data, weights, results and the cache lie, and on whose authority."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NamedTuple


class Place(NamedTuple):
    """A folder in force, and why."""

    variable: str
    path: Path
    why: str


DEFAULTS = {
    "SKYBENCH_DATA": "data",
    "SKYBENCH_RESULTS": "runs",
    "SKYBENCH_CACHE": "~/.cache/skybench",
    "SKYBENCH_WEIGHTS": "~/.cache/skybench/weights",
}


def place(variable: str) -> Place:
    """The folder that an environment variable, or its default, names; it need not exist."""
    given = os.environ.get(variable, "").strip()
    if given:
        return Place(variable, Path(given).expanduser(), "environment")
    if variable == "SKYBENCH_WEIGHTS" and os.environ.get("SKYBENCH_CACHE", "").strip():
        return Place(variable, cache() / "weights", "below SKYBENCH_CACHE")
    return Place(variable, Path(DEFAULTS[variable]).expanduser(), "default")


def data() -> Path:
    """Datasets: one folder each, by its id."""
    return place("SKYBENCH_DATA").path


def results() -> Path:
    """Records: one JSON file a cell."""
    return place("SKYBENCH_RESULTS").path


def cache() -> Path:
    """What can be made again: features, demo data, split lists."""
    return place("SKYBENCH_CACHE").path


def weights() -> Path:
    """Checkpoints: one folder a model, by its id."""
    return place("SKYBENCH_WEIGHTS").path
