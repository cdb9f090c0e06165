from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from skybench.boxes.detections import Detections
from skybench.core import REFLECTANCE, UINT8, Boxes, DatasetCard, Sample, Sensor, Target
from skybench.core.dataset import Samples, Split
from skybench.report.pictures import Pictures, colour_classes, display_image

S2 = Sensor("s2", ("blue", "green", "red", "nir"), 10.0, REFLECTANCE)
HR = Sensor("hr", ("red", "green", "blue"), 0.5, UINT8)


class Given(Samples):
    """Three samples with the same target."""

    card = DatasetCard("toy", "Toy", (), (S2, HR), ("a", "b"), {}, "", "", "", "")
    split = Split("test", "ours", "", False)
    keys = ("x/0", "x 1", "x_2")

    def __init__(self, target: Any, dates: int = 1) -> None:
        self.truth, self.dates = target, dates

    def read(self, index: int) -> Sample:
        fine = torch.full((self.dates, 3, 32, 32), 200, dtype=torch.uint8)
        images = {"s2": torch.zeros(1, 4, 8, 8), "hr": fine}
        return Sample(self.keys[index], images, self.truth)


def test_reflectance_is_stretched_and_bands_are_put_in_order() -> None:
    image = np.arange(4 * 16 * 16, dtype=np.float32).reshape(4, 16, 16)
    picture = display_image(image, S2)
    assert picture.shape == (16, 16, 3)
    assert picture.min() == 0
    assert picture.max() == 255
    red = np.zeros((4, 2, 2))
    red[2] = [[0, 100], [100, 100]]
    assert (display_image(red, S2)[..., 1:] == 0).all()
    display = display_image(np.full((3, 2, 2), 7, np.uint8), HR)
    assert (display == 7).all()


def test_classes_have_colours_of_their_own() -> None:
    colours = colour_classes(np.arange(256).reshape(16, 16)).reshape(-1, 3)
    assert colours[0].tolist() == [0, 0, 0]
    assert colours[255].tolist() == [128, 128, 128]
    assert len({tuple(c) for c in colours[:20].tolist()}) == 20


@pytest.mark.parametrize(("dates", "panels"), [(1, 3), (2, 4)])
def test_masks_are_drawn_for_the_first_samples_only(
    dates: int, panels: int, tmp_path: Path
) -> None:
    mask = torch.ones(16, 16, dtype=torch.uint8)
    draw = Pictures(2, tmp_path / "new", Given(mask, dates))
    for index in range(3):
        draw(index, np.zeros((16, 16)))
    names = sorted(p.name for p in (tmp_path / "new").iterdir())
    assert names == ["000_x_0.png", "001_x_1.png"]
    with Image.open(tmp_path / "new" / names[0]) as image:
        assert image.size == (panels * 20 - 4, 16)
        assert image.getpixel((0, 0)) == (200, 200, 200)
        assert image.getpixel(((panels - 2) * 20, 0)) == tuple(
            colour_classes(np.array([[1]]))[0, 0]
        )
        assert image.getpixel(((panels - 1) * 20, 0)) == (0, 0, 0)


def test_series_show_the_last_date_and_boxes_are_drawn(tmp_path: Path) -> None:
    masks = torch.zeros(3, 16, 16, dtype=torch.uint8)
    Pictures(1, tmp_path / "series", Given(masks, 3))(0, np.ones((3, 16, 16)))
    assert len(list((tmp_path / "series").iterdir())) == 1
    none = torch.zeros(0)
    boxes = Boxes(torch.zeros(0, 4, 2), none.long(), none.bool(), (32, 32))
    found = Detections(np.zeros((0, 4, 2)), np.zeros(0), np.zeros(0, int))
    Pictures(1, tmp_path / "boxes", Given(boxes))(0, found)
    with Image.open(next((tmp_path / "boxes").iterdir())) as image:
        assert image.size == (800, 800)


def test_a_class_is_no_picture(tmp_path: Path) -> None:
    Pictures(3, tmp_path / "none", Given(1))(0, np.array([0.2, 0.8]))
    assert not (tmp_path / "none").exists()


def test_values_are_drawn_on_the_scale_of_the_truth_and_nodata_is_grey(tmp_path: Path) -> None:
    true = torch.linspace(100, 300, 256).reshape(16, 16)
    true[0, 0] = float("nan")
    said = np.full((16, 16), 1000.0, np.float32)  # beyond the truth: the highest colour
    Pictures(1, tmp_path, Given(true))(0, said)
    with Image.open(tmp_path / "000_x_0.png") as image:
        assert image.size == (3 * 20 - 4, 16)
        assert image.getpixel((20, 0)) == (128, 128, 128)
        assert image.getpixel((40, 0)) == image.getpixel((20 + 15, 15)) == (253, 231, 36)


def test_values_have_a_nodata_value_of_their_own(tmp_path: Path) -> None:
    given = Given(torch.tensor([[-99.0, 255.0], [0.0, 1.0]]))
    given.card = replace(given.card, target=Target("values", -99.0))
    Pictures(1, tmp_path, given)(0, np.full((2, 2), np.nan))
    with Image.open(tmp_path / "000_x_0.png") as image:
        assert image.getpixel((6, 0)) == (128, 128, 128)
        assert image.getpixel((7, 0)) == (253, 231, 36)  # 255 is a value like others


def test_values_of_a_whole_image_are_no_picture(tmp_path: Path) -> None:
    Pictures(3, tmp_path / "none", Given(torch.rand(4)))(0, np.zeros(4))
    assert not (tmp_path / "none").exists()
