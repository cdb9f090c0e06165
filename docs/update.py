"""Writes docs/datasets.md, models.md and recipes.md: `python docs/update.py`."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

from skybench.cli import catalogue
from skybench.core import DatasetCard, ModelCard, Recipe, Sensor, registry, variants
from skybench.report import recipe_page
from skybench.report.recipe_page import table

HERE = Path(__file__).parent
HEAD = """# The datasets

Generated from the cards in `datasets/` by `make docs`; do not edit. Counts are those published;
0 means that none is known. `skybench show NAME` prints the same facts, `skybench data verify NAME`
checks a copy against them. `--option NAME=VALUE` chooses among a dataset's options.
"""

MODELS = """# The models

Generated from the cards in `baselines/` by `make docs`; do not edit. `skybench show NAME` prints
the same facts; [adding-a-model.md](adding-a-model.md) says how yours gets in. Rows: `paper`, one
that several sources confirm in SkySense's tables; `inferred`, one of the four that are not settled;
`floor`; `extra`. Units and metres a pixel are those of the pre-training images. Parameters are
counted from the network that is built. `--variant full` takes the variant that suits the dataset's
sensors best; `--variant NAME` or `--variant MODEL=NAME` takes another. A file
is looked for at `SKYBENCH_WEIGHTS/<model>/<file>`.
"""


def recipes_of(card: DatasetCard) -> Iterator[tuple[object, ...]]:
    """A row for each task and column of its tables."""
    for task in (registry.task(n) for n in registry.names("tasks")):
        if task.name in card.tasks:
            for recipe in task.recipes(card, "frozen", False):
                yield (
                    f"`{task.name}`", recipe.label or "", _parts(recipe),
                    recipe.size or "as read", " ".join(recipe.options) or "defaults",
                    ", ".join(task.protocols),
                )  # fmt: skip


def _parts(recipe: Recipe) -> str:
    val = f"{recipe.val} / " if recipe.val else ""
    return f"{recipe.train} / {val}{recipe.test}"


def page(card: DatasetCard) -> list[str]:
    """The section of one dataset."""
    plugin = registry.load("datasets", card.name)
    verbs = {"download": ("REMOTES",), "splits": ("LISTS", "COMPANIONS")}
    ways = [
        f"`skybench data {verb} {card.name}`"
        for verb, names in verbs.items()
        if any(getattr(plugin, name, ()) for name in names)
    ]
    sensors: list[tuple[object, ...]] = [
        (f"`{s.name}`", s.title, " ".join(s.bands), s.gsd or "mixed", s.unit) for s in card.sensors
    ]
    splits: list[tuple[object, ...]] = [
        (f"`{name}`", f"{count:,}") for name, count in card.splits.items()
    ]
    lines = [
        f"## `{card.name}`: {card.title}", "", card.about, "",
        f"**Get it.** {card.obtain[0].upper()}{card.obtain[1:]}"
        + (f" Commands: {', '.join(ways)}." if ways else ""), "",
        f"**Licence.** {card.licence[0].upper()}{card.licence[1:]}.", "",
        "```", card.layout.rstrip("\n"), "```", "",
        *table(("sensor", "called", "bands", "metres a pixel", "unit"), sensors),
        *table(("split", "samples"), splits),
        *table(("task", "column", "train / val / test", "pixels", "options", "protocols"),
               list(recipes_of(card))),
        f"**Metric.** {card.metric}", "",
    ]  # fmt: skip
    if card.options:
        options: list[tuple[object, ...]] = [
            (f"`{name}`", ", ".join(f"`{v}`" for v in o.values if v) or "any text", o.text)
            for name, o in card.options.items()
        ]
        lines += table(("option", "values, default first", "meaning"), options)
    if card.classes:
        lines += [f"**Classes** ({len(card.classes)}). {', '.join(card.classes)}.", ""]
    traps = [f"- {lead}" for lead in card.caveats]
    return [*lines, "**Traps.**", *traps, "", f"Source: {card.source}.", ""]


def datasets() -> str:
    """The page of the datasets."""
    cards = catalogue.dataset_cards()
    index: list[tuple[object, ...]] = [
        (f"[`{c.name}`](#{c.name}-{_anchor(c.title)})", c.title, ", ".join(c.tasks)) for c in cards
    ]
    lines = [HEAD, *table(("name", "title", "tasks"), index)]
    for card in cards:
        lines += page(card)
    return "\n".join(lines).rstrip("\n") + "\n"


def models() -> str:
    """The page of the models."""
    kinds = {name: variants.published_cards(name) for name in registry.names("baselines")}
    first = {name: next(iter(cards.values())) for name, cards in kinds.items()}
    index: list[tuple[object, ...]] = [
        (f"[`{n}`](#{n}-{_anchor(c.title)})", c.title, c.group, len(kinds[n]), _weights(c))
        for n, c in first.items()
    ]
    stock: list[tuple[object, ...]] = [
        (f"`{name}`", f"`{variant}`", card.equivalent_to)
        for name, cards in kinds.items() for variant, card in cards.items() if card.equivalent_to
    ]  # fmt: skip
    lines = [MODELS, *table(("name", "title", "row", "variants", "weights"), index)]
    lines += ["## Which stock network computes the same", ""]
    lines += table(("model", "variant", "equal to"), stock)
    for cards in kinds.values():
        lines += _model(cards)
    return "\n".join(lines).rstrip("\n") + "\n"


def _weights(card: ModelCard) -> str:
    if card.unavailable:
        return "no network"
    if card.weights is None:
        return "nothing learned"
    return "withheld" if card.weights.withheld else "published"


def _model(cards: dict[str, ModelCard]) -> list[str]:
    """The section of one model; what differs between variants stands once for each."""
    card = next(iter(cards.values()))
    lines = [f"## `{card.name}`: {card.title}", "", f"{card.paper}. Code: {card.code}.", ""]
    if card.unavailable:
        return [*lines, f"**Cannot run**: {card.unavailable}.", "", *_traps(cards)]
    nets: list[tuple[object, ...]] = [
        (
            f"`{v}`", "; ".join(map(_input, c.inputs)),
            f"{c.params:,}" if c.params else "none", c.dim,
            " ".join(f"{n}@{s}" for n, s in c.levels), "yes" if c.temporal else "no",
        )
        for v, c in cards.items()
    ]  # fmt: skip
    head = ("variant", "inputs", "parameters", "pooled", "levels (channels@stride)", "series")
    lines += table(head, nets)
    settings = _settings(card.name, next(iter(cards)))
    lines += [f"**Settings** (`--arch NAME=VALUE`). {settings}.", ""] if settings else []
    facts = {
        "Normalisation": "normalisation", "Pooled": "pooling", "Pre-training": "pretraining",
        "Trained on": "trained_on", "Licence of the code": "licence",
    }  # fmt: skip
    for title, field in facts.items():
        lines += _each(title, {v: _text(getattr(c, field)) for v, c in cards.items()})
    if card.weights is not None:
        lines += ["**Weights.**", *(_obtain(v, c) for v, c in cards.items()), ""]
    return [*lines, *_traps(cards)]


def _input(sensor: Sensor) -> str:
    ground = f", {sensor.gsd:g} m" if sensor.gsd else ""
    return f"`{sensor.name}` {' '.join(sensor.bands)} ({sensor.unit}{ground})"


def _settings(name: str, variant: str) -> str:
    """The settings of a variant's network with their usual values."""
    arch = registry.load("baselines", name).VARIANTS[variant]
    known = dataclasses.fields(arch) if dataclasses.is_dataclass(arch) else ()
    return ", ".join(f"`{f.name}` {getattr(arch, f.name)}".rstrip() for f in known)


