"""Versions in tables: rows that mix versions whose numbers may differ are marked and named."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from skybench.core import Record
from skybench.core.record import with_fields

MIXED = "other versions"  # the flag of a cell that is older than others of its row or column
_Column = tuple[str, ...]
_Cells = Mapping[Any, Mapping[_Column, Record]]  # row -> column -> record


def mark_versions(cells: _Cells) -> dict[Any, dict[_Column, Record]]:
    """Return the cells of a table, with the flag MIXED where their versions are not the newest.

    Adapters are compared along a row, readers and metrics down a column. A record that does not
    state these versions is left as it is.
    """
    newest: dict[tuple[Any, ...], int] = {}
    stated = {
        row: {column: _places(row, column, record) for column, record in own.items()}
        for row, own in cells.items()
    }
    for own in stated.values():
        for places in own.values():
            for place, version in places.items():
                newest[place] = max(version, newest.get(place, version))
    return {
        row: {column: _marked(r, stated[row][column], newest) for column, r in own.items()}
        for row, own in cells.items()
    }


def _marked(
    record: Record, places: Mapping[Any, int], newest: Mapping[tuple[Any, ...], int]
) -> Record:
    old = any(version < newest[place] for place, version in places.items())
    return with_fields(record, flags=[*record.flags, MIXED]) if old else record


def _places(row: Any, column: _Column, record: Record) -> dict[tuple[Any, ...], int]:
    """The versions of adapter, reader and metric, by what they are compared within."""
    cards = record.used.get("cards", {})
    if not cards:
        return {}
    cards = {"protocol": 1, **cards}  # former records do not state it
    protocol = record.recipe.get("protocol", "")
    within = {
        "model": (row,), "dataset": (column,), "task": (column,), "protocol": (column, protocol),
    }  # fmt: skip
    return {(name, *within[name]): cards[name] for name in within if type(cards.get(name)) is int}


def version_notes(records: Iterable[Record]) -> list[str]:
    """Return a footnote that names the packages of which the records were made with several."""
    found: dict[str, Counter[str]] = {}
    stated = [r.used.get("versions", {}) for r in records if r.main]
    counts_of = Counter(map(id, stated))  # many records share one object
    for versions in {id(each): each for each in stated}.values():
        for name, version in versions.items():
            if name != "python":
                found.setdefault(name, Counter())[version] += counts_of[id(versions)]
    several = [
        f"{name} {' and '.join(_counted(v, n) for v, n in sorted(counts.items()))}"
        for name, counts in sorted(found.items())
        if len(counts) > 1
    ]
    if not several:
        return []
    return [f"Made with several versions, so numbers may differ a little: {'; '.join(several)}."]


def _counted(version: str, scores: int) -> str:
    return f"{version} ({scores} score{'s' * (scores != 1)})"


def kept_note(kept: Sequence[Record], total: int, version: str, revision: str) -> str:
    """Return how many cells were done before, and which of them by another skybench.

    version, revision: of the running skybench.
    """
    if not kept:
        return ""
    note = f"{len(kept)} of {total} cells were done already and were kept (--force runs them)"
    makers = [(_stated(r, "skybench"), str(r.used.get("revision", ""))) for r in kept]
    older = Counter(_maker(v, r) for v, r in makers if (v, r) != (version, revision))
    said = ", ".join(f"{count} by {maker}" for maker, count in sorted(older.items()))
    return f"{note}; made by another skybench: {said}." if older else f"{note}."


def _stated(record: Record, package: str) -> str:
    return str(record.used.get("versions", {}).get(package, "an unknown version"))


def _maker(version: str, revision: str) -> str:
    mark = "-dirty" * revision.endswith("-dirty")
    return f"{version} ({revision[:8]}{mark})" if revision else version
