"""The time of commands: help and lists, a finished grid again, tables of many records."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

from skybench.bench.cells import command, own_folders
from skybench.bench.made_records import write_records
from skybench.bench.timing import Form, Timing, judged_at_full, time_alone
from skybench.records import store

STORES = {"tiny": (3,), "short": (100, 1000, 10_000), "full": (100, 1000, 10_000)}
TEXT, JSON, FIRST, AGAIN = "<= 1", "<= 3", "<= 3", "<= 1.5"
PREDICTED = {"tiny": (2, 6), "short": (60, 1000), "full": (500, 3150)}  # records, images of each
GRIDS = {  # the models and tasks of the finished grid
    "tiny": ("image_stats", "scene_classification", "--dataset=eurosat"),
    "short": ("rcf,image_stats", "scene_classification"),
    "full": ("skysense,imagenet,rcf,image_stats", "all"),
}
ROUNDS = {"tiny": 1, "short": 3, "full": 5}


def time_startup(form: Form) -> Iterator[Timing]:
    """Yield the CPU time of commands, each in a process of its own, the interpreter included."""
    rounds = ROUNDS[form]
    yield time_alone("skybench --help", lambda: command("--help"), rounds, "<= 0.3")
    if form != "tiny":
        yield time_alone("skybench list models", lambda: command("list", "models"), rounds, "<= 1")
    with tempfile.TemporaryDirectory() as name:
        yield from _tables(Path(name), form)
        yield _again(Path(name), form)


def _tables(folder: Path, form: Form) -> Iterator[Timing]:
    largest = STORES["full"][-1]
    for count in STORES[form]:
        results = folder / f"records{count}"
        write_records(results, count)
        with own_folders(folder / "cache", results):
            first = time_alone(f"table of {count:,} records, first", lambda: command("table"), 1)
            again = time_alone(
                f"table of {count:,} records", lambda: command("table"), 2,
                TEXT if count == largest else "",
            )  # fmt: skip
            document = time_alone(
                f"table of {count:,} records as JSON", lambda: command("table", "--format", "json"),
                1, JSON if count == largest else "",
            )  # fmt: skip
        yield from (first, again, document)
    count, images = PREDICTED[form]
    results = folder / "predicted"
    write_records(results, count, images)
    with own_folders(folder / "cache", results):
        what = f"first table of {count:,} records with predictions of {images:,} images"
        row = time_alone(what, lambda: command("table"), 1, FIRST)
    yield judged_at_full(row, form)


def _again(folder: Path, form: Form) -> Timing:
    models, tasks, *more = GRIDS[form]
    words = ["run", "--model", models, "--task", tasks, *more, "--data=demo", "--limit=8"]
    results = folder / "grid"
    with own_folders(folder / "cache", results):
        command(*words)
        cells = len(store.read_records(results)[0])
        row = time_alone(
            f"a finished grid of {cells} cells again", lambda: command(*words), ROUNDS[form], AGAIN
        )
    return judged_at_full(row, form)
