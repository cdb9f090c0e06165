"""Metrics as functions on arrays; each returns a dict in percent, the main score first."""

from skybench.metrics.accuracy import overall_accuracy
from skybench.metrics.segmentation import confusion, mean_f1, mean_iou

__all__ = ["confusion", "mean_f1", "mean_iou", "overall_accuracy"]
