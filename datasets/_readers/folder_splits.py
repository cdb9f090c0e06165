"""Splits the images of a user's own folder, and fits the tile to them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import combinations

from skybench.core import DataError, UsageError
from skybench.data.split_lists import stratified_split

from . import dates, decode, recognise, split_files
from .folder import PARTS, FolderDescription, FolderItem, matches

SEED = 0
STEP = 32  # pixels, of the sides of small tiles: the coarsest stride of most networks
# The shares of train, val and test for a class of few images: each part that can be gets one.
FEW: Mapping[int, tuple[float, float, float]] = {
    1: (1, 0, 0),
    2: (0.5, 0, 0.5),
    3: (1 / 3, 1 / 3, 1 / 3),
}
SHARES = (0.6, 0.2, 0.2)
RANDOM = f"ours: stratified 60/20/20 %, seed {SEED}"


def split_members(
    about: FolderDescription, items: Sequence[FolderItem], split: str
) -> tuple[list[FolderItem], str, list[str]]:
    """Return the items of a split, the source of the split, and the names of all splits.

    By [splits] of the description, else by folders train, val, test, else by lists train.txt and
    so on, else 60/20/20 %, stratified by class where there are classes. Raises UsageError,
    DataError.
    """
    parts, source = _parts(about, items)
    if split not in parts and split in PARTS and source == RANDOM:
        raise DataError(_too_few(about, items, split))
    if split not in parts:
        raise UsageError(
            f"{about.root} has no split {split!r}. Known: {', '.join(parts)}. To split otherwise, "
            f'write into skybench.toml under [splits] what it shall hold, as {split} = ["…"].'
        )
    return [item for item in items if item.key in parts[split]], source, list(parts)


def split_names(about: FolderDescription, items: Sequence[FolderItem]) -> list[str]:
    """Return the names of all splits. Raises DataError."""
    return list(_parts(about, items)[0])


def _parts(
    about: FolderDescription, items: Sequence[FolderItem]
) -> tuple[dict[str, set[str]], str]:
    """Return the keys of each split, none of them empty, and the source of the splits."""
    if about.splits:
        return _as_described(about, items), "list of the folder: skybench.toml"
    named = {item.key: recognise.part_in(item.group) for item in items}
    if any(named.values()):
        _require_all_named(about, items, named)
        parts = {p: {key for key, part in named.items() if part == p} for p in PARTS}
        found = {name: keys for name, keys in parts.items() if keys}
        return found, "rule: the folders train, val, test"
    if listed := split_files.listed_parts(about, items):
        return _apart(about, listed[0]), listed[1]
    return _at_random(about, items), RANDOM


def _require_all_named(
    about: FolderDescription, items: Sequence[FolderItem], named: Mapping[str, str]
) -> None:
    """Raise DataError where some images lie in folders train, val, test and others do not."""
    other = sorted(item.group or item.key for item in items if not named[item.key])
    if other:
        raise DataError(
            f"{about.root} has folders {', '.join(sorted({*named.values()} - {''}))} and images "
            f"beside them ({other[0]}), so the splits are not clear; list all in skybench.toml "
            "under [splits], or the others under `exclude`"
        )


def _at_random(about: FolderDescription, items: Sequence[FolderItem]) -> dict[str, set[str]]:
    """Split each class; a class of two images is in train and test, of one image in train."""
    classes = sorted({item.image.parent.name for item in items})
    labels = {i.key: 0 if i.mask else classes.index(i.image.parent.name) for i in items}
    sizes = Counter(labels.values())
    parts: dict[str, set[str]] = {name: set() for name in PARTS}
    for size in (*FEW, 0):
        some = {key: n for key, n in labels.items() if (sizes[n] if sizes[n] in FEW else 0) == size}
        cut = stratified_split(some, FEW.get(size, SHARES), SEED)
        for name, keys in zip(PARTS, cut, strict=True):
            parts[name] |= {*keys}
    return {name: keys for name, keys in parts.items() if keys}


def _too_few(about: FolderDescription, items: Sequence[FolderItem], split: str) -> str:
    where = "1 image" if len(items) == 1 else f"{len(items)} images, at most 2 of a class"
    return (
        f"{about.root} has {where}: too few to split into train, val and test, so {split} would be "
        "empty. Expected 3 of a class (2 without val); add images, cut large ones into several, or "
        "say in skybench.toml under [splits] which are for train and which for test"
    )


def tile_side(
    about: FolderDescription, items: Sequence[FolderItem], names: Iterable[str], most: int
) -> int:
    """Return the tile side for all splits: `most`, or less where all images are smaller.

    Then it is the largest side of an image, rounded up to a multiple of 32. Reads headers, until
    an image is as large as `most`.
    """
    side = STEP
    for item in (item for name in names for item in split_members(about, items, name)[0]):
        side = max(side, *decode.raster_size(dates.dated_files(item.image)[0]))
        if side >= most:
            return most
    return -(-side // STEP) * STEP


def _as_described(about: FolderDescription, items: Sequence[FolderItem]) -> dict[str, set[str]]:
    parts: dict[str, set[str]] = {}
    for name, entries in about.splits.items():
        chosen = {entry: set(_matching(about, items, entry)) for entry in entries}
        empty = [entry for entry, keys in chosen.items() if not keys]
        if empty:
            groups = ", ".join(sorted({item.group for item in items} - {""})) or "none"
            raise DataError(
                f"{about.root}: {empty[0]!r}, listed for split {name!r}, matches no image; "
                f"expected a group ({groups}), a path or a pattern"
            )
        parts[name] = set().union(*chosen.values())
    return _apart(about, parts)


def _apart(about: FolderDescription, parts: dict[str, set[str]]) -> dict[str, set[str]]:
    """Return the parts. Raises DataError for an image in two of them."""
    for (other, keys), (name, more) in combinations(parts.items(), 2):
        if both := keys & more:
            raise DataError(
                f"{about.root}: {min(both)} is in split {other!r} and in {name!r}; an image "
                "may be in one split only"
            )
    return parts


def _matching(about: FolderDescription, items: Iterable[FolderItem], entry: str) -> list[str]:
    return [
        item.key
        for item in items
        if item.group == entry
        or matches(item.key, entry)
        or matches(item.image.relative_to(about.root).as_posix(), entry)
    ]
