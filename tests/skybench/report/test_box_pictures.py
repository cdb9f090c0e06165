from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from PIL import Image

from skybench.boxes.detections import Detections
from skybench.boxes.geometry import from_horizontal
from skybench.core import Boxes
from skybench.report.box_pictures import draw_boxes


def test_a_drawing_shows_truth_and_detections(tmp_path: Path) -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    corners = from_horizontal(np.array([[10.0, 10, 30, 30], [35, 5, 55, 25]]))
    found = Detections(corners, np.array([0.9, 0.1]), np.array([1, 0]))
    label, easy = torch.zeros(1, dtype=torch.int64), torch.zeros(1, dtype=torch.bool)
    truth = Boxes(torch.from_numpy(corners[1:]), label, easy, (40, 60))
    draw_boxes(image, found, truth, ("disc", "bar"), tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as drawn:
        pixels = np.asarray(drawn)
    assert pixels.shape == (40 * 13, 60 * 13, 3)
    assert tuple(pixels[20 * 13, 35 * 13]) == (255, 255, 255)  # the truth
    assert tuple(pixels[20 * 13, 30 * 13]) == (86, 180, 233)  # what was found
    assert not (pixels[10 * 13 + 5 : 24 * 13, 36 * 13 : 54 * 13]).any()  # too low a score
