"""What the two detection tasks share."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from skybench.core import CannotRun, DatasetCard, ModelCard, ProtocolName, Recipe

# Images, splits and epochs are those of SkySense's recipe for DIOR (mmdetection, batch of 8); the
# learning rate is ours: only the head learns. Nothing is selected, so no validation split is read.
FROZEN = Recipe(
    "frozen",
    train="trainval",
    val="",
    size=800,
    epochs=12,
    batch=8,
    lr=3e-4,
    weight_decay=0.05,
    width=256,
    source="ours: the paper's head and 12 epochs on frozen features",
)


# With the learning rate of the head as SkySense's for DIOR; without its layer-wise decay.
FINETUNE = replace(
    FROZEN, protocol="finetune", lr=1e-4, source="ours: the paper's head, epochs and learning rate"
)
RECIPES = {"frozen": FROZEN, "finetune": FINETUNE}
PROTOCOLS: Mapping[ProtocolName, str] = {
    "frozen": "{} on the frozen feature pyramid",
    "finetune": "{}; the backbone learns too, at a tenth of the head's rate (no layer-wise decay, "
    "no augmentation but flips)",
}

TILED = ("fair1m", "folder")  # what is read are tiles of larger images


def protocols(head: str) -> dict[ProtocolName, str]:
    """The explanations, with the head's name."""
    return {name: text.format(head) for name, text in PROTOCOLS.items()}


def base(protocol: ProtocolName, dataset: DatasetCard) -> Recipe:
    """The recipe; of a user's folder train to test, tiles as they are read."""
    recipe = replace(RECIPES.get(protocol, FROZEN), protocol=protocol)
    if not dataset.yours:
        return recipe
    return replace(recipe, train="train", size=0)


def demo(recipe: Recipe) -> Recipe:
    """A narrow head on enlarged images: their objects are smaller than the smallest anchor."""
    return replace(recipe, size=256, epochs=5, batch=2, lr=1e-3, width=64)


def require_maps(model: ModelCard) -> None:
    """Raises CannotRun for a model without feature maps."""
    if not model.levels:
        raise CannotRun(f"{model.name} gives no feature maps, only one vector for each image")
