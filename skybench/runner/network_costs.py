"""What a network costs for one image, counted once for each network, sensors and image size."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Mapping

from skybench.core import folders
from skybench.core.atomic import write_whole
from skybench.core.fingerprint import fingerprint
from skybench.features.extractor import Extractor
from skybench.plan.cell import Cell, affecting
from skybench.runner import provenance, trained_weights

VERSION = 1  # incremented when the counts change
_KNOWN: dict[str, dict[str, float]] = {}  # in this process; the same is in the cache


def network_costs(extractor: Extractor, cell: Cell) -> Mapping[str, float]:
    """Return `gflops` and `parameters`, of the branches that run, for a cell's test image."""
    key = fingerprint(_depends_on(cell))
    if key not in _KNOWN:
        path = folders.cache() / "costs" / f"{key[:24]}.json"
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            _KNOWN[key] = {name: float(kept[name]) for name in ("gflops", "parameters")}
        except (OSError, ValueError, KeyError, TypeError):
            _KNOWN[key] = {
                "gflops": provenance.gflops(extractor, cell),
                "parameters": trained_weights.parameters_used(extractor, cell),
            }
            with contextlib.suppress(OSError), write_whole(path) as temporary:
                temporary.write_text(json.dumps(_KNOWN[key]), encoding="utf-8")
    return _KNOWN[key]


def _depends_on(cell: Cell) -> dict[str, object]:
    """The network, and the shape of its input: sensors, dates and size of the test images."""
    whole, recipe = affecting(cell), cell.recipe
    return {
        "version": VERSION,
        "model": whole["model"],  # weights too: settings may follow from the file
        "images": [whole["dataset"], whole["data"], whole["sensors"], whole["splits"].get("test")],
        "read": [recipe.size, recipe.tile, list(recipe.options), cell.task.time],
    }
