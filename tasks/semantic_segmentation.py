"""Semantic segmentation: a class for each pixel, by mean IoU or mean F1."""

from __future__ import annotations

from ._recipes import segmentation

# 3: mF1 leaves out classes without a hit, as mmsegmentation does.
TASK = segmentation.segmentation_task(
    "semantic_segmentation", "Semantic segmentation", demo_tile=256, version=3
)
