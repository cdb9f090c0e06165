"""Recognises a folder whose images have boxes in one of the common forms, without a skybench.toml.

Only names, heads of files and first lines are read here; the readers check the rest.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

from . import layout

# Usual names of the parts of a dataset, and what they are called here.
PART_NAMES = {
    "train": "train",
    "training": "train",
    "val": "val",
    "valid": "val",
    "validation": "val",
    "dev": "val",
    "test": "test",
    "testing": "test",
}
IMAGE_FOLDERS = frozenset({"images", "JPEGImages"})
COCO_KEYS = (b'"images"', b'"annotations"', b'"categories"')
COCO_MOST = 1 << 30  # bytes of a JSON file that is looked into
LOOKED_AT = 50  # texts that are opened to find one that is not empty
TEXT_FOLDERS = ("labels", "labeltxt", "annfiles", "obj_")  # starts of names; obj_ is Darknet's
YAML_NAMES = ("data.yaml", "data.yml", "dataset.yaml", "dataset.yml")
YAML_KEY = re.compile(r"^[\"']?names[\"']?\s*:", re.MULTILINE)
VOC_ROOT = re.compile(r"<annotation(\s[^>]*)?>")
FILE_COLUMNS = frozenset({"file", "filename", "file_name", "image", "image_path", "path", "img"})
CLASS_COLUMNS = frozenset({"class", "label", "name", "category", "class_name"})
CORNER_COLUMNS = (
    ("xmin", "ymin", "xmax", "ymax"),
    ("x1", "y1", "x2", "y2"),
    ("x_min", "y_min", "x_max", "y_max"),
    ("left", "top", "right", "bottom"),
)


def recognise(root: Path) -> str | None:
    """Return the form of a folder's boxes, or None where no form is recognised.

    It is "coco" (JSON files), "yolo" (texts of numbers), "dota" (texts of 8 numbers and a class),
    "voc" (XML files), "cvat" (annotations.xml), "csv", or "geojson".
    """
    if not root.is_dir():
        return None
    if coco_files(root):
        return "coco"
    if csv_files(root):
        return "csv"
    if cvat_file(root):
        return "cvat"
    if voc_folders(root):
        return "voc"
    if geojson_files(root):
        return "geojson"
    return _form_of_texts(root)


def part_of(name: str) -> str:
    """Return train, val or test for the usual names of these parts, else "".

    >>> part_of("valid"), part_of("instances_train2017"), part_of("trainval"), part_of("cars")
    ('val', 'train', '', '')
    """
    words = re.findall(r"[a-z]+", name.lower())
    parts = {PART_NAMES[word] for word in words if word in PART_NAMES}
    return parts.pop() if len(parts) == 1 else ""


def places(root: Path) -> list[Path]:
    """Return the folder and its train, val and test folders, by whatever usual name."""
    below = [p for p in layout.folders_in(root) if p.name.lower() in PART_NAMES]
    return [root, *below]


def yaml_file(root: Path) -> Path | None:
    """Return the YAML file that lists class names, as Ultralytics' data.yaml, if there is one."""
    named = [root / name for name in YAML_NAMES]
    others = layout.files_with(root, ".yaml", ".yml")
    for path in dict.fromkeys([*named, *others]):
        if path.is_file() and YAML_KEY.search(_head(path)):
            return path
    return None


def coco_files(root: Path) -> list[Path]:
    """Return COCO's JSON files in the folder, in annotations/ and in train, val and test folders.

    A segmentation of the same images that lies beside ("panoptic_…", "captions_…",
    "person_keypoints_…") is none of them.
    """
    folders = [*places(root), root / "annotations", root / "Annotations"]
    found = {
        path.resolve(): path
        for folder in folders
        for path in layout.files_with(folder, ".json")
        if not path.name.startswith((".", "panoptic_", "captions_", "person_keypoints_"))
    }
    return [path for path in found.values() if _is_coco(path)]


def _is_coco(path: Path) -> bool:
    try:
        if path.stat().st_size > COCO_MOST:
            return False
        content = path.read_bytes()
    except OSError:
        return False
    return all(key in content for key in COCO_KEYS)


def csv_files(root: Path) -> list[Path]:
    """Return the CSV files with a file, four coordinates and a class in each row."""
    found = (p for place in places(root) for p in layout.files_with(place, ".csv", ".tsv"))
    return [p for p in found if not p.name.startswith(".") and csv_columns(p) is not None]


def csv_columns(path: Path) -> tuple[int, ...] | None:
    """Return the columns of file, x1, y1, x2, y2 and class; None for a file of another kind.

    A file without a header must have six columns in this order.
    """
    rows = list(islice(csv_rows(path), 2))
    if not rows:
        return None
    names = [word.strip().lower() for word in rows[0]]
    for corners in CORNER_COLUMNS:
        if set(corners) <= set(names):
            file, label = FILE_COLUMNS & set(names), CLASS_COLUMNS & set(names)
            if not file or not label:
                return None
            wanted = (min(file), *corners, min(label))
            return tuple(names.index(name) for name in wanted)
    plain = len(names) == 6 and all(is_number(word) or not word for word in names[1:5])
    named = Path(names[0]).suffix in layout.IMAGES
    return tuple(range(6)) if plain and named else None


