"""Errors whose cause a user can fix; the message says how."""

from __future__ import annotations

import traceback
from pathlib import Path

# Errors whose own text names a value and no cause, as KeyError: 99.
UNEXPECTED = (
    LookupError, AttributeError, TypeError, AssertionError, NameError, ArithmeticError,
)  # fmt: skip


class SkybenchError(Exception):
    """An error that the user can fix: what was given, what was expected, what to do."""


class CannotRun(SkybenchError):
    """A model that cannot do a task on a dataset; the message says why and goes into the record."""


class DataError(SkybenchError):
    """Data that are missing, in another layout than expected, or unreadable."""


class WeightsError(SkybenchError):
    """Weights that are missing, damaged, unsafe to open, or of another model."""


class UsageError(SkybenchError):
    """A name or an option that does not exist, or does not fit the others."""


class Diverged(SkybenchError):
    """A training whose loss is no longer finite, as under too high a learning rate."""


class InvalidArray(UsageError, ValueError):
    """Arrays that a metric cannot score; a ValueError too, as NumPy and scikit-learn raise."""


def error_text(error: BaseException) -> str:
    """Return the text of an error for a user: of skybench and the system as it is said there.

    Of any other error the kind, and the place in the code where its own text says no cause.

    >>> error_text(DataError("a.tif is empty; get it again")), error_text(MemoryError())
    ('a.tif is empty; get it again', 'there is not enough memory')
    """
    if isinstance(error, SkybenchError):
        return str(error)
    if isinstance(error, MemoryError):
        return "there is not enough memory"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror + (f": {error.filename}" if error.filename else "")
    if isinstance(error, UNEXPECTED) or not str(error).strip():
        frames = traceback.extract_tb(error.__traceback__)
        place = f" ({Path(frames[-1].filename).name}, line {frames[-1].lineno})" if frames else ""
        return f"an unexpected {type(error).__name__}{place}"
    return f"{type(error).__name__}: {error}"
