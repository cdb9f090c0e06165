from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from skybench.boxes.detections import Detections
from skybench.boxes.geometry import from_horizontal
from skybench.core import Boxes, UsageError
from skybench.metrics._arrays import as_array
from skybench.metrics.horizontal_boxes import CocoBoxes, coco_ap, voc_ap

from ._box_cases import CLASSES, HIT


@pytest.mark.parametrize(
    ("said", "true", "message"),
    [
        ([], [], "at least one, but got 0 and 0"),
        ([(HIT, [0.5], [0])], [], "of the same images"),
        ([(HIT, [0.5])], [(HIT, [0])], r"but got \[2\] and \[2\] arrays"),
        ([(HIT, [0.5], [0])], [(HIT,)], r"but got \[3\] and \[1\] arrays"),
        ([(HIT, [np.nan], [0])], [(HIT, [0])], "1 of them NaN"),
        ([(HIT, [0.5, 0.6], [0])], [(HIT, [0])], "as many rows in all arrays"),
        ([(HIT, [0.5], [0, 1])], [(HIT, [0])], r"of image 0 have shapes \[\(1, 4\), "),
        ([(HIT * np.nan, [0.5], [0])], [(HIT, [0])], "8 values of them not finite"),
        ([(HIT, [0.5], [0])], [(HIT * [1, 1, np.inf, 1], [0])], "not finite"),
        ([(HIT[:, ::-1], [0.5], [0])], [(HIT, [0])], "x0 <= x1"),
        ([(HIT[0], [0.5], [0])], [(HIT, [0])], "as many rows"),
        ([(HIT[0], [0.5] * 4, [0] * 4)], [(HIT, [0])], r"boxes \[n, 4\]"),
        ([(HIT, [0.5], [0]), (HIT, 0.5, [0])], [(HIT, [0])] * 2, "scores of image 1, but got one"),
        ([(HIT, [0.5], []), (HIT, [0.5], [0, 1])], [(HIT, [0])] * 2, "those of image 0 have"),
        ([(HIT, [0.5], [0])] * 2, [(HIT, [0]), (HIT[:, :3], [0])], "one form in all images"),
        ([(HIT, [0.5], [0.0])], [(HIT, [0])], "labels that are integers"),
        ([(HIT, [0.5], [0])], [(HIT, [-1])], "but got -1..-1"),
        ([(HIT, [0.5], [0])], [(HIT, [0], [False, True])], "as many rows"),
    ],
)
def test_unfit_input_is_refused(said: Any, true: Any, message: str) -> None:
    for function in (coco_ap, voc_ap):
        with pytest.raises(UsageError, match=message):
            function(said, true)


@pytest.mark.parametrize(
    ("said", "true", "message"),
    [
        ((HIT, [0.5, 0.6], [0]), ([0], [False]), r"scores of shape \(2,\)"),
        ((HIT, [0.5], [0, 1]), ([0], [False]), r"shapes \(1, 4, 2\) and \(2,\)"),
        ((HIT, [0.5], [0]), ([0], [False, True]), "whether it is difficult"),
        ((HIT, [np.nan], [0]), ([0], [False]), "1 of them NaN"),
        ((HIT + np.inf, [0.5], [0]), ([0], [False]), "values of them not finite"),
    ],
)
def test_an_unfit_image_is_refused(said: Any, true: Any, message: str) -> None:
    boxes, scores, labels = said
    names, difficult = (torch.tensor(values) for values in true)
    target = Boxes(torch.from_numpy(from_horizontal(HIT)), names, difficult)
    metric = CocoBoxes(CLASSES)
    with pytest.raises(UsageError, match=message):
        metric.update(Detections(from_horizontal(boxes), np.array(scores), labels), target)
    assert not metric.said
    assert not metric.true  # neither half of it counts


def test_arrays_of_any_integers_and_lists_are_read() -> None:
    said: Any = [(HIT.astype(np.int32), [1], np.array([7], np.uint8)), ([], [], [])]
    true: Any = [(HIT.astype(np.float32), np.array([7], np.int64)), (np.zeros((0, 4)), [], [])]
    assert coco_ap(said, true)["ap"] == voc_ap(said, true)["map"] == 100
    said, true = [(HIT, [0.5], [10**12])], [(HIT, [10**12])]
    assert coco_ap(said, true)["ap"] == voc_ap(said, true)["map"] == 100  # no table of classes


def test_an_unknown_class_is_refused() -> None:
    corners, one = from_horizontal(HIT), np.ones(1)
    target = Boxes(torch.from_numpy(corners), torch.tensor([3]), torch.tensor([False]))
    metric = CocoBoxes(CLASSES)
    with pytest.raises(UsageError, match=r"from 0 to 3, but got 4\.\.4"):
        metric.update(Detections(corners, one, np.array([4])), target)
    with pytest.raises(UsageError, match=r"from 0 to 2, but got 3\.\.3"):
        CocoBoxes(CLASSES[:3]).update(Detections(corners, one, np.array([0])), target)


def test_arrays_of_all_images_are_validated_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def spy(given: Any, name: str) -> Any:
        seen.append(name)
        return as_array(given, name)

    monkeypatch.setattr("skybench.metrics._validation.as_array", spy)
    flags = np.zeros(1, bool)
    said: Any = [(HIT, np.array([0.5]), np.array([0]))] * 50
    for more in ((), (flags,), (flags, flags)):
        true: Any = [(HIT, np.array([0]), *more)] * 50
        assert coco_ap(said, true)["ap"] == 100
    assert 0 < len(seen) < 50
    seen.clear()
    mixed: Any = [(HIT.tolist(), [0]), *true[1:]]  # widths and kinds of arrays differ
    assert coco_ap([(HIT.tolist(), [0.5], [0]), *said[1:]], mixed)["ap"] == 100
    assert "scores of image 49" in seen
