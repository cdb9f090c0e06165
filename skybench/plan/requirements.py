"""What must hold before a cell can run: splits, a sensible combination, data and weights."""

from __future__ import annotations

from collections.abc import Sequence

from skybench.core import CannotRun, DatasetCard, SkybenchError
from skybench.plan.cell import Cell
from skybench.plan.request import Request


def require_available(cells: Sequence[Cell], request: Request) -> None:
    """Raise SkybenchError that names all missing weights and data, unless the rest can run.

    Missing weights always end the run; missing data only where the dataset was asked for by
    name, or nothing at all can run. Data that are there but cannot be read cost their own cells.
    """
    missing = [c for c in cells if c.status == "unavailable"]
    ending = ("weights", "data") if request.datasets else ("weights",)
    blocking = [c for c in missing if c.lacks in ending]
    if len(missing) == len(cells):
        blocking = missing
    if blocking:
        reasons = list(dict.fromkeys(c.reason for c in blocking))
        raise SkybenchError("\n".join(reasons))


def require_splits(cell: Cell, card: DatasetCard) -> None:
    """Raise CannotRun for overridden splits that do not exist, or have no public labels."""
    for role in sorted({"train", "val", "test"} & {*cell.overridden}):
        name = getattr(cell.recipe, role)
        if name not in card.splits and (role, name) != ("val", ""):
            known = ", ".join(card.splits)
            raise CannotRun(f"{card.title} has no split {name!r} for {role}; it has {known}")
        if name in card.unlabelled and role != "test":
            raise CannotRun(f"nobody has the labels of {card.title}'s {name}, so not for {role}")
    test = cell.recipe.test
    if cell.recipe.state == "best-on-test" and test in card.unlabelled:
        raise CannotRun(f"nobody has the labels of {card.title}'s {test}, so not to choose on")


def require_sense(cell: Cell) -> None:
    """Raise CannotRun for combinations that no data and no weights make possible."""
    model, task, recipe = cell.model, cell.task, cell.recipe
    if model.unavailable:
        raise CannotRun(f"{model.name} cannot run: {model.unavailable}")
    if recipe.protocol not in task.protocols:
        known = ", ".join(task.protocols)
        raise CannotRun(f"{task.name} has no protocol {recipe.protocol}; it has {known}")
    if cell.protocol.trains_backbone and model.weights is None:
        raise CannotRun(f"{model.name} has no parameters to train; run it under a frozen protocol")
    if recipe.state.startswith("best") and not cell.protocol.trains_stepwise:
        raise CannotRun(f"{task.name} under {recipe.protocol} is not trained in steps: no states")
    if recipe.rounding and (cell.protocol.trains_backbone or cell.protocol.level == "pooled"):
        raise CannotRun(f"{task.name} under {recipe.protocol} keeps no feature maps to be rounded")
    if recipe.views and not task.views:
        raise CannotRun(f"{task.name} has no test-time views; only heads of pixels have them")
