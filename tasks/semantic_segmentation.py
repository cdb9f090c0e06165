"""Semantic segmentation: a class for each pixel, by mean IoU or mean F1."""

from __future__ import annotations

from ._recipes import segmentation

TASK = segmentation.segmentation_task(
    "semantic_segmentation", "Semantic segmentation", demo_tile=256, version=2
)
