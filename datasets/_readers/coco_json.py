"""Reads boxes of a user's own images from COCO's JSON: one file, or one for each split."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from skybench.core import DataError

from . import (
    annotated_folder,
    box_layouts,
    coco_segmentation,
    decode,
    folder,
    label_texts,
    listed_images,
)
from .annotated_folder import Annotated, AnnotatedFolder, BoxForm
from .boxes import Object
from .coco_boxes import parse_box, require_sides, shown

Entry = Mapping[str, Any]
CROWD = (0, 1, None)  # False and True are equal to 0 and 1


class CocoImage(NamedTuple):
    """An image that a JSON file lists."""

    path: Path
    group: str
    size: tuple[int, int]  # height and width of the file


class CocoFile(NamedTuple):
    """A JSON file whose images, categories and annotations fit together."""

    path: Path
    categories: Mapping[int | str, str]
    images: Mapping[int | str, CocoImage]
    annotations: Sequence[Entry]  # each of a known image and category

    def origin(self, annotation: Entry) -> str:
        """Return what an annotation is called in messages."""
        return _named(self.path, "annotation", annotation, self.annotations)


def read_coco(about: folder.FolderDescription, paths: Sequence[Path]) -> AnnotatedFolder:
    """Read upright boxes of one or several files. Raises DataError that names the entry.

    An annotation without `bbox` has the bounds of its segmentation. `iscrowd` makes a crowd region.
    """
    files = [read_file(about, path, part) for path, part in parts_of_files(paths).items()]
    from_masks: list[str] = []
    found = [
        image._replace(key=_key(about.root, image.image))
        for file in files
        for image in _annotated(file, from_masks)
    ]
    classes, empty = class_names(about, files)
    notes = annotated_folder.counted(
        "annotation has no bbox; its segmentation's is used", from_masks
    )
    listed = {image.image for image in found}
    others = [str(p) for p in label_texts.all_images(about.root) if p not in listed]
    left = annotated_folder.counted("image is in no list, and is left out", others)
    form = BoxForm(classes, False, tuple(paths), (*notes, *empty, *left))
    return annotated_folder.collect(about, found, form)


def _key(root: Path, image: Path) -> str:
    return image.relative_to(root).with_suffix("").as_posix().replace("/", "-")


def class_names(
    about: folder.FolderDescription, files: Sequence[CocoFile]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the classes of several files in the order of their ids, and notes about them.

    Roboflow writes a category 0 that stands for all others; without an annotation it is left out.
    """
    if about.classes:
        return about.classes, ()
    names: dict[str, None] = {}
    for file in files:
        order = sorted(file.categories, key=lambda key: (isinstance(key, str), key))
        names.update(dict.fromkeys(file.categories[key] for key in order))
    used = {f.categories[a["category_id"]] for f in files for a in f.annotations}
    first = files[0].categories.get(0)
    exported = all(file.path.name == "_annotations.coco.json" for file in files)
    if exported and first and first not in used and len(names) > 1:
        del names[first]
        return tuple(names), (f"category {first!r} (id 0) has no annotation and is no class",)
    return tuple(names), ()


def parts_of_files(paths: Sequence[Path]) -> dict[Path, str]:
    """Return train, val or test for each of several files, in this order; "" for a single one."""
    if len(paths) == 1:
        return {paths[0]: ""}
    parts = {p: box_layouts.part_of(p.stem) or box_layouts.part_of(p.parent.name) for p in paths}
    order = (*folder.PARTS, "")
    return dict(sorted(parts.items(), key=lambda pair: (order.index(pair[1]), pair[0])))


