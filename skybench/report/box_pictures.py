"""Pictures of detections as PNG files."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from skybench.boxes.detections import Detections
from skybench.core import Boxes

LEAST = 0.3  # score from which a detection is drawn
SIDE = 800  # smaller images are enlarged by a whole factor, about to this side
TRUE = (255, 255, 255)
COLOURS = (  # Okabe and Ito 2008, which colour-blind readers tell apart; without black
    *((230, 159, 0), (86, 180, 233), (0, 158, 115), (240, 228, 66)),
    *((0, 114, 178), (213, 94, 0), (204, 121, 167)),
)


def draw_boxes(
    image: NDArray[np.uint8],
    found: Detections,
    truth: Boxes,
    classes: Sequence[str],
    path: Path,
) -> None:
    """Write a PNG: true objects in thin white, detections from score 0.3 with class and score.

    image: [H, W, 3]; boxes in its pixels; classes: names by label.
    """
    factor = max(1, round(SIDE / max(image.shape[:2])))
    canvas = Image.fromarray(image)
    canvas = canvas.resize(
        (canvas.width * factor, canvas.height * factor), Image.Resampling.BICUBIC
    )
    pen = ImageDraw.Draw(canvas)
    for corners in np.asarray(truth.corners):
        pen.polygon(_points(corners, factor), outline=TRUE)
    for i in np.argsort(found.scores, kind="stable"):  # the highest on top
        if found.scores[i] >= LEAST:
            label = int(found.labels[i])
            text = f"{classes[label]} {found.scores[i]:.2f}"
            _box(pen, _points(found.corners[i], factor), text, COLOURS[label % len(COLOURS)])
    canvas.save(path, format="PNG")


def _points(corners: NDArray[Any], factor: int) -> list[tuple[float, float]]:
    return [(float(x) * factor, float(y) * factor) for x, y in corners]


def _box(
    pen: ImageDraw.ImageDraw,
    points: Sequence[tuple[float, float]],
    text: str,
    colour: tuple[int, int, int],
) -> None:
    pen.polygon(points, outline=colour, width=2)
    font = ImageFont.load_default(12)
    x, y = min(points, key=lambda point: point[1])
    _, _, right, bottom = pen.textbbox((0, 0), text, font)
    x = min(max(x, 0), pen.im.size[0] - right - 2)
    y = max(y - bottom - 3, 0)
    pen.rectangle((x, y, x + right + 3, y + bottom + 2), fill=colour)
    pen.text((x + 2, y), text, fill=(0, 0, 0), font=font)
