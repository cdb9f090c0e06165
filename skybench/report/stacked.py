"""Tables for a narrow terminal: the scores of a row below each other, no line longer than it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from skybench.report.tables import Grid, to_text

KEYS = frozenset(("model", "variant", "weights", "data", "settings", "kind"))


def text_tables(grids: Sequence[Grid], width: int) -> str:
    """Write tables as text that fits a width; without any, say so. See `fit_text`."""
    return "\n\n".join(fit_text(grid, width) for grid in grids) or "No records."


def fit_text(grid: Grid, width: int) -> str:
    """Write a table as text: as columns where they fit the width, else stacked.

    width: of the terminal, in characters; 0: any.
    """
    plain = to_text(grid)
    body = plain.splitlines()[: len(grid.rows) + 4]
    if not width or max(map(len, body)) <= width:
        return "\n".join([*body, *_wrapped(grid.notes, width)]) if width else plain
    return to_stacked(grid, width)


def to_stacked(grid: Grid, width: int) -> str:
    """Write each row as a heading, with its scores below it; the best cells have a star."""
    keys = [i for i, name in enumerate(grid.header) if name in KEYS]
    others = [i for i in range(len(grid.header)) if i not in keys]
    side = max((len(grid.header[i]) for i in others), default=0)
    side = min(side, max(10, width // 2))
    lines = [*_wrapped([grid.title], width), ""]
    for row in grid.shown("{}*", "{}"):
        lines += _wrapped(["  ".join(row[i] for i in keys if row[i])], width)
        for i in others:
            if row[i]:
                lines += _entry(grid.header[i], row[i], side, width)
        lines.append("")
    return "\n".join([*lines, *_wrapped(grid.notes, width)])


def _entry(name: str, text: str, side: int, width: int) -> list[str]:
    """One score: its column's name, then its text beside it."""
    line = f"  {name.ljust(side)}  {text}"
    if len(line) <= width:
        return [line]
    return [*_wrapped([f"  {name}"], width), *_wrapped([f"    {text}"], width)]


def _wrapped(texts: Sequence[str], width: int) -> list[str]:
    """Texts in lines of at most that width; indented lines stay indented."""
    found = []
    for text in texts:
        indent = " " * (len(text) - len(text.lstrip()) + 2)
        found += textwrap.wrap(text, width, subsequent_indent=indent) or [""]
    return found
