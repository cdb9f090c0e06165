"""Looks at every file of the cache that has a checksum, and compares the two."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from skybench.core import Report
from skybench.core.cache_entries import KEPT, MEMORIES, CacheEntry
from skybench.core.sealed import unseal
from skybench.data import shards
from skybench.features.cache import discard_entry, entry_damage

UNPROVEN = ("demo", *KEPT)  # kinds without checksums of ours


class Damage(NamedTuple):
    """A damaged part of an entry."""

    entry: CacheEntry
    path: Path
    what: str


def damaged_files(entries: Iterable[CacheEntry], report: Report = lambda *_: None) -> list[Damage]:
    """Return what is damaged in some entries of the cache; every file of them is read."""
    found: list[Damage] = []
    every = [entry for entry in entries if entry.kind not in UNPROVEN]
    for number, entry in enumerate(every):
        report("checking", number, len(every))
        found += [Damage(entry, path, what) for path, what in _damage_of(entry)]
    return found


def remove_damaged(damage: Damage) -> None:
    """Remove what is damaged, so that it is made again. Raises DataError or OSError."""
    if damage.entry.kind == "decoded":
        shards.discard_shard(damage.path)
    elif damage.path.is_dir():
        discard_entry(damage.path)
    else:
        damage.path.unlink(missing_ok=True)


def _damage_of(entry: CacheEntry) -> Iterator[tuple[Path, str]]:
    if entry.kind in MEMORIES:
        if unseal(entry.path.read_bytes()) is None:
            yield entry.path, "damaged, or of an earlier version without a checksum"
    elif entry.kind == "decoded":
        for index in shards.damaged_shards(entry.path):
            yield index, f"{index.name} or {index.stem}.bin is not as it was written"
    else:
        folders = [entry.path] if entry.kind == "targets" else sorted(entry.path.glob("part-*"))
        for folder in folders:
            if what := entry_damage(folder):
                yield folder, what
