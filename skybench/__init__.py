"""Benchmark suite for remote-sensing foundation models.

The Python interface is `skybench.load_model`, `load_dataset`, `run`, `table` and
`skybench.metrics`. Heavy dependencies are imported on first use.
"""

from __future__ import annotations

import importlib
import warnings
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
    which: str = "",
    **arch: Any,
) -> Model:
    """Load a model with its weights, in eval mode.

    weights: None (find the published file), "random", a path, or a published state dict. dtype:
    "bfloat16" halves the memory. which: "raw", "ema", "student" or "teacher", where a file holds
    several sets of weights. arch: settings of the network.
    Raises UsageError for an unknown name, WeightsError where weights are missing or do not fit.
    Warns where parameters that the file lacks keep random values.
    """
    from skybench.plan import arguments
    from skybench.weights import load

    asked = "full" if variant is None else arguments.text_of(variant, "variant")
    kind = arguments.text_of(dtype, "dtype")
    settings = arguments.network_settings(name, asked, arch)
    model = load.load_model(name, weights, asked, dtype=kind, which=which, **settings)
    if note := load.partial_note(model.loaded):
        warnings.warn(note, stacklevel=2)
    return model


def load_dataset(name: str, root: str | Path, split: str, **options: str) -> Samples:
    """Open one split of a dataset; root: its folder, in the official layout.

    options: as `skybench show NAME` lists them.
    Raises DataError where data are missing or in another layout, UsageError for unknown names.
    """
    from skybench.core import UsageError, registry
    from skybench.plan import arguments

    plugin = registry.dataset(name)
    for option in options.keys() - plugin.CARD.options.keys():
        raise UsageError(registry.unknown(f"option of {name}", option, list(plugin.CARD.options)))
    chosen = arguments.pairs_of(options, "options")
    where, asked = arguments.path_of(root, "root"), arguments.text_of(split, "split")
    return plugin.open(where, asked, 0, **chosen)


def run(
    model: str | Sequence[str], task: str | Sequence[str] = "all", **options: Any
) -> list[Record]:
    """Run cells as `skybench run` does, and return the records of all requested cells.

    options: fields of `skybench.plan.request.Request` (datasets, protocol, data, weights, variant,
    sensors, options, arch, fraction, seeds, limit, overrides, results, device, force, draw, jobs,
    timeout, budget, shard; with several jobs, as on several GPUs, a script needs its
    `if __name__ == "__main__":`), also by the names of the command line (dataset, set, size).
    Every value may be text as there:
    sensors="planet,s2", set="epochs=5", weights="random".
    Raises SkybenchError for an invalid request, or missing data or weights. A cell that raises any
    other error gets a record with the status "failed".
    """
    import dataclasses

    from skybench.executors.execute import execute_request
    from skybench.plan import arguments
    from skybench.plan.request import Request

    known = [field.name for field in dataclasses.fields(Request)]
    given = {"models": model, "tasks": task, **options}
    request = Request(**arguments.request_fields(given, known))
    return execute_request(request)


def table(results: str | Path | None = None, task: str | Sequence[str] | None = "") -> pd.DataFrame:
    """Return the records below a folder as a data frame, one row each; task: its name, "" for all.

    Raises UsageError for an unknown task.
    """
    from skybench.core import folders, registry
    from skybench.plan import arguments
    from skybench.plan.former_recipes import with_recipes
    from skybench.records import index
    from skybench.records.identity import with_identity
    from skybench.report.long_rows import data_frame

    wanted = [] if task in ("", "all", None) else [*arguments.names_of(task, "task")]
    known = [registry.resolve("tasks", name) for name in wanted]
    path = folders.results() if results is None else arguments.results_of(results, "results")
    with index.without_collection():
        found, _ = index.read_brief(path)
        records = with_recipes(with_identity([*found.values()]))
        return data_frame([r for r in records if not known or r.task in known])