def read_file(about: folder.FolderDescription, path: Path, part: str = "") -> CocoFile:
    """Read a JSON file and check that its entries fit together and to the images.

    part: train, val or test, of images whose own entries do not say it.
    Raises DataError for entries without what they need, for ids that occur twice or that nothing
    has, and for an image of another size than its entry says.
    """
    content = _parsed(path)
    categories = _categories(path, _entries(path, content, "categories"))
    images = _images(about.root, (path, part), _entries(path, content, "images"))
    annotations = _entries(path, content, "annotations")
    for entry in annotations:
        what = _named(path, "annotation", entry, annotations)
        _require_known(what, "image_id", entry, images)
        _require_known(what, "category_id", entry, categories)
        if entry.get("iscrowd") not in CROWD:
            raise DataError(f"{what} has iscrowd {entry['iscrowd']!r}; expected 0 or 1")
    return CocoFile(path, categories, images, annotations)


def _parsed(path: Path) -> Entry:
    try:
        content = json.loads(path.read_text(encoding="utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is no JSON"
        raise DataError(f"{path} cannot be read as COCO's annotations: {reason}") from error
    if not isinstance(content, dict):
        raise DataError(f"{path} is no annotation file in COCO's form: it holds no object {{…}}")
    return content


def _entries(path: Path, content: Entry, name: str) -> list[Entry]:
    entries = content.get(name)
    if not isinstance(entries, list) or not all(isinstance(entry, dict) for entry in entries):
        raise DataError(
            f"{path} is no annotation file in COCO's form: {name!r} is missing or no list of "
            "objects. Expected images, annotations with bbox [x, y, width, height], and categories"
        )
    return entries


def _named(path: Path, kind: str, entry: Entry, entries: Sequence[Entry]) -> str:
    if "id" in entry:
        return f"{path}, {kind} {shown(entry['id'])},"
    number = next(n for n, other in enumerate(entries, 1) if other is entry)
    return f"{path}, {kind} number {number} (it has no id),"


def _id(path: Path, kind: str, entry: Entry, entries: Sequence[Entry]) -> int | str:
    found = entry.get("id")
    if isinstance(found, bool) or not isinstance(found, int | str):
        what = _named(path, kind, entry, entries)
        raise DataError(f"{what} has no id that is a whole number or a text")
    return found


def _categories(path: Path, entries: Sequence[Entry]) -> dict[int | str, str]:
    names: dict[int | str, str] = {}
    for entry in entries:
        key, name = _id(path, "category", entry, entries), entry.get("name")
        if isinstance(name, int) and not isinstance(name, bool):
            name = str(name)
        if not isinstance(name, str) or not name.strip():
            raise DataError(f"{path}, category {shown(key)}, has no name")
        if key in names:
            raise DataError(f"{path}, category {shown(key)}, is listed twice")
        if name in names.values():
            other = next(k for k, v in names.items() if v == name)
            raise DataError(
                f"{path}: the categories {shown(other)} and {shown(key)} are both called "
                f"{shown(name)}; rename one, or give their annotations one category"
            )
        names[key] = name
    return names


def _images(
    root: Path, listing: tuple[Path, str], entries: Sequence[Entry]
) -> dict[int | str, CocoImage]:
    path, part = listing
    found: dict[int | str, CocoImage] = {}
    places: dict[Path, int | str] = {}
    for entry in entries:
        key = _id(path, "image", entry, entries)
        if key in found:
            raise DataError(f"{path}, image {shown(key)}, is listed twice")
        image = _image(root, path, entry, part)
        if image.path in places:
            raise DataError(
                f"{path} lists an image twice: {image.path.name} is image "
                f"{shown(places[image.path])} and image {shown(key)}"
            )
        found[key], places[image.path] = image, key
    return found


def _image(root: Path, path: Path, entry: Entry, part: str) -> CocoImage:
    what = f"{path}, image {shown(entry['id'])},"
    name, given = entry.get("file_name"), entry.get("split", "")
    if not isinstance(name, str) or not name or not isinstance(given, str):
        raise DataError(f"{what} has no file_name, or a split that is no text")
    group = box_layouts.part_of(given) or given or part
    image = _located(root, path, name, (given, group))
    height, width = entry.get("height"), entry.get("width")
    if height and width:  # some exports write 0 for what they do not know
        if not all(isinstance(v, int | float) for v in (height, width)):
            raise DataError(f"{what} has a width or height that is no number")
        annotated_folder.require_size(what, image, (height, width))
    return CocoImage(image, group, decode.raster_size(image))


def _located(root: Path, listing: Path, name: str, parts: Sequence[str]) -> Path:
    """Find a listed image, beside its list or in the usual folders of images.

    Raises DataError where it is missing, ambiguous, or outside of the folder.
    """
    printed = (name if name.isprintable() else ascii(name))[:400]
    printed_as, folders = f"{printed}, which {listing.name} lists,", _image_folders(listing, parts)
    try:
        found = (_matches(root, listing, each, folders) for each in listed_images.names_below(name))
        matches = next(filter(None, found), {})
    except (OSError, ValueError) as error:
        raise DataError(f"{printed_as} is no file name") from error
    if not all(annotated_folder.inside(root, p) for p in matches.values()):
        raise DataError(f"{printed_as} leads out of {root}; put a copy into the folder")
    if not matches:
        raise listed_images.not_there(root, printed_as, name, folders)
    if len(matches) > 1:
        several = " or ".join(p.relative_to(root).as_posix() for p in matches.values())
        raise DataError(f"{printed_as} may be {several}; list it relative to {root}")
    return next(iter(matches.values()))


def _matches(root: Path, listing: Path, name: str, folders: Sequence[str]) -> dict[Path, Path]:
    """The files of a name, by what they are when links are followed."""
    beside = listed_images.candidates(listing.parent, [root], name)
    below = listed_images.candidates(listing.parent, [root / folder for folder in folders], name)
    first = next((p for p in beside if p.is_file()), None)
    return {p.resolve(): p for p in ([first] if first else below) if p.is_file()}


def _image_folders(listing: Path, parts: Sequence[str]) -> list[str]:
    # instances_train2017.json has its images in train2017/
    words = listing.stem.split("_") if box_layouts.part_of(listing.stem) else []
    names = dict.fromkeys(p for p in (*parts, *words) if p and Path(p).name == p != "..")
    below = [f"{a}{n}{b}" for n in names for a, b in (("", ""), ("images/", ""), ("", "/images"))]
    return [*dict.fromkeys([*listed_images.PLACES, *below])]


def _require_known(what: str, name: str, entry: Entry, known: Mapping[int | str, Any]) -> None:
    given = entry.get(name)
    # Tables write whole numbers as 7.0, which finds 7.
    if isinstance(given, int | float | str) and not isinstance(given, bool) and given in known:
        return
    if name not in entry:
        raise DataError(f"{what} has no {name}")
    kind, by_text = name.removesuffix("_id"), {str(key): key for key in known}
    if isinstance(given, int | str) and str(given) in by_text:
        raise DataError(
            f"{what} has {name} {shown(given)}, but the {kind} has the id "
            f"{shown(by_text[str(given)])}: one is a text, one a number. Write both as numbers"
        )
    raise DataError(f"{what} has {name} {shown(given)}, but the file lists no such {kind}")


def _annotated(file: CocoFile, from_masks: list[str]) -> Iterator[Annotated]:
    objects: dict[int | str, list[Object]] = {key: [] for key in file.images}
    for entry in file.annotations:
        what, key = file.origin(entry), entry["image_id"]
        if entry.get("bbox") is None:
            x, y, w, h = coco_segmentation.bounds(what, entry, file.images[key].size)
            from_masks.append(what.removesuffix(","))
        else:
            x, y, w, h = parse_box(what, entry["bbox"])
        corners = annotated_folder.upright(x, y, x + w, y + h)
        name, crowd = file.categories[entry["category_id"]], bool(entry.get("iscrowd"))
        objects[key].append(Object(name, corners, False, crowd, what.removesuffix(",")))
    given = [entry["bbox"] for entry in file.annotations if entry.get("bbox") is not None]
    require_sides(given, ((file.images[key].size, own) for key, own in objects.items()))
    for key, image in file.images.items():
        yield Annotated(image.path, image.group, tuple(objects[key]), file.path)
