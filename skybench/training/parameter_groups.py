"""Parameter groups of the optimiser: layer-wise learning-rate decay, and weight decay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from skybench.core import Recipe

if TYPE_CHECKING:
    from skybench.core.model import Model

BACKBONE = 0.1  # factor on its learning rate if a recipe has no layer-wise decay; ours


def parameter_groups(
    head: nn.Module, recipe: Recipe, backbone: Model | None
) -> list[dict[str, Any]]:
    """Return the optimiser's parameter groups; `factor` is on the learning rate, 1 for the head.

    Weight decay applies to matrices and kernels only. Exempt are vectors (biases, norms), and
    embeddings and parameters not named "weight": positional embeddings, tokens, relative position
    biases, logit scales.
    """
    parts, matrices = [([*head.parameters()], 1.0)], _matrices(head)
    if backbone is not None:
        parts += layer_decay_parameters(backbone, recipe.layer_decay)
        matrices |= _matrices(backbone)
    groups = []
    for parameters, factor in parts:
        learned = [p for p in parameters if p.requires_grad]
        for decayed in (True, False):
            chosen = [p for p in learned if (id(p) in matrices) == decayed]
            weight_decay = recipe.weight_decay if decayed else 0.0
            groups.append({"params": chosen, "factor": factor, "weight_decay": weight_decay})
    return [group for group in groups if group["params"]]


def layer_decay_parameters(
    model: Model, layer_decay: float
) -> list[tuple[list[nn.Parameter], float]]:
    """Return the backbone's parameters by layer, with their learning-rate factors (LLRD).

    The last of `model.layers()` has the factor `layer_decay`, each layer before it one power more.
    Parameters outside of all layers, such as output norms, have factor 1, as the head. Of 24
    blocks the first has the power 24, and the stem, with positional embeddings and tokens, 25.
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
    """The ids of the parameters with weight decay."""
    tables = {id(m.weight) for m in module.modules() if isinstance(m, nn.Embedding)}
    named = module.named_parameters()
    return {id(p) for n, p in named if p.ndim > 1 and n.endswith("weight")} - tables
