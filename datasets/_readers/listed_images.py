"""Finds the images that annotation files list, by names that may be of another machine."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from skybench.core import DataError

from . import annotated_folder

# Below the folder, of listed images: by custom, of VOC, CVAT and FiftyOne.
PLACES = ("images", "JPEGImages", "images/default", "data", "imgs", "img")


def names_below(name: str) -> list[str]:
    """Return what a listed image may be called in its folder, the most probable first.

    Of a path of another machine, or an address, these are its ends; Windows' \\ is a /.

    >>> names_below(r"C:\\me\\a.jpg"), names_below("images/a.jpg")
    (['me/a.jpg', 'a.jpg'], ['images/a.jpg'])
    """
    words = name.replace("\\", "/").split("/")
    elsewhere = _is_elsewhere(words) and ".." not in words
    parts = [w for w in words if w not in ("", ".") and not w.endswith(":")]
    ends = ["/".join(parts[i:]) for i in range(len(parts))] if elsewhere else ["/".join(words)]
    return ends if elsewhere or "\\" not in name else [name, *ends]


def candidates(start: Path, places: Sequence[Path], name: str) -> list[Path]:
    """Return the paths of a name at a start and in places; with a ".." at the start alone."""
    if ".." in Path(name).parts:
        return [Path(os.path.normpath(start / name))]  # so that a file has one path
    return [place / name for place in (start, *places)]


def _is_elsewhere(words: Sequence[str]) -> bool:
    return words[0] == "" or words[0].endswith(":") or ".." in words


def not_there(root: Path, shown: str, name: str, places: Sequence[str]) -> DataError:
    """Return the error for a listed image, called `shown`, that is not found in the places."""
    if "\0" in name or _is_elsewhere(name.replace("\\", "/").split("/")):
        return DataError(
            f"{shown} leads out of {root}, and no end of it is below; put a copy into the folder, "
            "and list it relative to it"
        )
    below = ", ".join(places)
    return DataError(
        f"{shown} is not there; looked in {root} and, below it, in {below}. Get the image, or "
        "remove its line"
    )


def locate(root: Path, listing: Path, name: str) -> Path:
    """Return an image by the name that a file lists: beside the file, in the folder, or images/.

    Raises DataError where it is not there, or outside of the folder.
    """
    near = [root, listing.parent / "images", *(root / place for place in PLACES)]
    tries = (p for each in names_below(name) for p in candidates(listing.parent, near, each))
    found = next((p for p in tries if annotated_folder.is_there(p)), None)
    if found is None or not annotated_folder.inside(root, found):
        raise not_there(root, f"{ascii(name)[:80]}, which {listing} lists,", name, PLACES)
    return found
