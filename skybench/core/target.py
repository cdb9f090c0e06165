"""Targets: what a dataset asks a model to predict, and which elements have no label."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from skybench.core.sample import IGNORE, Boxes

TargetKind = Literal["class", "classes", "mask", "masks", "boxes", "values"]


class Target(NamedTuple):
    """The kind of a dataset's targets, and the value that marks elements without a label.

    class: a class id (int). classes: 0 or 1 for each class, uint8 [K]. mask: class ids, uint8
    [H, W]. masks: one mask for each date, uint8 [T, H, W]. boxes: `Boxes`. values: a regression
    target for each pixel, float32 [H, W], or for the whole image, float32 [D].
    """

    kind: TargetKind
    ignore: float | None = None  # of mask, masks and values; None: every element has a label

    @property
    def spatial(self) -> bool:
        """Whether the last two axes are rows and columns (of `values`: unless they are [D])."""
        return self.kind in ("mask", "masks", "values")

    @property
    def fill(self) -> float:
        """The value of pixels that augmentation adds from outside the image."""
        if self.ignore is not None:
            return self.ignore
        return float("nan") if self.kind == "values" else IGNORE


def infer_target(target: Any) -> Target:
    """Infer the kind from one sample's target, for datasets whose card does not declare it.

    >>> infer_target(3).kind
    'class'
    """
    if isinstance(target, Boxes):
        return Target("boxes")
    axes = getattr(target, "ndim", 0)
    if axes == 0:
        return Target("class")
    if "float" in str(target.dtype):
        return Target("values", float("nan"))
    if axes == 1:
        return Target("classes")
    return Target("mask" if axes == 2 else "masks", IGNORE)
