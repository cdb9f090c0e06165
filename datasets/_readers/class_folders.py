"""Finds the class folders of a user's own folder, and refuses folders that are none."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path

from skybench.core import DataError
from skybench.core.dataset import Samples
from skybench.data import once

from . import box_layouts, dates, decode, layout, own_places, recognise
from .folder import FolderDescription

MASK_MODES = ("1", "L", "P")  # of Pillow: one band of 8 bits
ANNOTATIONS = (".json", ".xml", ".txt")
REMEDY = "if these are classes, list them in skybench.toml under `classes`"


def class_folders(about: FolderDescription) -> dict[Path, str]:
    """Return each folder of one class, with the part (train, …) above it. Raises DataError.

    Where a description lists the classes, folders of these names are taken as they are.
    """
    root = own_places.first_folder(about.root, about.sensors)
    parts = recognise.part_folders(root)
    found: dict[Path, str] = {}
    for above, part in (parts or {root: ""}).items():
        group = above.name if part else ""
        found |= {f: group for f in recognise.visible_folders(above) if _is_used(about, f)}
    unlisted = [folder for folder in found if folder.name not in about.classes]
    for place in [*parts] or [root]:
        _require_no_words(about, place, [f for f in unlisted if f.parent == place])
    if not about.classes:
        if not found:
            _require_no_loose(about)
        for place in [*parts] or [root]:
            _require_classes(about, place, [f for f in found if f.parent == place])
        _require_other_names(found)
    for folder in found:
        _require_flat(folder)
        _require_single_stems(folder)
    return found


def _is_used(about: FolderDescription, folder: Path) -> bool:
    """Whether a folder holds images, at any depth, that are not excluded."""
    return any(
        not about.exclude or not about.excludes(path.relative_to(about.root).as_posix())
        for place in layout.folders_below(folder)
        for path in layout.images_in(place)
    )


def _require_no_loose(about: FolderDescription) -> None:
    places = [about.root, *recognise.visible_folders(about.root)]
    loose = next((found for p in places if (found := [*layout.images_in(p)])), [])
    if loose and not about.excludes(loose[0].relative_to(about.root).as_posix()):
        raise DataError(
            f"{loose[0].parent} holds {len(loose)} images that lie in no class folder, as "
            f"{loose[0].name}; {_about_loose(loose)}"
        )


def _require_no_words(about: FolderDescription, place: Path, folders: list[Path]) -> None:
    """Raise DataError for folders of names that say what they hold, not what is to be seen."""
    if any(recognise.is_layout_word(f.name) for f in folders):
        beside = [f.name for f in recognise.visible_folders(place)]
        raise _no_class(about, place, [n for n in beside if recognise.is_layout_word(n)])
    if folders and all(f.name.lower() in box_layouts.PART_NAMES for f in folders):
        loose = [*layout.images_in(folders[0])]
        if loose:
            raise DataError(
                f"{folders[0]} holds {len(loose)} images that lie in no class folder, as "
                f"{loose[0].name}; {_about_loose(loose)}"
            )


def _require_classes(about: FolderDescription, place: Path, folders: list[Path]) -> None:
    """Raise DataError where the folders in a place do not look like classes."""
    for a, b in recognise.DATE_WORDS[1:]:  # A and B alone may well be classes
        if {a, b} <= {f.name.lower() for f in folders} and _share_names(folders, (a, b)):
            raise DataError(
                f"{place} holds {a}/ and {b}/ with images of equal names: pairs of two dates, "
                f"without a folder of masks; add masks of equal names in label/; {REMEDY}"
            )
    for folder in folders:
        _require_unannotated(folder)
    _require_no_masks(folders)


def _about_loose(loose: list[Path]) -> str:
    if masks := recognise.masks_beside(loose):
        mask, image = next(iter(masks.items()))
        return (
            f"{mask.name} looks like the mask of {image.name}: put the images into images/ and "
            "the masks, by the same names, into masks/"
        )
    return (
        "expected a folder for each class, images/ beside masks/, A/, B/ and label/, or boxes in "
        "one of the forms that `skybench show folder` lists"
    )


def _no_class(about: FolderDescription, place: Path, words: list[str]) -> DataError:
    where = "" if place == about.root else f" of {place.name}/"
    names = ", ".join(f"{name}/" for name in words)
    inside = "; ".join(f"{name}/ holds {layout.names_in(place / name, 3)}" for name in words)
    return DataError(
        f"{about.root} does not look like class folders: {names}{where} are usual names of images, "
        f"masks or annotations ({inside}). For masks, put images/a.jpg beside masks/a.png, or name "
        'the folders in skybench.toml (images = "…", masks = "…") and list the `classes`; for '
        f'boxes name the annotations (boxes = "…"); {REMEDY}'
    )


def _require_other_names(folders: Iterable[Path]) -> None:
    """Raise DataError where names of classes, of any part, differ in capitals only."""
    known: dict[str, Path] = {}
    for folder in folders:
        first = known.setdefault(unicodedata.normalize("NFC", folder.name).casefold(), folder)
        if first.name != folder.name:
            raise DataError(
                f"{first} and {folder} would be two classes of one name, written in two ways; "
                f"rename one of them; {REMEDY}"
            )


def _share_names(folders: Iterable[Path], names: tuple[str, str]) -> bool:
    stems = [{p.stem for p in recognise.items_in(f)} for f in folders if f.name.lower() in names]
    return len(stems) == 2 and bool(stems[0]) and stems[0] == stems[1]


def _require_unannotated(folder: Path) -> None:
    """Raise DataError where most images have an annotation file of equal stem beside them."""
    images = {path.stem for path in layout.images_in(folder)}
    named = [n for n in once.list_folder(folder).every if n.lower().endswith(ANNOTATIONS)]
    beside = [folder / name for name in named if Path(name).stem in images]
    if images and 2 * len(beside) > len(images):
        raise DataError(
            f"{folder} holds {len(beside)} files such as {beside[0].name} beside images of equal "
            "names: annotations in a form that is not read here (`skybench show folder` lists the "
            f"forms), so the folder is not taken for a class; {REMEDY}"
        )
    masks = [*recognise.masks_beside([*layout.images_in(folder)])]
    if len(masks) * 3 > len(images):
        raise DataError(
            f"{folder} holds images and what look like their masks, as {masks[0].name}: put the "
            f"images into images/ and the masks, by the same names, into masks/; {REMEDY}"
        )


def _require_no_masks(folders: list[Path]) -> None:
    """Raise DataError where one of two folders holds one-band images of the other's names."""
    if len(folders) != 2:
        return
    files = [{p.stem: p for p in layout.images_in(f)} for f in folders]
    if not files[0] or files[0].keys() != files[1].keys():
        return
    one_band = [all(_is_one_band(p) for p in sorted(named.values())[:5]) for named in files]
    if one_band[0] != one_band[1]:
        masks, images = folders if one_band[0] else reversed(folders)
        raise DataError(
            f"{masks} holds one-band images of the same names as {images}, as masks do; expected "
            f'class folders. For masks write images = "{images.name}", masks = "{masks.name}" and '
            f"the `classes` into skybench.toml; {REMEDY}"
        )


