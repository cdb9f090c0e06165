"""What the two detection tasks share."""

from __future__ import annotations

from dataclasses import replace

from skybench.core import CannotRun, ModelCard, Recipe

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


def demo(recipe: Recipe) -> Recipe:
    """A narrow head on enlarged images: their objects are smaller than the smallest anchor."""
    return replace(recipe, size=256, epochs=6, batch=2, lr=1e-3, width=64)


def require_maps(model: ModelCard) -> None:
    """Raises CannotRun for a model without feature maps."""
    if not model.levels:
        raise CannotRun(f"{model.name} gives no feature maps, only one vector for each image")
