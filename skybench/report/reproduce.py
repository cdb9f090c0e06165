"""Reproduction: a record beside the paper's score, recipe differences, the command to rerun."""

from __future__ import annotations

import dataclasses
import shlex
from collections.abc import Sequence
from typing import Any

from skybench.core import Recipe, Record, SourcedRecipe, UsageError, registry
from skybench.core.recipe import TOLD
from skybench.plan import named_recipes, recipe_text
from skybench.plan.former_recipes import (
    FORMER,
    usual_sourced,
    whole_recipe,
    with_recipes,
)
from skybench.plan.protocols import finetuning_protocol
from skybench.plan.request import NOT_SET
from skybench.records import conditions, labels
from skybench.report import paper_scores
from skybench.report.rescore import Row

WHOSE = {
    "ours": "our recipe", "substitute": "the recipe that stands in",
    "own source": "the recipe of its source",
}  # fmt: skip


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
    """Return the paper's scores, the record's, the recipes of both, differences, the command."""
    (record,) = with_recipes([record])
    name, value = record.main or ("", None)
    return {
        "cell": record.fingerprint[:8],
        "model": record.model,
        "dataset": f"{record.dataset} {record.recipe.get('label', '')}".strip(),
        "task": record.task,
        "paper": _published(record),
        "ours": {"metric": name, "value": value, "interval": record.intervals.get(name)},
        "status": record.status if not record.note else f"{record.status}: {record.note}",
        "flags": list(record.flags),
        "recipe": record.recipe.get("source", ""),
        "differs": recipe_differences(record),
        **({"changed since": _changed_since(record)} if FORMER in record.flags else {}),
        "recipes": row_recipes(record),
        "data": record.data,
        "variant": record.used.get("variant", ""),
        "weights": record.used.get("weights", "none"),
        "sensors": record.sensors,
        "settings": labels.settings_label(record),
        "revision": record.used.get("revision", ""),
        "command": run_command(record),
    }


def _published(record: Record) -> list[Row]:
    """The paper's scores of the record's model on its data set, and how they were made."""
    rows = [
        (r, paper_scores.paper_place(r)) for r in paper_scores.reported_rows()
        if (r.model, r.dataset, r.task) == (record.model, record.dataset, record.task)
    ]  # fmt: skip
    return [
        {"metric": r.metric, "split": r.split, "modalities": r.modalities, "value": r.value,
         "evidence": r.evidence,
         "comparable": paper_scores.paper_score(record, place) is not None,
         "why not": paper_scores.why_apart(place),
         "conditions": conditions.conditions_text(r.model, place)}
        for r, place in rows
    ]  # fmt: skip


def recipe_differences(record: Record) -> dict[str, str]:
    """Return the fields in which the record's recipe differs from the paper's.

    That is the task's recipe of fine-tuning on the dataset; where it has none, the protocol.
    """
    finetuning = finetuning_protocol(registry.task(record.task))
    if finetuning is None:
        return {"protocol": f"{record.recipe['protocol']}, the paper's is fine-tuning"}
    return _differences(record, _recipe(record, finetuning.name))


def _recipe(record: Record, protocol: str, chosen: SourcedRecipe | None = None) -> Recipe:
    """The present recipe of a record's data set: the usual one of a protocol, or a named one."""
    task, card = registry.task(record.task), registry.dataset(record.dataset).CARD
    there = named_recipes.with_recipe(card, task, chosen) if chosen else card
    asked = task.recipes(there, protocol, record.data == "demo")
    label = record.recipe.get("label", "")
    return next((r for r in asked if r.label == label), asked[0])


def _differences(record: Record, wanted: Recipe) -> dict[str, str]:
    whose = WHOSE.get(recipe_text.recipe_kind(wanted), "the paper's recipe")
    plain = {
        n: list(v) if isinstance(v, tuple) else v for n, v in dataclasses.asdict(wanted).items()
    }
    given = whole_recipe(record)
    return {
        n: f"{_shown(n, given[n])}, {whose}: {_shown(n, v)}"
        for n, v in plain.items()
        if n not in (*TOLD, "seeds") and n in given and _plain(given[n]) != _plain(v)
    }


