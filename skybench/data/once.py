"""What readers look up on disk, remembered for the time of a plan.

A plan opens several splits of a dataset, each of which lists the same folders and parses the same
tables. Outside of a plan nothing is remembered, since files may change.
"""

from __future__ import annotations

import contextlib
import contextvars
import functools
import os
from collections.abc import Callable, Hashable, Iterator
from pathlib import Path
from typing import Any, NamedTuple, ParamSpec, TypeVar

Given = ParamSpec("Given")
Answer = TypeVar("Answer")
_KNOWN: contextvars.ContextVar[dict[Hashable, Any] | None] = contextvars.ContextVar(
    "known", default=None
)


@contextlib.contextmanager
def remembered() -> Iterator[None]:
    """Remember within the context what functions of `once_a_plan` return; contexts may nest."""
    if _KNOWN.get() is not None:
        yield
        return
    token = _KNOWN.set({})
    try:
        yield
    finally:
        _KNOWN.reset(token)


def once_a_plan(function: Callable[Given, Answer]) -> Callable[Given, Answer]:
    """Call a function once for the same arguments, which are hashable, within `remembered`.

    Callers share what it returns and must not change it. An error is not remembered.
    """

    @functools.wraps(function)
    def call(*args: Given.args, **kwargs: Given.kwargs) -> Answer:
        known = _KNOWN.get()
        if known is None:
            return function(*args, **kwargs)
        key = (function, args, tuple(kwargs.items()))
        if key not in known:
            known[key] = function(*args, **kwargs)
        answer: Answer = known[key]
        return answer

    return call


class FolderNames(NamedTuple):
    """The names in a folder, sorted; links count as what they lead to, broken ones as neither."""

    folders: tuple[str, ...]
    files: tuple[str, ...]
    others: tuple[str, ...] = ()

    @property
    def every(self) -> list[str]:
        """All names, sorted."""
        return sorted((*self.folders, *self.files, *self.others))


@once_a_plan
def list_folder(folder: Path) -> FolderNames:
    """List a folder, without a `stat` for each file. Raises OSError."""
    found: tuple[list[str], list[str], list[str]] = ([], [], [])
    with os.scandir(folder) as entries:
        for entry in entries:
            found[_kind(entry)].append(entry.name)
    return FolderNames(*(tuple(sorted(names)) for names in found))


def _kind(entry: os.DirEntry[str]) -> int:
    try:
        return 0 if entry.is_dir() else 1 if entry.is_file() else 2
    except OSError:  # a link that leads to itself
        return 2
