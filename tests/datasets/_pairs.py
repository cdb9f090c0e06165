"""BigEarthNet's demo data, smaller: for several tests."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from skybench.core import registry

facts = importlib.import_module("skybench.datasets._readers.bigearthnet")
writer = importlib.import_module("skybench.datasets._demo.bigearthnet")


S2, S1 = "BigEarthNet-v1.0", "BigEarthNet-S1-v1.0"


def write_pairs(folder: Path) -> Path:
    """Few patches of demo data of both sensors; their folder."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(writer, "COUNT", 45)
        registry.load("datasets", "ben_mm").write_demo(folder / "ben_mm", 0)
    return folder / "ben_mm"
