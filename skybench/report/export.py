"""Export of predicted boxes in the format of a dataset's evaluation server."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from skybench.core import Record, UsageError, registry


def export_boxes(record: Record, results: Path, out: Path) -> list[Path]:
    """Write kept detections in the format of a dataset's server; return the files.

    A dataset with a format of its own (`write_results`, as FAIR1M) gets a folder, any other an
    archive of DOTA's format. The name says whether the data were simulated or a part of them, and
    whether the model was untrained or reduced.
    Raises DataError where nothing was kept, UsageError for another task.
    """
    from skybench.boxes.dota_files import write_dota
    from skybench.records import predictions

    plugin = registry.dataset(record.dataset)
    kept = predictions.load_predictions(record, results)
    metric: Any = kept.metrics[0]
    if not hasattr(metric, "found"):
        raise UsageError(f"{record.task} gives no boxes; detections alone can be exported.")
    found: dict[str, Any] = metric.found(kept.keys)  # by names without ending
    classes = list(record.used.get("classes", plugin.CARD.classes))
    name = _exported(record)
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
    write: Any = plugin.write_results
    written: list[Path] = write(out / name, each)
    return written


def _exported(record: Record) -> str:
    """A unique name, which says what the record is not a result of."""
    kinds = [f for f in ("random weights", "tiny variant", "limited") if f in record.flags]
    demo = ["demo data"] * (record.data == "demo")
    words = [record.model, record.dataset, *demo, *kinds, record.fingerprint[:8]]
    return ".".join(words).replace(" ", "_")
