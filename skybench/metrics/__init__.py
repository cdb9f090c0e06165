"""Metrics as functions on arrays; each returns scores in percent by name, the main one first."""

from skybench.metrics.accuracy import overall_accuracy
from skybench.metrics.change import change_f1
from skybench.metrics.horizontal_boxes import coco_ap, voc_ap
from skybench.metrics.multilabel import mean_average_precision
from skybench.metrics.rotated_boxes import rotated_ap
from skybench.metrics.segmentation import confusion, mean_f1, mean_iou
from skybench.metrics.semantic_change import semantic_change

__all__ = [
    "change_f1",
    "coco_ap",
    "confusion",
    "mean_average_precision",
    "mean_f1",
    "mean_iou",
    "overall_accuracy",
    "rotated_ap",
    "semantic_change",
    "voc_ap",
]
