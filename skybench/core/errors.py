"""Errors whose cause a user can fix; the message says how."""

from __future__ import annotations


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