def _is_one_band(path: Path) -> bool:
    try:
        if decode.is_read_by_gdal(path):
            with decode.open_raster(path) as raster:
                return bool(raster.count == 1 and raster.dtypes[0] == "uint8")
        with decode.open_picture(path) as file:
            return file.mode in MASK_MODES
    except DataError:
        return False  # damaged: said when it is read


def _require_flat(folder: Path) -> None:
    """Raise DataError where images lie deeper than in the class folder, and in no time series."""
    for below in recognise.visible_folders(folder):
        deeper = next((p for q in layout.folders_below(below) for p in layout.images_in(q)), None)
        if deeper is not None and below.name.lower() in box_layouts.PART_NAMES:
            raise DataError(
                f"{below} is a part of the data below a class; expected the class below the part, "
                f"as {below.name}/{folder.name}/{deeper.name}: swap the folders"
            )
        if deeper is not None and not dates.is_series(below):
            raise DataError(
                f"{deeper} lies deeper than <class>/a.jpg, and {below} is no time series, whose "
                "files all have a date in their names (2019-07-15, 20190715, 2019-07 or 2019); "
                "move the images up, name the folder above the classes by --dataset folder:DIR, "
                "or give each file its date"
            )


def _require_single_stems(folder: Path) -> None:
    stems = Counter(path.stem for path in layout.images_in(folder))
    twice = [stem for stem, count in stems.items() if count > 1]
    if twice:
        names = [p.name for p in layout.images_in(folder) if p.stem == twice[0]]
        raise DataError(
            f"{folder} holds {' and '.join(names)} ({len(twice)} such names): if they are one "
            "image in two formats, it would be counted twice and could fall into train and test; "
            "keep one, or rename it"
        )


def absent(samples: Samples) -> list[str]:
    """Return a sentence for each class that has no image in a split."""
    counts = samples.class_counts() or {}
    lost = [name for name, count in counts.items() if not count]
    if len(counts) == 1:
        return [f"there is one class only, {next(iter(counts))!r}: every answer is right"]
    return [f"class {name!r} has no image in {samples.split.name}" for name in lost]


def folders_left_out(about: FolderDescription, read: set[Path]) -> list[str]:
    """Return a sentence for folders with images beside those that are read; [] for none."""
    beside = {p for folder in read for p in _above(about.root, folder)}
    others = {sensor.folder for sensor in about.sensors} - {""}  # read with the first sensor's
    lost: Mapping[str, int] = {
        folder.relative_to(about.root).as_posix(): count
        for folder in layout.folders_below(about.root)
        if folder not in beside
        and not others & {*folder.relative_to(about.root).parts}
        and (count := sum(1 for _ in layout.images_in(folder)))
    }
    if not lost:
        return []
    shown = ", ".join(f"{name} ({count})" for name, count in list(lost.items())[:3])
    more = f" and {len(lost) - 3} more folders" if len(lost) > 3 else ""
    return [f"images that are not read lie in {shown}{more}"]


def _above(root: Path, folder: Path) -> Iterable[Path]:
    return (folder, *(p for p in folder.parents if p.is_relative_to(root) and p != root))
