"""Says in words why a file cannot be read, where libraries raise errors of many kinds."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from PIL import UnidentifiedImageError
from rasterio.errors import RasterioError

from skybench.core import SkybenchError

OTHER_KIND = "a value in it is of another kind than expected"
# The first that fits: subclasses come before their bases.
CAUSES: tuple[tuple[type[Exception], Callable[[Any], str]], ...] = (
    (SkybenchError, str),
    (KeyError, lambda error: f"it has no {error.args[0]!r}" if error.args else OTHER_KIND),
    (IndexError, lambda _: "a list in it is too short"),
    (FileNotFoundError, lambda _: "there is no such file"),
    (UnidentifiedImageError, lambda _: "it is no image of a known kind"),
    (RasterioError, str),
    (OSError, lambda error: str(error.strerror or error)),
    (UnicodeDecodeError, lambda _: "it is no text in UTF-8"),
    (json.JSONDecodeError, lambda error: f"it is no complete JSON: {error}"),
    (TypeError, lambda _: OTHER_KIND),
    (AttributeError, lambda _: OTHER_KIND),
    (ArithmeticError, lambda _: OTHER_KIND),
)


def cause_of(error: Exception) -> str:
    """Return why a file cannot be read, without names of Python's errors.

    >>> cause_of(KeyError("features")), cause_of(IndexError("list index out of range"))
    ("it has no 'features'", 'a list in it is too short')
    """
    for kind, text in CAUSES:
        if isinstance(error, kind):
            return text(error) or OTHER_KIND
    return str(error) or OTHER_KIND
