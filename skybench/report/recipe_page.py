"""The page of the recipes (docs/recipes.md), from the recipes and their sources."""

from __future__ import annotations

from collections.abc import Iterable

from skybench.core import DatasetCard, Recipe, SourcedRecipe, Task, registry
from skybench.core.sourced_recipe import ASPECTS, KINDS
from skybench.plan import named_recipes, recipe_catalogue, recipe_text

HEAD = """# The recipes

Generated from the recipes in `datasets/_recipes/` and `tasks/` by `make docs`; do not edit.
`skybench list recipes` prints the tables, `skybench show isaid:official` every field of one with
its source; `skybench run --recipe isaid:official` runs it. Of several recipes for a dataset the
first is the usual one, which `--protocol finetune` runs: the nearest to SkySense, else to the row
that the paper's table shows. `--set FIELD=VALUE` changes a field, which the record and every table
then say; where a recipe counts steps, `--set iterations=0 --set epochs=5` counts epochs.

Verdicts: `agrees` with the source, `differs` on purpose, `unknown`: the source does not say, or is
not public; `ours`: nobody else's is meant.
"""
ALL = """## What differs from the sources in all of them

- What several GPUs of a source hold together is one batch here, on one device or several.
- A learning rate rises in equal steps from nothing; the sources begin at 1e-6, a thousandth or a
  third of it.
- Each model normalises its inputs as its authors do, and its features are scaled to mean 0 and
  deviation 1 of the training data before the head (for classification by a batch normalisation
  without parameters), so that one rate serves features of any size.
- `state` says which weights are scored. Sources that chose the best epoch on the test images are
  marked so; `--set state=best-on-test` does the same and marks the score in red. Where there is a
  validation split that a recipe scores on, a record has the scores of the last weights and of the
  best on validation.
- Precision is float32 but for `tf32` where a source has it (matrix products on GPUs). Sources with
  automatic mixed precision say so under `precision`; `--set precision=bf16` is faster and takes
  less memory, and marks the record as changed.
- What is random (order, crops, drop path) is drawn anew: no run of a source is repeated number by
  number.
- Detectors learn from images without objects too, which mmdetection and mmrotate leave out; DIOR
  and DIOR-R have none.
- Augmentations interpolate bilinearly. Colours change only in 8-bit images.
- Multi-scale training and SkySense's geo-context prototypes are in no recipe.
"""


def table(head: Iterable[object], rows: Iterable[Iterable[object]]) -> list[str]:
    """Return the lines of a Markdown table, with an empty one after it."""

    def line(cells: Iterable[object]) -> str:
        return "| " + " | ".join(str(c).replace("|", "\\|") for c in cells) + " |"

    names = [*head]
    return [line(names), line(["---"] * len(names)), *map(line, rows), ""]


def recipe_page() -> str:
    """Return the page in Markdown."""
    lines = [HEAD, *table(("status", "meaning"), [(f"`{k}`", text) for k, text in KINDS.items()])]
    for task in (registry.task(n) for n in registry.names("tasks")):
        cards = [c for t, c in recipe_text.task_datasets() if t.name == task.name]
        lines += [f"## {task.title}", "", *_usual_heads(task), *_summary(task, cards)]
        for card in cards:
            for sourced in card.setup(task.name).sourced:
                lines += _section(task, card, sourced)
        for sourced in task.sourced:
            lines += _evidence(f"{sourced.recipe.protocol}:{sourced.name}", sourced, "")
    return "\n".join([*lines, ALL])


def _usual_heads(task: Task) -> list[str]:
    heads = [f"- `{p.name}`: {p.text}." for p in map(task.protocol, task.protocols)]
    return [*heads, ""]


def _summary(task: Task, cards: Iterable[DatasetCard]) -> list[str]:
    rows = [
        _row(r["name"], r["source"], r["made"], _first(r["name"]))
        for card in cards for r in recipe_catalogue.rows_of_dataset(task, card)
    ]  # fmt: skip
    head = ("recipe", "status", "made the rows of", "length", "batch", "rate", "weight decay",
            "schedule", "layer decay", "drop path", "pixels", "state", "augmentation")  # fmt: skip
    return table(head, rows)


def _first(name: str) -> Recipe:
    return recipe_catalogue.find_recipe(name).every()[0]


def _row(name: str, kind: str, made: str, recipe: Recipe) -> list[object]:
    warm = recipe.warm_up
    rise = f"{warm:,.0f} steps" if warm >= 1 else f"{100 * warm:.3g} %"
    schedule = f"{recipe.schedule or 'usual'}, {rise} warm-up" if warm else recipe.schedule
    return [
        f"`{name}`", kind, made, recipe_text.training_length(recipe), recipe.batch,
        f"{recipe.lr:g}", recipe.weight_decay, schedule, recipe.layer_decay, recipe.drop_path,
        recipe.size or (f"tiles of {recipe.tile}" if recipe.tile else "as read"),
        recipe.counting, ", ".join(f"`{n}`" for n in recipe.augment),
    ]  # fmt: skip


def _section(task: Task, card: DatasetCard, sourced: SourcedRecipe) -> list[str]:
    there = named_recipes.with_recipe(card, task, sourced)
    every = task.recipes(there, sourced.recipe.protocol, False)
    labels = [r.label for r in every if r.label]
    columns = f"Columns: {'; '.join(labels)}." if labels else ""
    several = len(card.tasks) > 1
    name = f"{task.name}/{card.name}" if several else card.name
    return _evidence(f"{name}:{sourced.name}", sourced, columns, every[0])


def _evidence(
    name: str, sourced: SourcedRecipe, columns: str, recipe: Recipe | None = None
) -> list[str]:
    """A recipe's title, its source, and what that says about every aspect."""
    recipe = recipe or sourced.stated()
    file = ":".join(filter(None, (sourced.repository, sourced.file)))
    about = "; ".join(filter(None, [file, sourced.about]))
    said = f"{sourced.kind[0].upper()}{sourced.kind[1:]}: {about or 'made here'}. {columns}".strip()
    lines = [f"### `{name}`", "", said, ""]
    if sourced.kind == "ours" and not sourced.fields:
        return lines
    rows = [
        (
            aspect, recipe_text.aspect_value(recipe, aspect), sourced.verdict(aspect).verdict,
            sourced.place(aspect).removeprefix(f"{sourced.repository}:"),
            sourced.verdict(aspect).note,
        )
        for aspect in ASPECTS
    ]  # fmt: skip
    return [*lines, *table(("aspect", "here", "verdict", "where", "note"), rows)]
