"""Groups of parameters for the optimiser: layer-wise decay of rates, and what is not decayed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from skybench.core import Recipe

if TYPE_CHECKING:
    from skybench.model import Model

BACKBONE = 0.1  # its share of the learning rate where a recipe has no layer-wise decay; ours


def parameter_groups(
    head: nn.Module, recipe: Recipe, backbone: Model | None
) -> list[dict[str, Any]]:
    """For AdamW; `factor` is on the learning rate, 1 for the head.

    One-dimensional parameters (biases, norms) have no weight decay.
    """
    groups = []
    parts = [([*head.parameters()], 1.0, recipe.weight_decay)]
    if backbone is not None:
        parts += backbone_parts(backbone, recipe)
    for parameters, factor, decay in parts:
        learned = [p for p in parameters if p.requires_grad]
        for chosen, own in (
            ([p for p in learned if p.ndim > 1], decay),
            ([p for p in learned if p.ndim <= 1], 0.0),
        ):
            groups.append({"params": chosen, "factor": factor, "weight_decay": own})
    return [group for group in groups if group["params"]]


def backbone_parts(model: Model, recipe: Recipe) -> list[tuple[list[nn.Parameter], float, float]]:
    """The backbone's parameters with the factor on their learning rate, and their weight decay.

    Layer by layer from the last block, which has the decay itself, to the stem, which has its
    power; what belongs to no layer (positions, class tokens) goes as the stem and is not decayed.
    Source: LearningRateDecayOptimizerConstructor of BEiT and of SkySense's configurations.
    """
    if not recipe.layer_decay:
        return [([*model.parameters()], BACKBONE, recipe.weight_decay)]
    layers = [[*layer.parameters()] for layer in model.layers()]
    named = {id(p) for layer in layers for p in layer}
    rest = [p for p in model.parameters() if id(p) not in named]
    factors = [recipe.layer_decay ** (len(layers) - i) for i in range(len(layers))]
    parts = [(x, f, recipe.weight_decay) for x, f in zip(layers, factors, strict=True)]
    return [(rest, recipe.layer_decay ** len(layers), 0.0), *parts]
