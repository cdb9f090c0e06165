"""Finds the text with the labels of each image, as DOTA and YOLO lay them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from skybench.core import DataError

from . import annotated_folder, box_layouts, folder, layout

NO_LABELS = frozenset({"classes.txt", "labels.txt", "obj.names", "readme.txt", "train.txt",
                       "val.txt", "valid.txt", "test.txt", "trainval.txt"})  # fmt: skip
LONE = "text with labels has no image"
Pair = tuple[Path, Path | None]  # an image and its text


def pair_texts(
    about: folder.FolderDescription, folders: Sequence[Path], images: Sequence[Path] = ()
) -> tuple[list[Pair], tuple[str, ...]]:
    """Return all images with their texts, and notes on texts and images that have no partner.

    folders: of the texts; images: those to take, else all below the folder. An image's text has
    its stem, and lies where `labels` stands for `images` in its path, in one of the folders, or
    beside it. Images of a part (train, val, test) that has no text at all are left out.
    Raises DataError where no text fits, or two do.
    """
    chosen = list(images) or list(all_images(about.root))
    texts = {text.resolve(): text for place in folders for text in _texts_in(place)}
    pairs = [(image, _text_of(about.root, image, folders)) for image in chosen]
    used = {text.resolve() for _, text in pairs if text}
    if not used:
        raise DataError(
            f"no text in {', '.join(str(f) for f in folders)} has the name of an image below "
            f"{about.root}; expected a.txt for a.jpg"
        )
    labelled = {group_of(about.root, image) for image, text in pairs if text}
    kept = [(i, t) for i, t in pairs if t or group_of(about.root, i) in labelled]
    bare = [str(i) for i, _ in pairs if group_of(about.root, i) not in labelled]
    lone = [str(text) for real, text in texts.items() if real not in used]
    notes = (
        *annotated_folder.counted(LONE, lone),
        *annotated_folder.counted("image is of a part without labels, and is left out", bare),
    )
    return kept, notes


def all_images(root: Path) -> Iterator[Path]:
    """Yield all images below a folder, or those below its folders `images`, if it has any."""
    places = list(layout.folders_below(root))
    named = [p for p in places if box_layouts.IMAGE_FOLDERS & set(p.relative_to(root).parts)]
    for place in named or places:
        yield from layout.images_in(place)


def group_of(root: Path, image: Path) -> str:
    """Return train, val or test by the first folder of such a name above an image, else ""."""
    parts = (box_layouts.part_of(name) for name in image.relative_to(root).parts[:-1])
    return next(filter(None, parts), "")


def part_of_pair(root: Path, image: Path, text: Path | None) -> str:
    """Return train, val or test by the folders of an image, else by those of its text, else ""."""
    return group_of(root, image) or (group_of(root, text) if text else "")


def _texts_in(place: Path) -> list[Path]:
    return [p for p in layout.files_with(place, ".txt") if p.name.lower() not in NO_LABELS]


def _text_of(root: Path, image: Path, folders: Sequence[Path]) -> Path | None:
    name, group = f"{image.stem}.txt", group_of(root, image)
    parts = image.relative_to(root).parts
    if "images" in parts:
        last = len(parts) - 1 - parts[::-1].index("images")
        mirrored = root.joinpath(*parts[:last], "labels", *parts[last + 1 : -1], name)
        if mirrored.is_file():
            return mirrored
    matches = {
        p.resolve(): p
        for place in folders
        if (p := place / name).is_file() and (not group or group_of(root, p) in (group, ""))
    }
    if len(matches) > 1:
        several = " and ".join(str(p) for p in matches.values())
        raise DataError(
            f"{image} may have its labels in {several}; name the right folder in skybench.toml, "
            f'as boxes = "{next(iter(matches.values())).parent.relative_to(root).as_posix()}"'
        )
    beside = image.with_name(name)
    return next(iter(matches.values()), beside if beside.is_file() else None)