def _plain(value: Any) -> Any:
    return sorted(map(str, value)) if isinstance(value, list | tuple) else value


def _shown(name: str, value: Any) -> str:
    if not value and name in recipe_text.EMPTY:
        return recipe_text.EMPTY[name]
    text = " ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)
    return text or "none"


def _changed_since(record: Record) -> dict[str, str]:
    """What the present recipe of the record's own protocol has that its own had not."""
    present = _recipe(record, str(record.recipe["protocol"]), paper_scores.other_recipe(record))
    changed = _differences(record, present)
    return {n: v for n, v in changed.items() if n not in record.used.get("overridden", ())}


def row_recipes(record: Record) -> list[Row]:
    """Return the recipes that made the model's published rows, then the usual one, as text.

    Each with what differs in the record's, and the command that runs it. The usual one of
    fine-tuning is the nearest to SkySense's that is known.
    """
    task, card = registry.task(record.task), registry.dataset(record.dataset).CARD
    finetuning = finetuning_protocol(task)
    usual = usual_sourced(task, card, finetuning.name) if finetuning else None
    made = [s for s in named_recipes.recipes_of(task, card) if record.model in s.rows]
    return [
        {
            "recipe": _asked_name(record, s),
            "made": f"the published row of {record.model}" if s in made else "no row of this model",
            "nearness": f"{s.kind}: {':'.join(filter(None, (s.repository, s.file))) or 'ours'}",
            "differs": _differences(
                record, _recipe(record, s.recipe.protocol, s)
            ),
            "command": shlex.join(
                [*_words(record, s.recipe.protocol), "--recipe", _asked_name(record, s)]
            ),
        }
        for s in [*made, *([usual] if usual and usual not in made else [])]
    ]  # fmt: skip


def _asked_name(record: Record, chosen: SourcedRecipe) -> str:
    """A recipe's name as `--recipe` takes it."""
    setup = registry.dataset(record.dataset).CARD.setup(record.task)
    own = any(s is chosen for s in setup.sourced)
    return f"{record.dataset if own else chosen.recipe.protocol}:{chosen.name}"


def run_command(record: Record) -> str:
    """Return the command that makes the record again.

    PATH stands for a user's own folder in records that do not name it. Of a former recipe it sets
    all that has changed since.
    """
    recipe, used = record.recipe, record.used
    words = _words(record, recipe["protocol"])
    other = paper_scores.other_recipe(record)
    words += ["--recipe", _asked_name(record, other)] if other else []
    words += ["--sensors", ",".join(recipe["sensors"])] if recipe.get("sensors") else []
    whole, changed = whole_recipe(record), _changed_since(record) if FORMER in record.flags else {}
    for name in (*used.get("overridden", ()), *(n for n in changed if n not in NOT_SET)):
        if name in whole:
            value = whole[name]
            several = isinstance(value, list | tuple)
            words += ["--set", f"{name}={' '.join(value) if several else value}"]
    for name, value in used.get("arch", {}).items():
        shown = ",".join(map(str, value)) if isinstance(value, list) else value
        words += ["--arch", f"{name}={shown}"]
    stated = used.get("overridden", ())
    for option in recipe.get("options", ()):
        words += ["--option", option] if option.partition("=")[0] in stated else []
    for name, usual in (("fraction", 1.0), ("limit", 0), ("seeds", 1)):
        words += [f"--{name}", str(recipe[name])] if recipe.get(name, usual) != usual else []
    return shlex.join(words)


def _words(record: Record, protocol: str) -> list[str]:
    """The beginning of a command: model, data and protocol."""
    used = record.used
    yours = registry.dataset(record.dataset).CARD.user_data and record.data != "demo"
    folder = used.get("folder", "")
    dataset = f"{record.dataset}:{folder or 'PATH'}" if yours or folder else record.dataset
    words = [
        "skybench", "run", "--model", record.model, "--task", record.task, "--dataset", dataset,
        "--protocol", protocol,
    ]  # fmt: skip
    words += ["--data", "demo"] if record.data == "demo" and not folder else []
    words += ["--variant", used["variant"]] if used.get("variant") else []
    weights = used.get("weights", "none")
    return words + (["--weights", "random" if weights == "random" else "auto"] if weights != "none"
                    else [])  # fmt: skip
