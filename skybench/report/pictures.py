"""Pictures of predictions as PNG files: the image, the truth, the prediction side by side."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from skybench.core import IGNORE, UINT8, Boxes, Sensor, Target
from skybench.core.dataset import Samples
from skybench.report.box_pictures import draw_boxes as draw_boxes

GAP = 4  # pixels between the panels
GREY = 128  # of pixels without a label
# Golden-angle steps in hue: neighbouring ids differ clearly, for any number of classes.
HUES = (np.arange(IGNORE + 1) * 0.381966) % 1.0


def display_image(image: NDArray[Any], sensor: Sensor) -> NDArray[np.uint8]:
    """Return an image for display, uint8 [H, W, 3]: red, green, blue, or else three other bands.

    image: [C, H, W]. Values that are not for display are stretched between percentiles 2 and 98.
    """
    names = ("red", "green", "blue")
    there = {*names} <= {*sensor.bands}
    channels = [sensor.bands.index(n) for n in names] if there else [0, len(image) // 2, -1]
    picked = np.asarray(image)[channels].astype(np.float64)
    if sensor.unit != UINT8:
        low, high = np.percentile(picked, [2, 98], axis=(1, 2), keepdims=True)
        picked = 255 * (picked - low) / np.maximum(high - low, 1e-9)
    return np.ascontiguousarray(picked.clip(0, 255).astype(np.uint8).transpose(1, 2, 0))


def colour_classes(mask: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a mask in colours, uint8 [H, W, 3]; class 0 is black, ignored pixels are grey."""
    hsv = np.stack([HUES * 255, np.full(len(HUES), 190), np.full(len(HUES), 235)], 1)
    palette = np.array(Image.fromarray(hsv.astype(np.uint8)[None], "HSV").convert("RGB"))[0]
    palette[0], palette[IGNORE] = 0, GREY
    return np.asarray(palette[np.asarray(mask).astype(np.uint8)])


def colour_values(values: NDArray[Any], low: float, high: float) -> NDArray[np.uint8]:
    """Return a map of values in viridis from `low` to `high`, uint8 [H, W, 3]; NaN is grey."""
    import matplotlib

    known = np.isfinite(values)
    share = (np.where(known, values, low) - low) / max(high - low, 1e-12)
    colours = matplotlib.colormaps["viridis"](share.clip(0, 1), bytes=True)[..., :3]
    return np.asarray(np.where(known[..., None], colours, GREY).astype(np.uint8))


class Pictures:
    """Draws predictions of the first `count` test samples; see `skybench run --draw`."""

    def __init__(self, count: int, folder: Path, samples: Samples) -> None:
        self.count, self.folder, self.samples = count, folder, samples

    def __call__(self, index: int, prediction: Any) -> None:
        """Write a PNG of a sample below `count`, if its target has an extent: no class ids."""
        target = None if index >= self.count else self.samples.read(index).target
        boxes = isinstance(target, Boxes)
        maps = min(getattr(x, "ndim", 0) for x in (prediction, target)) >= 2
        if target is None or not (boxes or maps):
            return
        self.folder.mkdir(parents=True, exist_ok=True)
        sample = self.samples.read(index)
        sensors = {s.name: s for s in self.samples.card.sensors}
        name = max(sample.images, key=lambda n: sample.images[n].shape[-1])  # the finest
        dates = [display_image(date, sensors[name]) for date in sample.images[name].numpy()]
        path = self.folder / f"{index:03d}_{re.sub(r'[^A-Za-z0-9.-]+', '_', sample.key)}.png"
        if boxes:
            draw_boxes(dates[0], prediction, target, self.samples.card.classes, path)
        else:
            colour = _colours(self.samples.card.target_of(target), np.asarray(target))
            _draw_maps(dates, [colour(np.asarray(m)) for m in (target, prediction)], path)


def _colours(kind: Target, true: NDArray[Any]) -> Callable[[NDArray[Any]], NDArray[np.uint8]]:
    """How maps of this kind are coloured: classes by id, values on the scale of the truth."""
    ignore = kind.ignore
    if kind.kind != "values":
        return lambda mask: colour_classes(
            mask if ignore in (None, IGNORE) else np.where(mask == ignore, IGNORE, mask)
        )

    def labelled(values: NDArray[Any]) -> NDArray[np.float64]:
        return np.where(values == ignore, np.nan, values).astype(np.float64)

    known = labelled(true)[np.isfinite(labelled(true))]
    low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
    return lambda values: colour_values(labelled(values), low, high)


def _draw_maps(dates: list[NDArray[np.uint8]], maps: list[NDArray[np.uint8]], path: Path) -> None:
    """Side by side: the first and the last date, the truth, the prediction."""
    maps = [m if m.ndim == 3 else m[-1] for m in maps]
    height, width = maps[0].shape[:2]
    ends = [dates[0], dates[-1]] if len(dates) > 1 else dates
    panels = [*(np.asarray(Image.fromarray(d).resize((width, height))) for d in ends), *maps]
    canvas = np.full((height, len(panels) * (width + GAP) - GAP, 3), 255, np.uint8)
    for place, panel in enumerate(panels):
        canvas[:, place * (width + GAP) :][:, :width] = panel
    Image.fromarray(canvas).save(path)
