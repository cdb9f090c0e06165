"""Groups of parameters for the optimiser: layer-wise decay of rates, and what is not decayed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from skybench.core import Recipe

if TYPE_CHECKING:
    from skybench.core.model import Model

BACKBONE = 0.1  # its share of the learning rate where a recipe has no layer-wise decay; ours


def parameter_groups(
    head: nn.Module, recipe: Recipe, backbone: Model | None
) -> list[dict[str, Any]]:
    """For AdamW; `factor` is on the learning rate, 1 for the head.

    Only matrices and kernels have weight decay. Vectors (biases, norms) have none, and no tables:
    positions, tokens, relative positions, scales of logits; that is, embeddings and what is not
    named "weight".
    """
    parts, matrices = [([*head.parameters()], 1.0)], _matrices(head)
    if backbone is not None:
        parts += backbone_parts(backbone, recipe.layer_decay)
        matrices |= _matrices(backbone)
    groups = []
    for parameters, factor in parts:
        learned = [p for p in parameters if p.requires_grad]
        for decayed in (True, False):
            chosen = [p for p in learned if (id(p) in matrices) == decayed]
            own = recipe.weight_decay if decayed else 0.0
            groups.append({"params": chosen, "factor": factor, "weight_decay": own})
    return [group for group in groups if group["params"]]


def backbone_parts(model: Model, layer_decay: float) -> list[tuple[list[nn.Parameter], float]]:
    """The backbone's parameters with the factor on their learning rate, from stem to end.

    The last of `model.layers()` has the decay itself, each before it one power more; what belongs
    to no layer stands after the last block, such as the norms of the output, and learns as the head
    does. So of 24 blocks the first has the power 24, and the stem, with positions and tokens, 25.
    Source: LearningRateDecayOptimizerConstructor of mmsegmentation 0.30, after BEiT's, as the
    configurations of SkySense use it.
    """
    if not layer_decay:
        return [([*model.parameters()], BACKBONE)]
    layers = [[*layer.parameters()] for layer in model.layers()]
    named = {id(p) for layer in layers for p in layer}
    after = [p for p in model.parameters() if id(p) not in named]
    factors = [layer_decay ** (len(layers) - i) for i in range(len(layers))]
    return [*zip(layers, factors, strict=True), (after, 1.0)]


def _matrices(module: nn.Module) -> set[int]:
    """Which parameters have weight decay, by id."""
    tables = {id(m.weight) for m in module.modules() if isinstance(m, nn.Embedding)}
    named = module.named_parameters()
    return {id(p) for n, p in named if p.ndim > 1 and n.endswith("weight")} - tables
