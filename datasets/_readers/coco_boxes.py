"""Reads the `bbox` of COCO's annotations."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from skybench.core import DataError

from .boxes import Object

SEVERAL = 5  # boxes, to tell which form they have


def parse_box(what: str, given: Any) -> list[float]:
    """Return x, y, width and height. Raises DataError, which begins with `what`."""
    numbers = given if isinstance(given, list) else []
    usable = all(type(v) in (int, float) and abs(v) < 1e9 for v in numbers)  # NaN fails, too
    if len(numbers) != 4 or not usable or min(numbers[2:]) < 0:
        raise DataError(
            f"{what} has the bbox {shown(given)}; expected [x, y, width, height] in pixels, "
            "width and height not below 0. Correct it, or remove the annotation"
        )
    return [float(v) for v in numbers if not math.isnan(v)]


def require_sides(
    boxes: Sequence[Sequence[float]],
    images: Iterable[tuple[tuple[int, int], Sequence[Object]]],
) -> None:
    """Raise DataError where boxes are x1, y1, x2, y2: all may be, and some leave their image.

    boxes: of a file, [N, 4]; images: the height and width of each, and its objects.
    """
    if len(boxes) < SEVERAL or not all(x <= w and y <= h for x, y, w, h in boxes):
        return
    for (height, width), own in images:
        out = next((o for o in own if (o.corners[2] > (width + 1, height + 1)).any()), None)
        if out:
            raise DataError(
                f"{out.origin}, has a bbox that leaves its image, and all {len(boxes)} boxes of "
                "the file may be x1, y1, x2, y2; expected [x, y, width, height]. Write the widths "
                "and heights"
            )


def shown(value: object, most: int = 60) -> str:
    """Return a value for a message, in ASCII and not too long."""
    text = ascii(value)
    return text if len(text) <= most else f"{text[:most]}…"
