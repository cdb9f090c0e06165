"""The groups of `skybench bench`, and what runs them: one thread, rows as they are measured."""

from __future__ import annotations

import contextlib
import datetime
import importlib
import os
import platform
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from skybench.bench.timing import Form, Timing, judged_at_full, value_row
from skybench.core import UsageError
from skybench.core.registry import unknown

Report = Callable[[str, int, int], None]


class Group(NamedTuple):
    """Computations that are measured together; nothing heavy is imported before that."""

    title: str
    function: str  # module:function, which takes a Form and gives an iterator of Timing


GROUPS = {
    "extraction": Group(
        "a cell beside the bare forward loop of its network, cold and again with its features kept",
        "extraction:time_extraction",
    ),
    "heads": Group(
        "the sweep of a logistic regression beside scikit-learn, kNN beside faiss",
        "pooled_heads:time_pooled_heads",
    ),
    "metrics": Group(
        "mIoU beside torchmetrics; intervals and paired replicates of large test sets",
        "scores:time_scores",
    ),
    "boxes": Group(
        "COCO's AP beside pycocotools, faster-coco-eval and hotcoco; rotated IoU and AP beside "
        "a loop with shapely",
        "boxes:time_boxes",
    ),
    "readers": Group(
        "readers beside PIL, rasterio and torchgeo's classes, on made files of full size",
        "full_size:time_full_size",
    ),
    "finetune": Group(
        "training steps of a ViT, UPerNet and Faster R-CNN beside bare loops",
        "training_steps:time_training_steps",
    ),
    "startup": Group(
        "the commands --help and list, a finished grid again, tables of many records",
        "startup:time_startup",
    ),
    "whole": Group(
        "a whole classification job beside a careful script with torch and scikit-learn",
        "whole_job:time_whole_job",
    ),
}


def chosen_groups(names: Sequence[str]) -> list[str]:
    """Return the names of groups, all where none is given. Raises UsageError for others."""
    wanted = [part for name in names for part in name.split(",") if part]
    for name in wanted:
        if name not in GROUPS:
            raise UsageError(unknown("group of benchmarks", name, list(GROUPS)))
    return [name for name in GROUPS if name in wanted or not wanted]


def run_groups(
    names: Sequence[str], form: Form = "short", report: Report = lambda *_: None
) -> Iterator[Timing]:
    """Yield the rows of groups as they are measured, on one thread."""
    with one_thread():
        for done, name in enumerate(names):
            report(name, done, len(names))
            module, _, function = GROUPS[name].function.partition(":")
            measure = getattr(importlib.import_module(f"skybench.bench.{module}"), function)
            for row in _rows(measure, form):
                report(f"{name}: {row.what}", done, len(names))
                told = judged_at_full(row, form) if form == "tiny" else row
                yield told._replace(group=name)


def _rows(measure: Callable[[Form], Iterator[Timing]], form: Form) -> Iterator[Timing]:
    """The rows of a group; one that fails ends with a row that says why, and the others run."""
    try:
        yield from measure(form)
    except Exception as error:  # a peer may break in any way
        why = f"failed: {type(error).__name__}: {error}".splitlines()[0]
        yield value_row(why, 0, "s")._replace(holds="failed")


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread, also in child processes: threads that wait would count as work."""
    import torch
    from threadpoolctl import threadpool_limits

    before, shared = torch.get_num_threads(), os.environ.get("OMP_NUM_THREADS")
    torch.set_num_threads(1)
    os.environ["OMP_NUM_THREADS"] = "1"
    try:
        with threadpool_limits(1):
            yield
    finally:
        torch.set_num_threads(before)
        if shared is None:
            del os.environ["OMP_NUM_THREADS"]
        else:
            os.environ["OMP_NUM_THREADS"] = shared


def machine_facts(form: Form) -> dict[str, Any]:
    """Return what a number of this run depends on, as plain JSON."""
    import torch

    from skybench.core.version import __version__

    cuda = torch.cuda.is_available()
    return {
        "date": datetime.date.today().isoformat(),
        "processor": _processor(),
        "cores": os.cpu_count(),
        "device": torch.cuda.get_device_name() if cuda else "cpu",
        "clock": "wall time" if cuda else "CPU time",
        "threads": 1,
        "size": form,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "skybench": __version__,
    }


def _processor() -> str:
    """The processor's name, as Linux or Python has it."""
    with contextlib.suppress(OSError):
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()
