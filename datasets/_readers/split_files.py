"""Reads the lists of images, train.txt and the like, that lie in a user's own folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from skybench.core import DataError

from .folder import PARTS, FolderDescription, FolderItem

# Where lists usually lie: of BIT's and LEVIR-CD's tiles, of VOC, and of many others.
PLACES = (".", "list", "lists", "splits", "split", "ImageSets/Segmentation", "ImageSets/Main")
MOST_BYTES = 64_000_000  # of a list


def listed_parts(
    about: FolderDescription, items: Sequence[FolderItem]
) -> tuple[dict[str, set[str]], str] | None:
    """Return the keys in train.txt, val.txt and test.txt, and their source; None without lists.

    A line is an image's path below the folder, its file name, or one of them without the suffix;
    columns after it are not read. Raises DataError for a list that fits the images in part.
    """
    for place in PLACES:
        lists = {p: about.root / place / f"{p}.txt" for p in PARTS}
        lists = {part: path for part, path in lists.items() if path.is_file()}
        if "train" in lists and len(lists) > 1:
            names = {part: _lines(path) for part, path in lists.items()}
            known = _index(about, items)
            if all(any(_key(name, known) for name in lines) for lines in names.values()):
                parts = {p: _keys(about, lists[p], names[p], known) for p in lists}
                return parts, f"list of the folder: {_shown(about, lists)}"
    return None


def _shown(about: FolderDescription, lists: Mapping[str, Path]) -> str:
    return ", ".join(path.relative_to(about.root).as_posix() for path in lists.values())


def _lines(path: Path) -> list[str]:
    try:
        if path.stat().st_size > MOST_BYTES:
            return []
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except (OSError, ValueError):  # no text: no list of images
        return []
    return [line.strip().replace("\\", "/").removeprefix("./") for line in lines if line.strip()]


def _index(about: FolderDescription, items: Sequence[FolderItem]) -> dict[str, set[str]]:
    """Return the keys of the images by every name that a list may use."""
    known: dict[str, set[str]] = {}
    for item in items:
        path = item.image.relative_to(about.root)
        names = {item.key, path.as_posix(), path.with_suffix("").as_posix(), path.name, path.stem}
        names |= {f"{path.parent.name}/{path.name}", f"{path.parent.name}/{path.stem}"}
        for name in names:
            known.setdefault(name, set()).add(item.key)
    return known


def _key(line: str, known: Mapping[str, set[str]]) -> str:
    """Return the key of the image that a line names; "" where it is none, or not the only one."""
    words = line.replace(",", " ").split()
    for name in (line, *words[:1], Path(line).name, *(Path(word).name for word in words[:1])):
        if len(keys := known.get(name, set())) == 1:
            return next(iter(keys))
    return ""


def _keys(
    about: FolderDescription, path: Path, lines: Sequence[str], known: Mapping[str, set[str]]
) -> set[str]:
    lost = [line for line in lines if not _key(line, known) and not about.excludes(line)]
    if lost:
        raise DataError(
            f"{path} lists {lost[0]!r}, which is no image of {about.root}, or may be several "
            f"({len(lost)} such lines of {len(lines)}); correct the list, remove it, or write the "
            "splits into skybench.toml under [splits]"
        )
    return {_key(line, known) for line in lines} - {""}
