"""Reproduction: a record beside the paper's score, recipe differences, the command to rerun."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence

from skybench.core import Recipe, Record, UsageError, registry
from skybench.plan import recipe_text
from skybench.plan.protocols import finetuning_protocol
from skybench.records import labels
from skybench.report import paper_tables
from skybench.report.rescore import Row

WHOSE = {"ours": "our recipe", "seen substitute": "the recipe that stands in"}


def pick_record(records: Sequence[Record], start: str) -> Record:
    """Return the record whose fingerprint starts so. Raises UsageError for none or several.

    Of copies of a record, and of repeats, the newest is meant.
    """
    asked = (r for r in records if start and r.fingerprint.startswith(start.lower()))
    ordered = sorted(asked, key=lambda r: r.made)
    found = [*{(r.fingerprint, r.model, r.task, r.dataset): r for r in ordered}.values()]
    if len(found) == 1:
        return found[0]
    if found:
        several = ", ".join(f"{r.fingerprint[:12]} ({r.model}, {r.dataset})" for r in found)
        raise UsageError(f"{start!r} is the beginning of several fingerprints: {several}.")
    known = ", ".join(f"{r.fingerprint[:8]} ({r.model}, {r.dataset})" for r in records[:10])
    raise UsageError(f"No record's fingerprint begins with {start!r}. Here are: {known or 'none'}.")


def reproduction(record: Record) -> Row:
    """Return the paper's scores, the record's, the differing recipe fields and the command."""
    name, value = record.main or ("", None)
    return {
        "cell": record.fingerprint[:8],
        "model": record.model,
        "dataset": f"{record.dataset} {record.recipe.get('label', '')}".strip(),
        "task": record.task,
        "paper": [
            {"metric": r.metric, "split": r.split, "modalities": r.modalities, "value": r.value,
             "evidence": r.evidence,
             "comparable": paper_tables.paper_score(record, r.place) is not None,
             "why not": paper_tables.why_apart(r.place)}
            for r in paper_tables.reported_rows()
            if (r.model, r.dataset, r.task) == (record.model, record.dataset, record.task)
        ],
        "ours": {"metric": name, "value": value, "interval": record.intervals.get(name)},
        "status": record.status if not record.note else f"{record.status}: {record.note}",
        "flags": list(record.flags),
        "recipe": record.recipe.get("source", ""),
        "differs": recipe_differences(record),
        "data": record.data,
        "variant": record.used.get("variant", ""),
        "weights": record.used.get("weights", "none"),
        "sensors": record.sensors,
        "settings": labels.settings_label(record),
        "revision": record.used.get("revision", ""),
        "command": run_command(record),
    }  # fmt: skip


def recipe_differences(record: Record) -> dict[str, str]:
    """Return the fields in which the record's recipe differs from the paper's.

    That is the task's recipe of fine-tuning on the dataset; where it has none, the protocol.
    """
    task = registry.task(record.task)
    card = registry.dataset(record.dataset).CARD
    finetuning = finetuning_protocol(task)
    if finetuning is None:
        return {"protocol": f"{record.recipe['protocol']}, the paper's is fine-tuning"}
    asked = task.recipes(card, finetuning.name, False)
    label = record.recipe.get("label", "")
    wanted = next((r for r in asked if r.label == label), asked[0])
    whose = WHOSE.get(recipe_text.recipe_kind(wanted), "the paper's recipe")
    given = dict(record.recipe)
    plain = {
        n: list(v) if isinstance(v, tuple) else v for n, v in dataclasses.asdict(wanted).items()
    }
    return {
        n: f"{given[n]}, {whose}: {v}"
        for n, v in plain.items()
        if n not in ("source", "label", "seeds") and n in given and given[n] != v
    }


def run_command(record: Record) -> str:
    """Return the command that makes the record again.

    PATH stands for a user's own folder in records that do not name it.
    """
    recipe, used = record.recipe, record.used
    yours = registry.dataset(record.dataset).CARD.user_data and record.data != "demo"
    folder = used.get("folder", "")
    dataset = f"{record.dataset}:{folder or 'PATH'}" if yours or folder else record.dataset
    words = [
        "skybench", "run", "--model", record.model, "--task", record.task, "--dataset", dataset,
        "--protocol", recipe["protocol"],
    ]  # fmt: skip
    words += ["--data", "demo"] if record.data == "demo" and not folder else []
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
    stated = used.get("overridden", ())
    for option in recipe.get("options", ()):
        words += ["--option", option] if option.partition("=")[0] in stated else []
    for name, usual in (("fraction", 1.0), ("limit", 0), ("seeds", 1)):
        words += [f"--{name}", str(recipe[name])] if recipe.get(name, usual) != usual else []
    return shlex.join(words)
