"""Predicted boxes in the form that a data set's server takes."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from skybench.core import Record, UsageError, registry


def export(record: Record, results: Path, out: Path) -> list[Path]:
    """Kept detections as a server takes them; the files.

    A dataset with a form of its own (`write_results`, as FAIR1M) gets that, in a folder, every
    other DOTA's, in an archive; the name says whether the data were simulated or a part of them,
    and whether the model was untrained or reduced.
    Raises DataError where nothing was kept, UsageError for another task.
    """
    from skybench.boxes.dota_files import write_dota
    from skybench.records import predictions

    plugin = registry.load("datasets", record.dataset)
    kept = predictions.load(record, results)
    metric: Any = kept.metrics[0]
    if not hasattr(metric, "found"):
        raise UsageError(f"{record.task} gives no boxes; detections alone can be exported.")
    found: dict[str, Any] = metric.found(kept.keys)  # by names without ending
    classes, name = list(record.used["classes"]), _exported(record)
    if not hasattr(plugin, "write_results"):
        path = out / f"{name}.zip"
        write_dota(path, classes, found)
        return [path]
    each = {
        image: [
            (classes[int(label)], float(score), corners.tolist())
            for corners, score, label in zip(said.corners, said.scores, said.labels, strict=True)
        ]
        for image, said in found.items()
    }
    written: list[Path] = plugin.write_results(out / name, each)
    return written


def _exported(record: Record) -> str:
    """A name that tells the record from any other, and what is no result from what is one."""
    kinds = [f for f in ("random weights", "tiny variant", "limited") if f in record.flags]
    demo = ["demo data"] * (record.data == "demo")
    words = [record.model, record.dataset, *demo, *kinds, record.fingerprint[:8]]
    return ".".join(words).replace(" ", "_")
