"""Multi-modal segmentation: a class for each pixel from several sensors and dates.

By mean IoU, or the main score that the data set names. Time is fused: each model sees all dates,
or the core averages its features over them. `--sensors` takes some of the sensors.
"""

from __future__ import annotations

from ._recipes import segmentation

# 2: mF1 leaves out classes without a hit, as mmsegmentation does.
TASK = segmentation.segmentation_task(
    "multimodal_segmentation", "Multi-modal segmentation", demo_tile=64, version=2
)
