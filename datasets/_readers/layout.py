"""Finds a dataset's official tree below the user's folder; checks splits and options."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from skybench.core import DataError, DatasetCard, UsageError
from skybench.data import once

HIDDEN = (".", "@eaDir")  # starts of names of folders
IMAGES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".webp", ".jp2", ".j2k"})


def require_present(card: DatasetCard, root: Path) -> None:
    """Raise DataError, with how to get the dataset, unless `root` exists."""
    if not root.exists():
        raise DataError(
            f"{card.title} was not found: there is no {root}. To get it: {card.obtain} "
            f"(licence: {card.licence}). If it lies elsewhere, name the folder that holds "
            f"{card.name}/ by --data DIR or SKYBENCH_DATA; --data demo runs on simulated data."
        )


def locate_tree(
    card: DatasetCard, root: Path, names: Iterable[str], fits: Callable[[Path], bool]
) -> Path:
    """Return the first of root/<names> and root that `fits`. Raises DataError if none does."""
    require_present(card, root)
    for place in (*(root / name for name in names), root):
        if place.is_dir() and fits(place):
            return place
    raise layout_error(card, root, f"it holds {names_in(root)}")


def layout_error(card: DatasetCard, root: Path, why: str) -> DataError:
    """Return the error for a tree that differs from the official layout."""
    return DataError(
        f"{card.title} in {root} is not laid out as expected: {why}. Expected:\n{card.layout}"
    )


def names_in(folder: Path, limit: int = 8) -> str:
    """Return some file names of a folder, for messages."""
    if not folder.is_dir():
        return "no folder"
    names = sorted(f"{p.name}/" if p.is_dir() else p.name for p in folder.iterdir())
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return (", ".join(names[:limit]) or "nothing") + more


def images_in(folder: Path) -> Iterator[Path]:
    """Yield the image files directly in a folder, sorted by name, without hidden files."""
    for name in once.list_folder(folder).files:
        _, dot, suffix = name.rpartition(".")
        if not name.startswith(".") and dot + suffix.lower() in IMAGES:
            yield folder / name


def files_with(folder: Path, *suffixes: str) -> list[Path]:
    """Return what is directly in a folder and ends so, folders apart, sorted by name.

    suffixes: with the dot, in the given case. [] where the folder is not there.
    """
    if not folder.is_dir():
        return []
    listed = once.list_folder(folder)
    names = sorted((*listed.files, *listed.others)) if listed.others else listed.files
    return [folder / name for name in names if name.endswith(suffixes)]


def folders_in(folder: Path) -> list[Path]:
    """Return the folders directly in a folder, sorted by name."""
    return [folder / name for name in once.list_folder(folder).folders]


def folders_below(root: Path) -> Iterator[Path]:
    """Yield a folder and all folders below it; circular links are followed once.

    Hidden folders are left out, and a NAS's folders of previews.
    """
    seen = set()
    waiting = [root]
    while waiting:
        place = waiting.pop()
        real = os.path.realpath(place)
        if real not in seen:
            seen.add(real)
            yield place
            waiting += [place / name for name in reversed(_folders_in(place))]


def _folders_in(folder: Path) -> list[str]:
    try:
        names = once.list_folder(folder).folders
    except OSError:  # one that may not be read is as if empty
        return []
    return [name for name in names if not name.startswith(HIDDEN)]


def resolve_split(card: DatasetCard, split: str, aliases: Mapping[str, str] | None = None) -> str:
    """Return the name of a split, without aliases. Raises UsageError with the known names."""
    aliases = aliases or {}
    name = aliases.get(split, split)
    if name not in card.splits:
        also = "".join(f", {alias} (= {own})" for alias, own in aliases.items())
        raise UsageError(
            f"{card.title} has no split {split!r}. Known: {', '.join(card.splits)}{also}."
        )
    return name


def resolve_options(
    card: DatasetCard, given: Mapping[str, str], stated: Mapping[str, str] | None = None
) -> dict[str, str]:
    """Return the value of each option: as given, else as stated in the folder, else the default.

    stated: by the marker of demo data, see `simulation.stated_options`. An option that has no
    default and is not given is ""; its reader then explains why it is needed.
    Raises UsageError for an option or a value that does not exist.
    """
    unknown = sorted(set(given) - set(card.options))
    if unknown:
        known = ", ".join(card.options) or "none"
        raise UsageError(f"{card.title} has no option {unknown[0]!r}. Known: {known}.")
    chosen = {}
    for name, option in card.options.items():
        value = given.get(name, (stated or {}).get(name, (*option.values, "")[0]))
        if any(option.values) and value not in option.values:
            raise UsageError(
                f"{card.title} has no {name}={value}. Known: {', '.join(option.values)}."
            )
        chosen[name] = value
    return chosen


def require_whole_images(card: DatasetCard, tile: int) -> None:
    """Raise UsageError if tiles of a dataset are requested whose images are read whole."""
    if tile:
        raise UsageError(
            f"{card.title} has whole images; it cannot be cut into tiles of "
            f"{tile} pixels. Leave the tile at 0; the size of the input is the recipe's `size`."
        )
