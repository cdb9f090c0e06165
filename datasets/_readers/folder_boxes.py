"""Reads the boxes of a user's own images, in whichever common form they are written."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from skybench.core import DataError

from . import (
    annotated_folder,
    box_layouts,
    coco_json,
    csv_boxes,
    dota_texts,
    folder,
    folder_splits,
    geojson_boxes,
    layout,
    own_box_tiles,
    recognise,
    voc_xml,
    yolo_texts,
)
from .annotated_folder import AnnotatedFolder

VAL_IS_TEST = "no test image has labels, so those of val are the test split"
FORMS = (
    "COCO's JSON, YOLO's or DOTA's texts, VOC's or CVAT's XML, CSV (file, x1, y1, x2, y2, class), "
    "or GeoJSON"
)


def has_boxes(about: folder.FolderDescription) -> bool:
    """Return whether a folder has boxes: by its description, or in a form that is recognised.

    Folders with masks have none, nor those whose description has what only masks need.
    """
    if about.boxes:
        return True
    of_masks = about.masks or about.change or about.colours or about.values
    if of_masks or recognise.mask_places(about):
        return False
    return box_layouts.recognise(about.root) is not None


def read_annotations(about: folder.FolderDescription) -> AnnotatedFolder:
    """Read the annotations that the description names, or those of a recognised form.

    A file or folder of one part (train, val, test) stands for those of the other parts, too.
    Labelled images for training alone are split anew; where no test image has labels, those of
    val are the test split. Raises DataError.
    """
    found = _recognised(about) if not about.boxes else _described(about)
    items, notes = _with_parts(about, found.items)
    notes = _without_root(about, (*found.form.notes, *notes))
    return replace(found, items=items, form=replace(found.form, notes=notes))


def _without_root(about: folder.FolderDescription, notes: Sequence[str]) -> tuple[str, ...]:
    """Return notes with paths below the folder, so that two copies of it have the same."""
    return tuple(note.replace(f"{about.root}/", "") for note in notes)


def _described(about: folder.FolderDescription) -> AnnotatedFolder:
    path = about.root / about.boxes
    if not annotated_folder.is_there(path) or not annotated_folder.inside(about.root, path):
        raise DataError(
            f"boxes = {about.boxes!r}, but there is no such file or folder in {about.root}; "
            f"expected {FORMS}"
        )
    paths = family(about.root, path)
    found = _of_folders(about, paths) if path.is_dir() else _of_files(about, paths)
    if len(paths) > 1:
        others = ", ".join(p.relative_to(about.root).as_posix() for p in paths if p != path)
        note = f"boxes of other parts are read, too: {others}"
        return replace(found, form=replace(found.form, notes=(note, *found.form.notes)))
    return found


def _of_files(about: folder.FolderDescription, paths: Sequence[Path]) -> AnnotatedFolder:
    suffix = paths[0].suffix.lower()
    if suffix == ".json":
        return coco_json.read_coco(about, paths)
    if suffix == ".geojson":
        return geojson_boxes.read_geojson(about, paths)
    if suffix in (".csv", ".tsv"):
        return csv_boxes.read_csv_boxes(about, paths)
    if suffix == ".xml":
        return voc_xml.read_cvat(about, paths[0])
    if suffix in (".yaml", ".yml"):
        return yolo_texts.read_yolo(about, box_layouts.text_folders(about.root))
    raise DataError(f"{paths[0]} has boxes in no known form; expected {FORMS}")


def _of_folders(about: folder.FolderDescription, paths: Sequence[Path]) -> AnnotatedFolder:
    if any(layout.files_with(place, ".xml") for place in paths):
        return voc_xml.read_voc_folder(about, paths)
    if files := sorted(p for place in paths for p in layout.files_with(place, ".geojson")):
        return geojson_boxes.read_geojson(about, files)
    if files := sorted(p for place in paths for p in layout.files_with(place, ".json")):
        return coco_json.read_coco(about, files)
    forms = {form for place in paths if (form := box_layouts.form_of_folder(place))}
    below = [p for place in paths for p in layout.folders_in(place)]
    if not forms and below:
        forms = {form for place in below if (form := box_layouts.form_of_folder(place))}
    if forms == {"yolo"}:
        return yolo_texts.read_yolo(about, [*paths, *below])
    if any(next(place.rglob("*.txt"), None) for place in paths):
        return dota_texts.read_dota_folder(about, [*paths, *below])
    raise DataError(f"{paths[0]} has no file with boxes; expected {FORMS}")


def _recognised(about: folder.FolderDescription) -> AnnotatedFolder:
    root, form = about.root, box_layouts.recognise(about.root)
    if form == "coco":
        return coco_json.read_coco(about, box_layouts.coco_files(root))
    if form == "csv":
        return csv_boxes.read_csv_boxes(about, box_layouts.csv_files(root))
    if form == "geojson":
        return geojson_boxes.read_geojson(about, box_layouts.geojson_files(root))
    if form == "voc":
        return voc_xml.read_voc_folder(about, box_layouts.voc_folders(root))
    if form == "cvat" and (path := box_layouts.cvat_file(root)):
        return voc_xml.read_cvat(about, path)
    if form == "yolo":
        return yolo_texts.read_yolo(about, box_layouts.text_folders(root))
    if form == "dota":
        return dota_texts.read_dota_folder(about, box_layouts.text_folders(root))
    raise DataError(f"{root} has no boxes in a known form; expected {FORMS}")


def family(root: Path, path: Path) -> list[Path]:
    """Return a path and those that differ only in the word for its part: train, val or test.

    Of train/labels these are valid/labels and test/labels, of instances_train.json beside it
    instances_val.json.
    """
    first, *rest = path.relative_to(root).parts
    if box_layouts.part_of(first) and rest:
        same = [p.joinpath(*rest) for p in box_layouts.places(root)[1:]]
    else:
        pattern = _without_part(path.name)
        same = [p for p in sorted(path.parent.iterdir()) if _without_part(p.name) == pattern]
        same = same if box_layouts.part_of(path.stem) else []
    others = [p for p in same if p.exists() and p != path and p.is_dir() == path.is_dir()]
    return [path, *others]


def _without_part(name: str) -> str:
    def word(match: re.Match[str]) -> str:
        return "*" if match[0].lower() in box_layouts.PART_NAMES else match[0]

    return re.sub(r"[A-Za-z]+", word, name)


def choose(
    about: folder.FolderDescription, found: AnnotatedFolder, split: str, tile: int, most: int
) -> own_box_tiles.BoxPart:
    """Choose the images of a split, and tiles that hold every object whole where they can.

    tile: the side, or 0 for `most` or less; see `own_box_tiles.tiling`. Raises DataError and
    UsageError.
    """
    name = "test" if split == "val" and VAL_IS_TEST in found.form.notes else split
    chosen, source, names = folder_splits.split_members(about, found.items, name)
    side = folder_splits.tile_side(about, found.items, names, most)
    cut = own_box_tiles.tiling(found, tile, side)
    apart = _without_root(about, own_box_tiles.cut_apart(found, chosen, cut))
    return own_box_tiles.BoxPart(chosen, source, names, cut, (*found.form.notes, *apart))


def _with_parts(
    about: folder.FolderDescription, items: tuple[folder.FolderItem, ...]
) -> tuple[tuple[folder.FolderItem, ...], tuple[str, ...]]:
    """Return the images with parts that splits can be made of, and a note on what was changed."""
    count = Counter(item.group for item in items)
    groups = {*count}
    if about.splits or groups == {""}:
        return items, ()
    if groups == {"train"}:
        told = "all images are of train, so they are split anew"
        return tuple(item._replace(group="") for item in items), (told,)
    if groups == {"train", "val"}:
        tests = (i._replace(group="test") if i.group == "val" else i for i in items)
        return tuple(tests), (VAL_IS_TEST,)
    lone = next((i for i in items if i.group not in folder.PARTS), None)
    lone = lone or (None if "train" in groups else items[0])
    if lone:
        raise DataError(
            f"{about.root}: {lone.image.name} is of the part {lone.group!r}, as are "
            f"{count[lone.group] - 1} others; expected train, and val or test. Correct it, or "
            "write [splits] in skybench.toml"
        )
    return items, ()
