"""Recipes of the data sets, with what their sources say of every aspect."""

from __future__ import annotations

from skybench.core import FieldSource


def agrees(at: str, note: str = "") -> FieldSource:
    """Return that the source has the same, in a file and its lines."""
    return FieldSource("agrees", at, note)


def differs(at: str, note: str) -> FieldSource:
    """Return that the source has something else, which the note tells, with the effect."""
    return FieldSource("differs", at, note)


def unknown(note: str, at: str = "") -> FieldSource:
    """Return that the source does not say it; the note tells what is missing."""
    return FieldSource("unknown", at, note)


def standardised(at: str) -> FieldSource:
    """Return that the source has nothing between the backbone and the head at `at`."""
    return differs(at, "standardised by the training data before the head, there used as they are")