def has_header(path: Path) -> bool:
    """Return whether the first row of a CSV file of boxes has the names of the columns."""
    first = next(csv_rows(path), [])
    return Path(first[0].strip().lower()).suffix not in layout.IMAGES if first else False


def csv_rows(path: Path) -> Iterator[list[str]]:
    """Yield the rows of a CSV file that are not empty; none of a file that is no text."""
    try:
        text = path.read_text(encoding="utf-8-sig")
        lines = text.splitlines()
        if lines and lines[0].lower().startswith("sep="):  # a hint that Excel reads
            del lines[0]
        separator = next((mark for mark in ";\t" if mark in "".join(lines[:1])), ",")
        rows = csv.reader(lines, delimiter=separator)
        yield from (row for row in rows if any(word.strip() for word in row))
    except (OSError, ValueError, csv.Error):
        return


def is_number(word: str) -> bool:
    """Return whether a word is a number."""
    try:
        float(word)
    except ValueError:
        return False
    return True


def cvat_file(root: Path) -> Path | None:
    """Return CVAT's annotations.xml ("CVAT for images"), if there is one."""
    path = root / "annotations.xml"
    return path if path.is_file() and "<annotations" in _head(path) else None


def voc_folders(root: Path) -> list[Path]:
    """Return the folders that hold VOC's XML files: Annotations, others, or the images'."""
    return [place for place in layout.folders_below(root) if _holds_voc(place)]


def _holds_voc(folder: Path) -> bool:
    files = layout.files_with(folder, ".xml")[:LOOKED_AT]
    return any(VOC_ROOT.search(head := _head(path)) and "<map" not in head for path in files)


def geojson_files(root: Path) -> list[Path]:
    """Return the GeoJSON files, where GeoTIFFs lie beside them or in images/."""
    found = [
        path
        for place in [*places(root), root / "labels", root / "annotations"]
        for path in layout.files_with(place, ".geojson")
    ]
    around = [*places(root), root / "images"]
    rasters = (p for place in around if place.is_dir() for p in layout.images_in(place))
    return found if any(p.suffix.lower() in (".tif", ".tiff") for p in rasters) else []


def text_folders(root: Path) -> list[Path]:
    """Return the folders with a text for each image, as labels/ and those in it, or labelTxt/."""
    return [
        place
        for place in layout.folders_below(root)
        if _is_for_texts(place.relative_to(root).parts) and layout.files_with(place, ".txt")
    ]


def _is_for_texts(parts: tuple[str, ...]) -> bool:
    lower = [name.lower() for name in parts]
    last = lower[-1] if lower else ""
    # labelTxt-v1.5/DOTA-v1.5_train; DOTA-v1.5_train_hbb beside it has upright boxes.
    of_dota = last.startswith("dota-") and not last.endswith("_hbb")
    return "labels" in lower or of_dota or last.startswith(TEXT_FOLDERS)


def _is_class_number(word: str) -> bool:
    return word.isdigit() or (float(word).is_integer() and float(word) >= 0)  # NumPy's 1.0e+00


def form_of_line(line: str) -> str:
    """Return "dota", "yolo" or "" for a line of a text with boxes.

    >>> form_of_line("0 0.5 0.5 0.1 0.1"), form_of_line("1 2 3 4 5 6 7 8 small vehicle 0")
    ('yolo', 'dota')
    """
    words = line.split()
    numbers = [is_number(word) for word in words]
    if len(words) >= 9 and all(numbers[:8]) and not numbers[8]:
        return "dota"
    count = len(words)
    if count >= 5 and all(numbers) and _is_class_number(words[0]):
        scored = count == 6 and max(map(float, words[1:])) <= 1  # as of a detection
        return "yolo" if count % 2 or scored else ""
    return ""


def form_of_folder(folder: Path) -> str:
    """Return "dota", "yolo" or "" by the first lines of a folder's texts."""
    for path in layout.files_with(folder, ".txt")[:LOOKED_AT]:
        if path.name in ("classes.txt", "labels.txt"):
            continue
        for line in _head(path).splitlines()[:3]:
            if form := form_of_line(line):
                return form
    return ""


def _form_of_texts(root: Path) -> str | None:
    forms = (form_of_folder(folder) for folder in text_folders(root))
    beside = (form_of_folder(p) for p in [*places(root), root / "images"] if p.is_dir())
    return next(filter(None, (*forms, *beside)), None)


def _head(path: Path, count: int = 1 << 16) -> str:
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as file:
            return file.read(count)
    except OSError:
        return ""
