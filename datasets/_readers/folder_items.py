"""Finds the images of a user's own folder, with their classes or masks."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from skybench.core import DataError
from skybench.data import once

from . import class_folders, dates, layout, recognise
from .folder import FolderDescription, FolderItem, matches

# Files that lie beside images and are no data: of GDAL, of Windows and macOS, notes, viewers'.
BESIDE = frozenset(
    {".tfw", ".tifw", ".tiffw", ".jgw", ".jpgw", ".pgw", ".pngw", ".bpw", ".wld", ".prj", ".ovr"}
    | {".msk", ".db", ".ini", ".md", ".toml", ".xmp", ".qml", ".cpg"}
)


CHANGE_CLASSES = ("unchanged", "changed")


def folder_items(about: FolderDescription) -> list[FolderItem]:
    """Return all images that are not excluded, by key. Raises DataError for unpaired files."""
    places = recognise.mask_places(about)
    found = [item for place in places for item in _with_masks(about, place)]
    if not places:
        found = list(_with_classes(about))
    return sorted(found)


def _with_masks(about: FolderDescription, place: recognise.Place) -> list[FolderItem]:
    images = _by_stem(place.images, place.masks)
    later = _by_stem(place.after, place.masks) if place.after else {}
    masks = _masks_by_stem(place, images)
    stems = {**masks, **later, **images}  # the path that is shown for a stem
    keys = {stem: f"{place.group}/{stem}" if place.group else stem for stem in stems}
    kept = [s for s in keys if not about.excludes(keys[s], _path(about, stems[s]))]
    parts = (images, masks, *([later] if place.after else []))
    lone = [str(stems[s]) for s in kept if any(s not in part for part in parts)]
    if lone:
        names = [f"{f.name}/" for f in (place.images, place.after, place.masks) if f]
        raise DataError(
            f"{lone[0]} has no partner ({len(lone)} such files in {place.images.parent}): "
            f"{' and '.join(names)} must hold files of equal stems; add the partner, or list the "
            "file under `exclude`"
        )
    return [FolderItem(keys[s], place.group, images[s], masks[s], later.get(s)) for s in kept]


def _path(about: FolderDescription, path: Path) -> str:
    return path.relative_to(about.root).as_posix()


def _masks_by_stem(place: recognise.Place, images: dict[str, Path]) -> dict[str, Path]:
    masks: dict[str, Path] = {}
    names = recognise.names_for_masks(images)
    for path in _by_stem(place.masks, place.masks).values():
        stem = recognise.image_stem(path, names)
        if stem in masks:
            raise DataError(
                f"{masks[stem]} and {path.name} may both be the mask of {images[stem]}; keep one"
            )
        masks[stem] = path
    return masks


def _by_stem(folder: Path, masks: Path) -> dict[str, Path]:
    stems: dict[str, Path] = {}
    for path in recognise.items_in(folder, masks):
        if path.stem in stems:
            raise DataError(
                f"{path.stem} occurs twice in {folder}: {stems[path.stem].name}, {path.name}"
            )
        stems[path.stem] = path
    return stems


def _with_classes(about: FolderDescription) -> Iterator[FolderItem]:
    folders = class_folders.class_folders(about)
    for folder, group in folders.items():
        for path in recognise.items_in(folder):
            key = _path(about, path)
            if not about.excludes(key):
                yield FolderItem(key, group, path, None)


def with_pairs(about: FolderDescription, items: Iterable[FolderItem]) -> FolderDescription:
    """Return the description with what pairs of images imply: change, and names of the classes."""
    if not any(item.after for item in items):
        return about
    return replace(about, change=True, classes=about.classes or CHANGE_CLASSES)


def require_two_dates(about: FolderDescription, items: Sequence[FolderItem]) -> None:
    """Raise DataError unless each image has two dates and there are two classes."""
    if len(about.classes) != 2:
        raise DataError(
            f"{about.root} has {len(about.classes)} classes; with change = true expected two, "
            "unchanged and changed, in this order"
        )
    for item in items:
        count = 2 if item.after else len(dates.dated_files(item.image))
        if count != 2:
            raise DataError(f"{item.image} has {count} dates; with change = true expected two")


def left_out(about: FolderDescription, items: Sequence[FolderItem]) -> list[str]:
    """Return a sentence for each folder with files that are not read, and for folders left out."""
    paths = [p for item in items for p in (item.image, item.mask, item.after) if p]
    folders = sorted({path.parent for path in paths} | {p for p in paths if p.is_dir()})
    notes = _unused_excludes(about)
    for folder in folders:
        if found := _unread_kinds(folder):
            notes.append(f"{_path(about, folder)}/ holds files of kinds that are not read: {found}")
    parents = {item.image.parent.parent for item in items if not item.mask}
    for folder in (f for parent in sorted(parents) for f in recognise.visible_folders(parent)):
        if not next(layout.images_in(folder), None) and (found := _unread_kinds(folder)):
            notes.append(f"{_path(about, folder)}/ holds no image, so it is no class: {found}")
    return [*notes, *class_folders.folders_left_out(about, {*folders})]


def _unused_excludes(about: FolderDescription) -> list[str]:
    """Return a sentence for each entry of `exclude` that names nothing in the folder."""
    unused = set(about.exclude)
    for folder in layout.folders_below(about.root) if unused else ():
        for path in (folder, *layout.images_in(folder)):
            *above, name = path.relative_to(about.root).parts or ("",)
            # The key of an image with a mask lacks the folder images/ or the like, and the suffix.
            keys = {"/".join((*above[:n], *above[n + 1 :], path.stem)) for n in range(len(above))}
            names = {"/".join((*above, name)), *keys}
            unused -= {entry for entry in unused if any(matches(n, entry) for n in names)}
    return [f"exclude has {entry!r}, which names no image" for entry in sorted(unused)]


def _unread_kinds(folder: Path) -> str:
    listed = once.list_folder(folder)
    kinds = Counter(Path(name).suffix.lower() for name in listed.files if not _is_known(name))
    found = [f"{n} {kind or 'without suffix'}" for kind, n in sorted(kinds.items())]
    lost = [name for name in listed.others if _is_lost(folder / name)]
    return ", ".join([*found, *([f"{len(lost)} broken links, as {lost[0]}"] if lost else [])])


def kinds_below(root: Path) -> str:
    """Return how many files of which kinds lie in a folder without images, as words to add."""
    kinds = Counter(
        path.suffix.lower() or "without suffix"
        for folder in layout.folders_below(root)
        for path in folder.iterdir()
        if path.is_file() and not _is_known(path.name)
    )
    if not kinds:
        return ""
    most = sorted(kinds.items(), key=lambda kind: (-kind[1], kind[0]))[:5]
    found = ", ".join(f"{count} {kind}" for kind, count in most)
    return f"; it has {found}, of which none is read: save images as TIFF, PNG or JPEG"


def _is_known(name: str) -> bool:
    """Whether a file of this name is read, or belongs to one that is, or to the system."""
    name = name.lower()
    _, dot, suffix = name.rpartition(".")
    read = dot + suffix in layout.IMAGES or dot + suffix in BESIDE or name.endswith(".aux.xml")
    return read or name.startswith((".", "thumbs.db"))


def _is_lost(path: Path) -> bool:
    """Whether a name of an image is a link to a file that is not there."""
    return path.is_symlink() and not path.exists() and path.suffix.lower() in layout.IMAGES
