"""A record looked at again: scored by another variant of its metric, or set out for a repeat."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, cast

from skybench.core import DataError, DatasetCard, Recipe, Task, UsageError, registry
from skybench.plan import recipe_text
from skybench.records.store import Record
from skybench.report import paper_tables, tables

Row = dict[str, Any]
WHOSE = {"ours": "our recipe", "seen substitute": "the recipe that stands in"}


def rescored(
    records: Iterable[Record], results: Path, metric: str = ""
) -> tuple[list[Row], list[str]]:
    """Every score, or one, of every record that kept its predictions; and what is missing."""
    rows: list[Row] = []
    missing: list[str] = []
    for record in records:
        try:
            rows += _scores(record, results)
        except (DataError, UsageError) as error:  # UsageError: a plugin that is not installed
            missing.append(str(error))
    names = sorted({row["metric"] for row in rows})
    if metric and metric not in names:
        raise UsageError(registry.unknown("score of kept predictions", metric, names or ["none"]))
    return [row for row in rows if metric in ("", row["metric"])], missing


def _scores(record: Record, results: Path) -> Iterator[Row]:
    from skybench.analysis import bootstrap
    from skybench.records import predictions

    kept = predictions.load(record, results)
    every = [m.scores() for m in kept.metrics]
    bands = bootstrap.intervals(kept.metrics, len(kept.keys))
    for name in every[0]:
        band = bands.get(name)
        yield {
            "task": record.task, "dataset": record.dataset,
            "label": record.recipe.get("label", ""), "data": record.data,
            "model": record.model, "variant": record.used.get("variant", ""),
            "weights": tables.weights_of(record), "sensors": record.sensors,
            "protocol": record.recipe["protocol"], "settings": tables.settings(record),
            "metric": name,
            "score": round(sum(s[name] for s in every) / len(every), 4),
            "low": round(band.low, 4) if band else None,
            "high": round(band.high, 4) if band else None,
            "recorded": record.scores.get(name), "images": len(kept.keys),
            "flags": list(record.flags), "fingerprint": record.fingerprint[:8],
        }  # fmt: skip


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


def pick(records: Sequence[Record], start: str) -> Record:
    """The record whose fingerprint begins so. Raises UsageError for none or several."""
    found = [r for r in records if start and r.fingerprint.startswith(start.lower())]
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(f"{r.fingerprint[:12]} ({r.model}, {r.dataset})" for r in found)
        raise UsageError(f"{start!r} is the beginning of several fingerprints: {several}.")
    known = ", ".join(f"{r.fingerprint[:8]} ({r.model}, {r.dataset})" for r in records[:10])
    raise UsageError(f"No record's fingerprint begins with {start!r}. Here are: {known or 'none'}.")


def reproduction(record: Record) -> Row:
    """What the paper has, what we have, how the recipes differ, and the command."""
    name, value = record.main or ("", None)
    return {
        "cell": record.fingerprint[:8],
        "model": record.model,
        "dataset": f"{record.dataset} {record.recipe.get('label', '')}".strip(),
        "task": record.task,
        "paper": [
            {"metric": r.metric, "split": r.split, "modalities": r.modalities, "value": r.value,
             "evidence": r.evidence, "comparable": paper_tables.score(record, r.place) is not None,
             "why not": paper_tables.why_apart(r.place)}
            for r in paper_tables.rows()
            if (r.model, r.dataset, r.task) == (record.model, record.dataset, record.task)
        ],
        "ours": {"metric": name, "value": value, "interval": record.intervals.get(name)},
        "status": record.status if not record.note else f"{record.status}: {record.note}",
        "flags": list(record.flags),
        "recipe": record.recipe.get("source", ""),
        "differs": differences(record),
        "data": record.data,
        "variant": record.used.get("variant", ""),
        "weights": record.used.get("weights", "none"),
        "sensors": record.sensors,
        "settings": tables.settings(record),
        "revision": record.used.get("revision", ""),
        "command": command(record),
    }  # fmt: skip


def differences(record: Record) -> dict[str, str]:
    """Fields in which the record's recipe differs from the one that the paper's numbers ask for.

    That is the task's `finetune` recipe of the dataset; where there is none yet, the protocol.
    """
    task = cast(Task, registry.load("tasks", record.task).TASK)
    card = cast(DatasetCard, registry.load("datasets", record.dataset).CARD)
    if "finetune" not in task.protocols:
        return {"protocol": f"{record.recipe['protocol']}, the paper's is fine-tuning"}
    asked = task.recipes(card, "finetune", False)
    label = record.recipe.get("label", "")
    wanted = next((r for r in asked if r.label == label), asked[0])
    whose = WHOSE.get(recipe_text.kind(wanted), "the paper's recipe")
    given = dict(record.recipe)
    plain = {
        n: list(v) if isinstance(v, tuple) else v for n, v in dataclasses.asdict(wanted).items()
    }
    return {
        n: f"{given[n]}, {whose}: {v}"
        for n, v in plain.items()
        if n not in ("source", "label", "seeds") and n in given and given[n] != v
    }


def command(record: Record) -> str:
    """The command that makes the record again; a folder of one's own is to be filled in."""
    recipe, used = record.recipe, record.used
    yours = registry.load("datasets", record.dataset).CARD.yours
    dataset = f"{record.dataset}:PATH" if yours else record.dataset
    words = [
        "skybench", "run", "--model", record.model, "--task", record.task, "--dataset", dataset,
        "--protocol", recipe["protocol"],
    ]  # fmt: skip
    words += ["--data", "demo"] if record.data == "demo" and not yours else []
    words += ["--variant", used["variant"]] if used.get("variant") else []
    weights = used.get("weights", "none")
    words += ["--weights", "random" if weights == "random" else "auto"] if weights != "none" else []
    words += ["--sensors", ",".join(recipe["sensors"])] if recipe.get("sensors") else []
    fields = {f.name for f in dataclasses.fields(Recipe)}
    for name in used.get("overridden", ()):
        if name in fields:
            value = recipe[name]
            words += ["--set", f"{name}={' '.join(value) if isinstance(value, list) else value}"]
    for name, value in used.get("arch", {}).items():
        shown = ",".join(map(str, value)) if isinstance(value, list) else value
        words += ["--arch", f"{name}={shown}"]
    for option in recipe.get("options", ()):
        words += ["--option", option] if option.partition("=")[0] in used["overridden"] else []
    for name, usual in (("fraction", 1.0), ("limit", 0), ("seeds", 1)):
        words += [f"--{name}", str(recipe[name])] if recipe.get(name, usual) != usual else []
    return shlex.join(words)
