"""Benchmark suite for remote-sensing foundation models.

The Python interface is `skybench.load_model`, `load_dataset`, `run`, `table` and
`skybench.metrics`. Heavy dependencies are imported on first use.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd

    from skybench.core import Record, Samples
    from skybench.core.model import Model

__all__ = ["load_dataset", "load_model", "metrics", "run", "table"]


def __getattr__(name: str) -> Any:
    if name == "metrics":
        return importlib.import_module("skybench.metrics")
    if name == "__version__":
        return importlib.import_module("skybench.core.version").__version__
    raise AttributeError(f"module 'skybench' has no attribute {name!r}")


def load_model(
    name: str,
    weights: str | Path | Mapping[str, Any] | None = None,
    variant: str = "full",
    dtype: str = "float32",
    **arch: Any,
) -> Model:
    """Load a model with its weights, in eval mode.

    weights: None (find the published file), "random", a path, or a published state dict. dtype:
    "bfloat16" halves the memory. arch: settings of the network.
    Raises UsageError for an unknown name, WeightsError where weights are missing or do not fit.
    """
    from skybench.weights import load

    return load.load_model(name, weights, variant, dtype=dtype, **arch)


def load_dataset(name: str, root: str | Path, split: str, **options: str) -> Samples:
    """Open one split of a dataset; root: its folder, in the official layout.

    options: as `skybench show NAME` lists them.
    Raises DataError where data are missing or in another layout, UsageError for unknown names.
    """
    from skybench.core import UsageError, registry

    plugin = registry.dataset(name)
    for option in options.keys() - plugin.CARD.options.keys():
        raise UsageError(registry.unknown(f"option of {name}", option, list(plugin.CARD.options)))
    return plugin.open(Path(root), split, 0, **options)


def run(
    model: str | Sequence[str], task: str | Sequence[str] = "all", **options: Any
) -> list[Record]:
    """Run cells as `skybench run` does, and return the records of all requested cells.

    options: fields of `skybench.plan.request.Request` (datasets, protocol, data, weights, variant,
    sensors, options, arch, fraction, seeds, limit, overrides, results, device, force, draw);
    `dataset` and `weights` may be strings.
    Raises SkybenchError for an invalid request, or missing data or weights. A cell that raises any
    other error gets a record with the status "failed".
    """
    from skybench.plan.request import Request
    from skybench.runner.run_cells import run_cells

    def as_list(value: str | Sequence[str]) -> list[str]:
        return value.split(",") if isinstance(value, str) else list(value)

    if "dataset" in options:
        options["datasets"] = as_list(options.pop("dataset"))
    if isinstance(options.get("weights"), str | Path):
        options["weights"] = {"": str(options["weights"])}
    for name in ("data", "results"):
        if options.get(name) is not None:
            options[name] = Path(options[name]) if name == "results" else str(options[name])
    return run_cells(Request(models=as_list(model), tasks=as_list(task), **options))


def table(results: str | Path | None = None, task: str = "") -> pd.DataFrame:
    """Return the records below a folder as a data frame, one row each."""
    from skybench.core import folders
    from skybench.records import store
    from skybench.report.tables import data_frame

    records, _ = store.read_records(folders.results() if results is None else Path(results))
    return data_frame([r for r in records if task in ("", r.task)])
