"""Pairs Sentinel-2 patches with their Sentinel-1 patches."""

from __future__ import annotations

import functools
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from datetime import date
from pathlib import Path

from skybench.core import DataError
from skybench.data import once

from . import bigearthnet_json

S2_NAME = re.compile(r"(S2[AB]_MSIL2A_(\d{8})T\d+)_(\d+_\d+)")  # product, date, column and row
S1_NAME = re.compile(r"S1[AB]_IW_GRDH_1SDV_(\d{8})T\d+_(\w{5}_\d+_\d+)")  # date; tile, column, row


def s1_partners(
    names: Sequence[str], s2_tree: Path, available: Iterable[str], lists: Iterable[Path]
) -> list[str]:
    """Return the Sentinel-1 patch of each Sentinel-2 patch in `names`.

    available: names of the Sentinel-1 patches on disk; lists: folders with split lists.
    A list with two columns names the pairs. Without one, a partner is the patch of the same tile,
    column and row that is nearest in date; where there is none, a file pattern that matches
    nothing. Reads one JSON file of each of the 125 products, as patch names lack the tile.
    Raises DataError for a malformed patch name and for an unreadable JSON file.
    """
    listed = _listed(tuple(lists))
    rest = [name for name in names if name not in listed]
    partners = {**listed, **_by_name(rest, s2_tree, available)} if rest else listed
    return [partners[name] for name in names]


@once.once_a_plan
def _listed(folders: tuple[Path, ...]) -> dict[str, str]:
    """Pairs from the lines `S2 patch,S1 patch` of lists."""
    pairs: dict[str, str] = {}
    for path in (path for folder in folders for path in sorted(folder.glob("*.csv"))):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            name, comma, partner = line.strip().partition(",")
            if comma:
                pairs[name] = partner.strip()
    return pairs


def _by_name(names: Iterable[str], s2_tree: Path, available: Iterable[str]) -> dict[str, str]:
    candidates = _candidates(frozenset(available))
    tiles: dict[str, str] = {}  # by product
    pairs = {}
    for name in names:
        match = S2_NAME.fullmatch(name)
        if match is None:
            raise DataError(
                f"{s2_tree / name} is not named like a patch of Sentinel-2; expected a name as "
                "S2A_MSIL2A_20170613T101031_87_48"
            )
        product, day, place = match.groups()
        if product not in tiles:
            tiles[product] = bigearthnet_json.mgrs_tile(s2_tree / name)
        where, at = f"{tiles[product]}_{place}", _day(day)
        nearest = ((abs(d - at), n) for d, n in candidates.get(where, ()))
        near = min(nearest, default=(0, f"S1*_{where}"))
        pairs[name] = near[1]
    return pairs


@once.once_a_plan
def _candidates(available: frozenset[str]) -> dict[str, list[tuple[int, str]]]:
    """The patches of Sentinel-1 by tile, column and row, each with its day."""
    candidates: dict[str, list[tuple[int, str]]] = defaultdict(list)
    for name in available:
        if match := S1_NAME.fullmatch(name):
            candidates[match[2]].append((_day(match[1]), name))
    return candidates


@functools.cache
def _day(text: str) -> int:
    return date.fromisoformat(text).toordinal()
