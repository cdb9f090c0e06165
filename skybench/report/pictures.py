"""Pictures of what was predicted, for eyes: the image, the truth, the prediction."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from skybench.core import IGNORE, UINT8, Boxes, Sensor
from skybench.core.dataset import Samples
from skybench.report.box_pictures import draw as draw_boxes

GAP = 4  # pixels between the panels
# Golden-angle steps in hue: neighbouring ids differ clearly, for any number of classes.
HUES = (np.arange(IGNORE + 1) * 0.381966) % 1.0


def shown(image: NDArray[Any], sensor: Sensor) -> NDArray[np.uint8]:
    """One date as uint8 [H, W, 3]: red, green, blue where there are, else the first bands.

    image: [C, H, W]. Anything but display values is stretched between its 2 and 98 percentiles.
    """
    names = ("red", "green", "blue")
    there = {*names} <= {*sensor.bands}
    channels = [sensor.bands.index(n) for n in names] if there else [0, len(image) // 2, -1]
    picked = np.asarray(image)[channels].astype(np.float64)
    if sensor.unit != UINT8:
        low, high = np.percentile(picked, [2, 98], axis=(1, 2), keepdims=True)
        picked = 255 * (picked - low) / np.maximum(high - low, 1e-9)
    return np.ascontiguousarray(picked.clip(0, 255).astype(np.uint8).transpose(1, 2, 0))


def coloured(mask: NDArray[Any]) -> NDArray[np.uint8]:
    """A mask in colours, uint8 [H, W, 3]; 0 is black, what is ignored grey."""
    hsv = np.stack([HUES * 255, np.full(len(HUES), 190), np.full(len(HUES), 235)], 1)
    palette = np.array(Image.fromarray(hsv.astype(np.uint8)[None], "HSV").convert("RGB"))[0]
    palette[0], palette[IGNORE] = 0, 128
    return np.asarray(palette[np.asarray(mask).astype(np.uint8)])


class Drawings:
    """Draws the first `count` test samples as their predictions come; see `skybench run --draw`."""

    def __init__(self, count: int, folder: Path, samples: Samples) -> None:
        self.count, self.folder, self.samples = count, folder, samples

    def __call__(self, index: int, prediction: Any) -> None:
        """A PNG of one sample; nothing from `count` on, or where the answer is no picture."""
        target = None if index >= self.count else self.samples.read(index).target
        boxes = isinstance(target, Boxes)
        if target is None or not (boxes or getattr(prediction, "ndim", 0) >= 2):
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        sample = self.samples.read(index)
        sensors = {s.name: s for s in self.samples.card.sensors}
        name = max(sample.images, key=lambda n: sample.images[n].shape[-1])  # the finest
        dates = [shown(date, sensors[name]) for date in sample.images[name].numpy()]
        path = self.folder / f"{index:03d}_{re.sub(r'[^A-Za-z0-9.-]+', '_', sample.key)}.png"
        if boxes:
            draw_boxes(dates[0], prediction, target, self.samples.card.classes, path)
        else:
            _masks(dates, np.asarray(target), np.asarray(prediction), path)


def _masks(
    dates: list[NDArray[np.uint8]], true: NDArray[Any], said: NDArray[Any], path: Path
) -> None:
    """Side by side: the first and the last date, the truth, what was said."""
    height, width = true.shape[-2:]
    ends = [dates[0], dates[-1]] if len(dates) > 1 else dates
    images = [np.asarray(Image.fromarray(d).resize((width, height))) for d in ends]
    masks = [coloured(m if m.ndim == 2 else m[-1]) for m in (true, said)]
    panels = [*images, *masks]
    canvas = np.full((height, len(panels) * (width + GAP) - GAP, 3), 255, np.uint8)
    for place, panel in enumerate(panels):
        canvas[:, place * (width + GAP) :][:, :width] = panel
    Image.fromarray(canvas).save(path)
