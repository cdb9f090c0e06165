"""Benchmark suite for remote-sensing foundation models.

`skybench.load_model`, `load_dataset`, `run`, `table` and `skybench.metrics` are the Python
interface; everything heavy is imported when it is first used.
"""

from __future__ import annotations

import importlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    import pandas as pd

    from skybench.core import DatasetPlugin, Record
    from skybench.core.dataset import Samples
    from skybench.core.model import Model

__all__ = ["load_dataset", "load_model", "metrics", "run", "table"]


def __getattr__(name: str) -> Any:
    if name == "metrics":
        return importlib.import_module("skybench.metrics")
    raise AttributeError(f"module 'skybench' has no attribute {name!r}")


def load_model(
    name: str,
    weights: str | Path | Mapping[str, Any] | None = None,
    variant: str = "full",
    dtype: str = "float32",
    **arch: Any,
) -> Model:
    """A model with its weights, in eval mode.

    weights: None (find the published file), "random", a file, or a state dict in the published
    layout. dtype: "bfloat16" takes half of the memory. Raises UsageError for an unknown name,
    WeightsError where weights are missing or do not fit.
    """
    from skybench.weights import load as loader

    return loader.load_model(name, weights, variant, dtype=dtype, **arch)


def load_dataset(name: str, root: str | Path, split: str, **options: str) -> Samples:
    """The samples of one split, read from the official layout below `root`.

    options: as `skybench show NAME` lists them.
    Raises DataError where data are missing or laid out otherwise, UsageError for unknown names.
    """
    from skybench.core import UsageError, registry

    plugin = cast("DatasetPlugin", registry.load("datasets", name))
    for option in options.keys() - plugin.CARD.options.keys():
        raise UsageError(registry.unknown(f"option of {name}", option, list(plugin.CARD.options)))
    return plugin.open(Path(root), split, 0, **options)


def run(
    model: str | Sequence[str], task: str | Sequence[str] = "all", **options: Any
) -> list[Record]:
    """Runs cells as `skybench run` does; returns the records of all cells asked for.

    options: the fields of skybench.plan.request.Request by name (datasets, protocol, data, weights,
    variant, sensors, options, arch, fraction, seeds, limit, overrides, results, device, force,
    draw).
    `dataset` and `weights` may be plain strings. Raises SkybenchError where something is missing;
    a cell that breaks becomes a record with status "failed".
    """
    from skybench.plan.request import Request
    from skybench.runner.run_cells import run_cells

    def several(value: str | Sequence[str]) -> list[str]:
        return value.split(",") if isinstance(value, str) else list(value)

    if "dataset" in options:
        options["datasets"] = several(options.pop("dataset"))
    if isinstance(options.get("weights"), str | Path):
        options["weights"] = {"": str(options["weights"])}
    for name in ("data", "results"):
        if options.get(name) is not None:
            options[name] = Path(options[name]) if name == "results" else str(options[name])
    return run_cells(Request(models=several(model), tasks=several(task), **options))


def table(results: str | Path | None = None, task: str = "") -> pd.DataFrame:
    """The records below a folder, one row each; scores in percent."""
    from skybench.core import folders
    from skybench.records import store
    from skybench.report.tables import frame

    found, _ = store.read_all(folders.results() if results is None else Path(results))
    return frame([r for r in found if task in ("", r.task)])
