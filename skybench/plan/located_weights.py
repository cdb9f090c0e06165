"""The weights of a planned cell: a file, random ones, or none."""

from __future__ import annotations

from skybench.core import CannotRun, ModelCard
from skybench.plan.request import Request


def locate_weights(card: ModelCard, variant: str, request: Request) -> tuple[str, str]:
    """Return a model's weights: ("none" | "random" | file, "none" | "random" | sha256).

    "auto" on a variant that no published file fits, and on demo data without a file, is random.

    Raises WeightsError, with how to get them, where none can be had and random was not asked for;
    CannotRun where nobody can have them.
    """
    from skybench.weights import find
    from skybench.weights.checkpoint_file import sha256_file

    wanted = request.weights.get(card.name, request.weights.get("", "auto"))
    if card.weights is None:
        return "none", "none"
    if wanted == "random" or (wanted == "auto" and variant not in card.weights.variants):
        return "random", "random"
    path = find.find_weights(card, wanted)
    if path is not None:
        return str(path), sha256_file(path)
    if request.demo:
        return "random", "random"
    if card.weights.withheld:
        raise CannotRun(find.how_to_get(card))
    raise find.MissingWeights(find.how_to_get(card))
