"""The catalogue: models, datasets, tasks and weights as plain rows, without torch."""

from __future__ import annotations

import dataclasses
import os
import platform
import shutil
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any

from skybench.core import DatasetCard, ModelCard, UsageError, folders, registry
from skybench.core.variants import published_cards
from skybench.core.version import __version__
from skybench.plan import recipe_catalogue
from skybench.plan.protocols import every_task

Row = dict[str, Any]


def dataset_cards() -> list[DatasetCard]:
    """Return the cards of all datasets."""
    return [registry.dataset(n).CARD for n in registry.names("datasets")]


def weights_state(card: ModelCard) -> str:
    """Return "none needed", "found", "missing", or "withheld" where weights are not public."""
    from skybench.weights import find

    if card.unavailable:
        return "withheld"
    if card.weights is None:
        return "none needed"
    if find.find_weights(card, "auto") is not None:
        return "found"
    return "withheld" if card.weights.withheld else "missing"


def model_rows() -> list[Row]:
    """Return a row for each model; its weights are found if those of any variant are."""
    found = []
    for name in registry.names("baselines"):
        kinds = published_cards(name)
        card, *_ = kinds.values()
        states = [weights_state(c) for c in kinds.values()]
        inputs = [s.name for c in kinds.values() for s in c.inputs]
        found.append(
            {
                "name": name, "title": card.title, "row": card.group,
                "sensors": list(dict.fromkeys(inputs)), "variants": list(kinds),
                "weights": "found" if "found" in states else states[0],
                "licence": card.licence if card.weights is None else card.weights.licence,
            }
        )  # fmt: skip
    return found


def dataset_rows() -> list[Row]:
    """Return a row for each dataset."""
    return [
        {
            "name": c.name, "title": c.title, "tasks": list(c.tasks),
            "sensors": [s.name for s in c.sensors], "classes": len(c.classes),
            "splits": dict(c.splits), "licence": c.licence,
        }
        for c in dataset_cards()
    ]  # fmt: skip


def task_rows() -> list[Row]:
    """Return a row for each task."""
    return [
        {
            "name": t.name, "title": t.title, "protocols": list(t.protocols),
            "datasets": [c.name for c in dataset_cards() if t.name in c.tasks],
        }
        for t in every_task()
    ]  # fmt: skip


def protocol_rows() -> list[Row]:
    """Return a row for each protocol of each task."""
    return [
        {"name": name, "task": t.name, "what": t.protocol(name).text}
        for t in every_task() for name in t.protocols
    ]  # fmt: skip


KINDS: Mapping[str, Callable[[], list[Row]]] = {
    "models": model_rows, "datasets": dataset_rows, "tasks": task_rows, "protocols": protocol_rows,
    "recipes": recipe_catalogue.recipe_rows,
}  # fmt: skip


def catalogue_rows(kind: str) -> list[Row]:
    """Return the rows of a kind. Raises UsageError for an unknown one."""
    if kind not in KINDS:
        raise UsageError(f"Nothing to list under {kind!r}. Known: {', '.join(KINDS)}.")
    return KINDS[kind]()


def terminal_rows(kind: str, rows: list[Row]) -> list[Row]:
    """Return the rows of a kind as a terminal shows them."""
    return recipe_catalogue.brief_rows(rows) if kind == "recipes" else rows


def data_rows(data: str = "") -> list[Row]:
    """Return where each dataset is looked for, whether it is found, and how to get it."""
    root = Path(data).expanduser() if data else folders.data()
    return [
        {
            "name": c.name, "found": (root / c.name).is_dir(), "folder": str(root / c.name),
            "licence": c.licence, "obtain": c.obtain,
        }
        for c in dataset_cards() if not c.user_data
    ]  # fmt: skip


def weights_rows() -> list[Row]:
    """Return where each checkpoint is looked for, whether it is found, and how to get it."""
    return [
        {
            "name": c.name, "variant": v, "state": weights_state(c),
            "file": str(folders.weights() / c.name / c.weights.filename) if c.weights else "",
            "licence": c.weights.licence if c.weights else "",
            "obtain": c.weights.obtain if c.weights else "",
        }
        for name in registry.names("baselines") for v, c in published_cards(name).items()
    ]  # fmt: skip


def plugin_facts(name: str) -> Row:
    """Return the card of a model or dataset, a task's protocols, or a recipe (isaid:finetune).

    Raises UsageError with a hint.
    """
    if ":" in name or "/" in name:
        return recipe_catalogue.recipe_facts(name)
    plain = name.strip().lower().replace("-", "_")
    kinds: tuple[registry.Kind, ...] = ("baselines", "datasets", "tasks")
    for kind in kinds:
        if plain in registry.names(kind):
            plugin = registry.load(kind, plain)
            if kind != "tasks":
                found = {"kind": registry.SINGULAR[kind], **_card_facts(plugin.CARD)}
                return found | ({"variants": list(plugin.VARIANTS)} if kind == "baselines" else {})
            task, row = registry.task(plain), next(r for r in task_rows() if r["name"] == plain)
            texts = {p.name: p.text for p in map(task.protocol, task.protocols)}
            return {"kind": "task", **row, "protocols": texts}
    every = [n for kind in kinds for n in registry.names(kind)]
    raise UsageError(registry.unknown("model, dataset or task", name, every))


def _card_facts(card: ModelCard | DatasetCard) -> Row:
    """A card's fields, without the setups, which `skybench show DATASET:PROTOCOL` prints.

    A model's group is called `row`, as in `skybench list`.
    """
    fields = {"row" if n == "group" else n: v for n, v in dataclasses.asdict(card).items()}
    fields.pop("setups", None)
    if isinstance(card, DatasetCard) and card.target is not None:
        kind, ignore = card.target
        fields["target"] = kind if ignore is None else f"{kind}, {ignore:g} where there is no label"
    return fields


def broken_plugins(but: Collection[str] = ()) -> list[str]:
    """Return the plugins of other packages that cannot be used: kind, name, package and error.

    but: names to leave out.
    """
    left = {name.strip().lower().replace("-", "_").partition(":")[0] for name in but}
    broken = (item for kind in registry.KINDS for item in registry.broken(kind).items())
    return [" ".join(message.split()) for name, message in broken if name not in left]


def health() -> Row:
    """Return versions, device, folders and why, what is found, broken plugins. Imports torch."""
    import torch

    from skybench.runner.device import device_facts

    names = ("SKYBENCH_DATA", "SKYBENCH_RESULTS", "SKYBENCH_CACHE", "SKYBENCH_WEIGHTS")
    found = [folders.folder_of(n) for n in names]
    existing = [p.path for p in found if p.path.exists()] or [Path.cwd()]
    found_weights = (r["name"] for r in weights_rows() if r["state"] == "found")  # one a variant
    return {
        "skybench": __version__,
        "python": platform.python_version(),
        "torch": torch.__version__,
        **device_facts(),
        "cores": os.cpu_count(),
        **{p.variable: f"{p.path} ({p.why}{'' if p.path.exists() else ', absent'})" for p in found},
        "free disk": f"{shutil.disk_usage(existing[0]).free / 1e9:.0f} GB at {existing[0]}",
        "datasets found": [r["name"] for r in data_rows() if r["found"]] or "none",
        "weights found": [*dict.fromkeys(found_weights)] or "none",
        "broken plugins": broken_plugins() or "none",
    }
