"""Values and rows as text for a terminal of any width."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

from skybench.records.labels import RED, flag_marks


def terminal_width() -> int:
    """Return the width of the terminal that stdout is, in characters; 0 where it is none."""
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else 0


def shows_colour() -> bool:
    """Whether stdout is a terminal whose user wants colours: see no-color.org."""
    plain_wanted = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return sys.stdout.isatty() and not plain_wanted


class Red(str):
    """A text of a table that is shown in red where colours are."""

    __slots__ = ()


def marked(text: str, flags: Sequence[str]) -> str:
    """Return a score's or a model's text with the marks of its flags, `Red` where one asks so."""
    whole = f"{text}{flag_marks(flags)}"
    return Red(whole) if RED in flags else whole


def plain(value: Any) -> str:
    """Return a value as text for a cell of a table; each of several mappings has its own line."""
    if isinstance(value, Mapping):
        return ", ".join(
            f"{k} {plain(v) if isinstance(v, Mapping) else v}" for k, v in value.items()
        )
    if isinstance(value, list | tuple):
        lines = value and all(isinstance(v, Mapping) for v in value)
        return ("\n" if lines else ", ").join(map(plain, value))
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def narrowest(rows: Sequence[Mapping[str, Any]]) -> int:
    """Return the least width of a table of rows in which no word is broken."""
    every = [{n: f"{n} {plain(v)}" for n, v in row.items()} for row in rows]
    words = {n: max(len(w) for row in every for w in row[n].split()) for n in (every or [{}])[0]}
    return sum(3 + width for width in words.values())


def paragraph(row: Mapping[str, Any], width: int) -> str:
    """Return a row as text: its first two values, and below them the others with their names."""
    (_, first), (_, second), *rest = [(n, plain(v)) for n, v in row.items()] + [("", "")] * 2
    said = "; ".join(f"{n} {v}".strip() for n, v in rest if v)
    lines = textwrap.wrap(f"{first}  {second}", width, subsequent_indent="  ")
    body = textwrap.wrap(said, width, initial_indent="    ", subsequent_indent="    ")
    return "\n".join([*lines, *body, ""])
