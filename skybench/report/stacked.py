"""Tables for a narrow terminal: the scores of a row below each other, no line longer than it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from skybench.report.tables import PAINT, Grid, to_text

KEYS = frozenset(("model", "variant", "weights", "data", "settings", "kind"))


def text_tables(grids: Sequence[Grid], width: int, colour: bool = False) -> str:
    """Write tables as text that fits a width; without any, say so. See `fit_text`."""
    return "\n\n".join(fit_text(grid, width, colour) for grid in grids) or "No records."


def fit_text(grid: Grid, width: int, colour: bool = False) -> str:
    """Write a table as text: as columns where they fit the width, else stacked.

    width: of the terminal, in characters; 0: any. colour: of red cells, by ANSI sequences.
    """
    plain, painted = to_text(grid), to_text(grid, colour)
    body = len(grid.rows) + 4  # lines
    if not width:
        return painted
    if max(map(len, plain.splitlines()[:body])) <= width:
        return "\n".join([*painted.splitlines()[:body], *_wrapped(grid.notes, width)])
    return to_stacked(grid, width, colour)


def to_stacked(grid: Grid, width: int, colour: bool = False) -> str:
    """Write each row as a heading, with its scores below it; the best cells have a star."""
    keys = [i for i, name in enumerate(grid.header) if name in KEYS]
    others = [i for i in range(len(grid.header)) if i not in keys]
    side = max((len(grid.header[i]) for i in others), default=0)
    side = min(side, max(10, width // 2))
    lines = [*_wrapped([grid.title], width), ""]
    for number, row in enumerate(grid.shown("{}*", "{}")):
        lines += _wrapped(["  ".join(row[i] for i in keys if row[i])], width)
        for i in others:
            if row[i]:
                red = colour and (number, i) in grid.red
                lines += _entry(grid.header[i], row[i], (side, width), PAINT if red else "{}")
        lines.append("")
    return "\n".join([*lines, *_wrapped(grid.notes, width)])


def _entry(name: str, text: str, widths: tuple[int, int], paint: str) -> list[str]:
    """One score: its column's name, then its text beside it.

    widths: of the name, and of the line.
    """
    side, width = widths
    start = f"  {name.ljust(side)}  "
    if len(start + text) <= width:
        return [start + paint.replace("{}", text)]
    below = _wrapped([f"    {text}"], width)
    return [*_wrapped([f"  {name}"], width), *(paint.replace("{}", line) for line in below)]


def _wrapped(texts: Sequence[str], width: int) -> list[str]:
    """Texts in lines of at most that width; indented lines stay indented."""
    found = []
    for text in texts:
        indent = " " * (len(text) - len(text.lstrip()) + 2)
        found += textwrap.wrap(text, width, subsequent_indent=indent) or [""]
    return found
