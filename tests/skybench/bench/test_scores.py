from __future__ import annotations

from skybench.bench import scores
from skybench.bench.timing import AT_FULL


def test_maps_labels_and_boxes_are_timed() -> None:
    maps, labels, boxes = scores.time_scores("tiny")
    assert (maps.peer, maps.must) == ("torchmetrics", ">= 25")
    assert maps.ratio is not None
    assert (labels.what, labels.holds) == ("uncertainty of 40 images with 19 labels", AT_FULL)
    assert boxes.what == "uncertainty of box AP, 12 images, 144 detections"


def test_made_scores_are_neither_chance_nor_perfect() -> None:
    found = scores._labels(300).scores()
    assert 50 < found["map_micro"] < 95
    assert 10 < scores._boxes(20).scores()["ap50"] < 95
