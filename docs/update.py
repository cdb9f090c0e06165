"""Writes docs/datasets.md from the datasets' cards: `python docs/update.py`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from skybench import catalogue, registry
from skybench.core import DatasetCard, Recipe

PAGE = Path(__file__).parent / "datasets.md"
HEAD = """# The datasets

Generated from the cards in `datasets/` by `make docs`; do not edit. Counts are those published;
0 means that none is known. `skybench show NAME` prints the same facts, `skybench data verify NAME`
checks a copy against them. `--option NAME=VALUE` chooses among a dataset's options.
"""


def row(*cells: object) -> str:
    """A row of a Markdown table."""
    return "| " + " | ".join(str(c).replace("|", "\\|") for c in cells) + " |"


def table(head: tuple[str, ...], rows: list[tuple[object, ...]]) -> list[str]:
    """The lines of a Markdown table."""
    return [row(*head), row(*("---",) * len(head)), *(row(*r) for r in rows), ""]


def recipes_of(card: DatasetCard) -> Iterator[tuple[object, ...]]:
    """A row for each task and column of its tables."""
    for task in catalogue.tasks():
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
    traps = [f"- {lead}" for lead in card.leads]
    return [*lines, "**Traps.**", *traps, "", f"Source: {card.source}.", ""]


def render() -> str:
    """The whole page."""
    cards = catalogue.dataset_cards()
    index: list[tuple[object, ...]] = [
        (f"[`{c.name}`](#{c.name}-{_anchor(c.title)})", c.title, ", ".join(c.tasks)) for c in cards
    ]
    lines = [HEAD, *table(("name", "title", "tasks"), index)]
    for card in cards:
        lines += page(card)
    return "\n".join(lines).rstrip("\n") + "\n"


def _anchor(title: str) -> str:
    kept = "".join(c for c in title.lower() if c.isalnum() or c in " -_")
    return kept.replace(" ", "-")


if __name__ == "__main__":
    PAGE.write_text(render(), encoding="utf-8")
    print(PAGE)
