"""What `skybench cache` prints."""

from __future__ import annotations

import json
import re
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from skybench.cli.output import say, show_rows
from skybench.core import UsageError, folders
from skybench.core.atomic import remove_leftovers
from skybench.core.cache_entries import (
    FOLDERS,
    MEMORIES,
    CacheEntry,
    read_entries,
    removable,
    remove_entry,
)
from skybench.core.lock import remove_dead_locks

SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)b?", re.IGNORECASE)
UNITS = {"": 1.0, "k": 1e3, "m": 1e6, "g": 1e9, "t": 1e12}
TIMES = ((86400, "d"), (3600, "h"), (60, "min"), (1, "s"))


def list_cache(models: str, datasets: str, as_json: bool) -> None:
    """Print the entries, largest first; small files of a kind share a row."""
    entries = _entries(models, datasets)
    if as_json:
        print(json.dumps([_facts(entry) for entry in entries], indent=1))
        return
    grouped: dict[tuple[str, Path], list[CacheEntry]] = defaultdict(list)
    for entry in entries:
        alone = entry.kind in FOLDERS
        grouped[entry.kind, entry.path if alone else entry.path.parent].append(entry)
    ordered = sorted(grouped.items(), key=lambda item: -sum(e.bytes for e in item[1]))
    rows = [_row(kind, place, found) for (kind, place), found in ordered]
    show_rows(rows, as_json=False) if rows else None
    size = size_text(sum(entry.bytes for entry in entries))
    print(f"{size} in {_counted(entries)} of {folders.cache().resolve()}.")


def collect_cache(
    models: str, datasets: str, limits: tuple[str, str], dry_run: bool, as_json: bool
) -> None:
    """Remove entries; limits: age and size as texts, "" for none."""
    from skybench.plan.arguments import seconds_of

    older = seconds_of(limits[0], "--older-than") if limits[0] else 0.0
    most = bytes_of(limits[1]) if limits[1] else float("inf")
    chosen = removable(_entries(models, datasets), older, most) if (
        models or datasets or any(limits)) else []  # fmt: skip
    cache = folders.cache()
    left_over = 0 if dry_run else remove_leftovers(cache) + remove_dead_locks(cache)
    gone = chosen if dry_run else [entry for entry in chosen if remove_entry(entry.path)]
    if as_json:
        rows = [_facts(entry) for entry in gone]
        print(json.dumps({"removed": rows, "leftovers": left_over, "dry_run": dry_run}, indent=1))
        return
    for entry in gone:
        print(f"{entry.path}  {size_text(entry.bytes)}, used {age_text(entry.age)} ago")
    size = size_text(sum(entry.bytes for entry in gone))
    done = "would be removed" if dry_run else "removed"
    rest = "" if dry_run else f" and {left_over} left over from killed processes"
    print(f"{_counted(gone)} ({size}){rest} {done}.")


def verify_cache(models: str, datasets: str, repair: bool, as_json: bool) -> int:
    """Print what is damaged; return the exit code, 1 where damage is left."""
    from skybench.checks.cache_check import UNPROVEN, damaged_files, remove_damaged

    entries = _entries(models, datasets)
    damaged = damaged_files(entries)
    gone = [d for d in damaged if repair and not d.entry.in_use]
    for damage in gone:
        remove_damaged(damage)
    rows = [
        {"path": str(d.path), "what": d.what, "done": "removed" if d in gone else
         "left, it is in use" if repair else "left"} for d in damaged
    ]  # fmt: skip
    read = [entry for entry in entries if entry.kind not in UNPROVEN]
    if as_json:
        print(json.dumps({"entries": len(read), "damaged": rows}, indent=1))
    else:
        show_rows(rows, as_json=False) if rows else None
        size = size_text(sum(entry.bytes for entry in read))
        print(f"{_counted(read)} ({size}) read, {len(rows)} damaged, {len(gone)} removed.")
        if len(rows) > len(gone) and not repair:
            say("`skybench cache verify --repair` removes what is damaged; it is made again.")
    return 1 if len(rows) > len(gone) else 0


def bytes_of(text: str) -> float:
    """Return a size in bytes, given as 100GB, "500 MB" or 2000000. Raises UsageError.

    >>> bytes_of("1.5GB")
    1500000000.0
    """
    found = SIZE.fullmatch(text.strip())
    if found is None:
        raise UsageError(f"--max-size is {text!r}; expected a size as 100GB or 500MB")
    return float(found[1]) * UNITS[found[2].lower()]


def size_text(size: float) -> str:
    """Return a size for people.

    >>> size_text(12_340_000)
    '12.3 MB'
    """
    for unit, name in ((1e9, "GB"), (1e6, "MB")):
        if size >= unit:
            return f"{size / unit:,.1f} {name}"
    return f"{size / 1e3:.1f} kB"


def age_text(seconds: float) -> str:
    """Return a time for people, in its largest unit.

    >>> age_text(7300)
    '2 h'
    """
    unit, name = next(((u, n) for u, n in TIMES if seconds >= u), TIMES[-1])
    return f"{int(seconds / unit)} {name}"


def _entries(models: str, datasets: str) -> list[CacheEntry]:
    return read_entries(*(
        [name.strip() for name in names.split(",") if name.strip()] for names in (models, datasets)
    ))  # fmt: skip


def _counted(entries: Sequence[CacheEntry]) -> str:
    return f"{len(entries)} entr{'y' if len(entries) == 1 else 'ies'}"


def _facts(entry: CacheEntry) -> dict[str, Any]:
    return {**entry._asdict(), "path": str(entry.path), "age": round(entry.age, 1)}


def _row(kind: str, place: Path, found: Sequence[CacheEntry]) -> dict[str, str]:
    first = found[0]
    return {
        "kind": kind,
        "model": first.model,
        "dataset": first.dataset,
        "size": size_text(sum(entry.bytes for entry in found)),
        "used": f"{age_text(min(entry.age for entry in found))} ago",
        "in use": "yes" if any(entry.in_use for entry in found) else "",
        "path": str(place.relative_to(folders.cache().absolute()))
        + (f"/ ({len(found)})" if kind in MEMORIES else ""),
    }