def _text(value: object) -> str:
    return ", ".join(value) if isinstance(value, tuple) else str(value)


def _each(title: str, texts: dict[str, str]) -> list[str]:
    """A fact once where all variants share it, else a line for each text."""
    alike: dict[str, list[str]] = {}
    for variant, text in texts.items():
        if text:
            alike.setdefault(text.rstrip("."), []).append(f"`{variant}`")
    if len(alike) <= 1:
        return [line for text in alike for line in (f"**{title}.** {text}.", "")]
    return [f"**{title}.**", *(f"- {', '.join(v)}: {t}." for t, v in alike.items()), ""]


def _obtain(variant: str, card: ModelCard) -> str:
    source = card.weights
    if source is None:
        return f"- `{variant}`: nothing is learned."
    if source.withheld:
        return f"- `{variant}`: cannot be had, {source.withheld}. {source.obtain}"
    layout = ", ".join(
        f"{what} `{text}`" for what, text in
        (("container", source.container), ("prefix", source.prefix)) if text
    )  # fmt: skip
    digest = f"sha256 {source.sha256}" if source.sha256 else ""
    digest = digest or (f"md5 {source.md5}" if source.md5 else "no digest is published")
    spoken = "non-commercial; " if source.noncommercial and "non-comm" not in source.licence else ""
    return (
        f"- `{variant}`: `{source.filename}`; {spoken}licence: {source.licence}; "
        f"{layout or 'flat keys'}; {digest}. {source.obtain}"
    )


def _traps(cards: dict[str, ModelCard]) -> list[str]:
    leads = list(dict.fromkeys(lead for c in cards.values() for lead in c.caveats))
    return ["**Known.**", *(f"- {lead}" for lead in leads), ""] if leads else []


def _anchor(title: str) -> str:
    kept = "".join(c for c in title.lower() if c.isalnum() or c in " -_")
    return kept.replace(" ", "-")


PAGES = {"datasets.md": datasets, "models.md": models, "recipes.md": recipe_page.recipe_page}

if __name__ == "__main__":
    for file, render in PAGES.items():
        (HERE / file).write_text(render(), encoding="utf-8")
        print(HERE / file)
