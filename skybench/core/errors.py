"""What a user can mend."""

from __future__ import annotations


class SkybenchError(Exception):
    """What a user can mend: the message says what was given, what was expected, what to do."""


class CannotRun(SkybenchError):
    """This model cannot do this task on this dataset; the message says why and is stored."""


class DataError(SkybenchError):
    """Data is missing, laid out otherwise than expected, or unreadable."""


class WeightsError(SkybenchError):
    """Weights are missing, of another model, damaged, or not safe to open."""


class UsageError(SkybenchError):
    """A name or an option that does not exist or does not fit."""
