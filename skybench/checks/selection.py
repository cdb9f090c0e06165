"""Selection on the test: whether weights, length or hyperparameters are chosen by test scores."""

from __future__ import annotations

from skybench.plan.cell import Cell


def selection_on_test(cell: Cell) -> str:
    """Return why a cell's choices rest on the images that it is tested on; "" where none do.

    Choices are of a state, of an early end, or of hyperparameters.
    """
    recipe = cell.recipe
    chooses = recipe.counting != "last" or recipe.patience > 0
    return _shared(cell) if chooses or not cell.protocol.trains_stepwise else ""


def best_state(cell: Cell) -> str:
    """Return what the best state of a cell's training is called: on what it is the best."""
    return "best-on-test" if _shared(cell) else "best-on-val"


def _shared(cell: Cell) -> str:
    """Why scores during training are of test images; "" where they are not.

    Splits may share samples under any names.
    """
    if cell.recipe.counting == "best-on-test":
        return "training was scored on the test"
    if "val" not in cell.splits:
        return ""
    val, test = (cell.splits[role].keys for role in ("val", "test"))
    count = len({*val} & {*test})
    return f"{count} of the {len(val)} validation samples are test samples" if count else ""
