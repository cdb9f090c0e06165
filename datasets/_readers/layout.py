"""Finds the official tree near the folder that the user gave, and says what is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

from skybench.core import DataError, DatasetCard, UsageError

IMAGES = frozenset({".jpg", ".jpeg", ".png", ".tif", ".tiff"})


def present(card: DatasetCard, root: Path) -> None:
    """Raises DataError, with how to get the dataset, unless there is something at `root`."""
    if not root.exists():
        raise DataError(
            f"{card.title} was not found: there is no {root}. To get it: {card.obtain} "
            f"(licence: {card.licence}). If it lies elsewhere, name the folder that holds "
            f"{card.name}/ by --data DIR or SKYBENCH_DATA; --data demo runs on simulated data."
        )


def locate(
    card: DatasetCard, root: Path, names: Iterable[str], fits: Callable[[Path], bool]
) -> Path:
    """The first of root/<names> and root itself that `fits`. Raises DataError if none does."""
    present(card, root)
    for place in (*(root / name for name in names), root):
        if place.is_dir() and fits(place):
            return place
    raise wrong(card, root, f"it holds {listing(root)}")


def wrong(card: DatasetCard, root: Path, why: str) -> DataError:
    """The error for a tree that is not as expected."""
    return DataError(
        f"{card.title} in {root} is not laid out as expected: {why}. Expected:\n{card.layout}"
    )


def listing(folder: Path, limit: int = 8) -> str:
    """Some names of a folder, for messages."""
    if not folder.is_dir():
        return "no folder"
    names = sorted(f"{p.name}/" if p.is_dir() else p.name for p in folder.iterdir())
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return (", ".join(names[:limit]) or "nothing") + more


def images_in(folder: Path) -> Iterator[Path]:
    """The image files directly in a folder, sorted by name; hidden files are left out."""
    for path in sorted(folder.iterdir()):
        if path.suffix.lower() in IMAGES and not path.name.startswith(".") and path.is_file():
            yield path


def folders_below(root: Path) -> Iterator[Path]:
    """The folder and all folders below it, links followed; a loop of links is walked once."""
    seen = set()
    for place, below, _ in os.walk(root, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:
            below.clear()
            continue
        seen.add(real)
        below[:] = sorted(name for name in below if not name.startswith("."))
        yield Path(place)


def choose(card: DatasetCard, split: str, aliases: Mapping[str, str] | None = None) -> str:
    """The split's own name. Raises UsageError with the known ones."""
    aliases = aliases or {}
    name = aliases.get(split, split)
    if name not in card.splits:
        also = "".join(f", {alias} (= {own})" for alias, own in aliases.items())
        raise UsageError(
            f"{card.title} has no split {split!r}. Known: {', '.join(card.splits)}{also}."
        )
    return name


def settle(
    card: DatasetCard, given: Mapping[str, str], stated: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The value of every option: as given, as the folder states it, else the default.

    stated: of demo data, see `simulation.stated`. An option without default is "" where
    nobody states it; its reader says why it must know.
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


def whole_only(card: DatasetCard, tile: int) -> None:
    """Raises UsageError if tiles are asked of a dataset whose images are read whole."""
    if tile:
        raise UsageError(
            f"{card.title} has whole images; it cannot be cut into tiles of "
            f"{tile} pixels. Leave the tile at 0; the size of the input is the recipe's `size`."
        )
