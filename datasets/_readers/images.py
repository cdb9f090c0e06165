"""Reads datasets with one folder of images for each class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from skybench.core import DataError, DatasetCard, Sample
from skybench.core.dataset import Samples, Split
from skybench.core.fingerprint import fingerprint_keys
from skybench.data import once, simulation, split_lists

from . import dates, grids, layout, own_places

SEED = 0  # of our own splits


class ClassFolders(NamedTuple):
    """The images and labels in a tree of class folders."""

    tree: Path
    card: DatasetCard  # with the classes that are there
    files: Mapping[str, Path]  # key -> path below `tree`
    labels: Mapping[str, int]  # key -> class id
    demo: bool


class LabelledImages(Samples):
    """Images, uint8 [T, C, H, W] (or the stored dtype), with their class id."""

    def __init__(self, folders: ClassFolders, keys: Sequence[str], name: str, source: str) -> None:
        if not keys:
            raise DataError(f"split {name!r} of {folders.card.title} in {folders.tree} is empty")
        self.card, self.keys = folders.card, tuple(keys)
        self.split = Split(name, source, fingerprint_keys(keys), folders.demo)
        self.images = tuple(folders.tree / folders.files[key] for key in self.keys)
        self.places = own_places.find_places(self.images, self.card.sensors)
        self.files = own_places.files_of(self.places.values())
        self.notes = own_places.notes_of(self.places.values(), self.card.sensors)
        self.labels: tuple[int, ...] = tuple(folders.labels[key] for key in self.keys)

    def read(self, index: int) -> Sample:
        place = self.places[self.images[index]]
        images, days = own_places.read_place(place, self.card.sensors, self.needs)
        lonlat = grids.UNKNOWN_PLACE
        if self.card.user_data:
            lonlat = grids.place_of_whole(dates.dated_files(self.images[index])[0])
        return Sample(self.keys[index], images, self.labels[index], days, lonlat)

    def target(self, index: int) -> int:
        return self.labels[index]

    def image_files(self, index: int) -> tuple[Path, ...]:
        return own_places.files_of([self.places[self.images[index]]])


def scan_class_folders(card: DatasetCard, root: Path, names: Sequence[str]) -> ClassFolders:
    """Find the class folders in root/<names> or root; an image's key is its file name.

    Raises DataError without class folders, for an unknown or a missing class (demo data may have
    some of the classes only), and for a file name that occurs twice.
    """
    known = set(card.classes)

    def fits(place: Path) -> bool:
        return not known.isdisjoint(once.list_folder(place).folders)

    tree = layout.locate_tree(card, root, names, fits)
    simulated = simulation.is_demo(root, tree, tree.parent)
    beside = {"splits", "__MACOSX", *names}
    folders = {name for name in once.list_folder(tree).folders if name[0] != "."} - beside
    strange, absent = sorted(folders - known), [c for c in card.classes if c not in folders]
    if strange:
        raise layout.layout_error(card, tree, f"{', '.join(strange)} is no class of it")
    if absent and not simulated:
        raise layout.layout_error(card, tree, f"the class folders {', '.join(absent)} are missing")
    classes = tuple(c for c in card.classes if c in folders)
    files: dict[str, Path] = {}
    labels: dict[str, int] = {}
    for label, title in enumerate(classes):
        for path in layout.images_in(tree / title):
            if path.name in files:
                raise DataError(
                    f"{path.name} lies twice in {tree}: in {files[path.name].parent} and in "
                    f"{title}; the lists know images by their file name, so remove one"
                )
            files[path.name], labels[path.name] = Path(title, path.name), label
    return ClassFolders(tree, replace(card, classes=classes), files, labels, simulated)


def split_from_list(
    folders: ClassFolders, names: Sequence[str], split: str, source: str
) -> LabelledImages:
    """Return the split of a list of file names. Raises DataError, MissingFilesError."""
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise DataError(f"the list of split {split!r} ({source}) names {twice[0]} twice")
    missing = [name for name in names if name not in folders.files]
    if missing:
        what = f"{folders.card.title} in {folders.tree}"
        raise split_lists.MissingFilesError(what, missing, folders.files)
    return LabelledImages(folders, sorted(names), split, source)


def split_by_ratio(
    folders: ClassFolders, root: Path, split: str, lists: Mapping[str, split_lists.SplitList]
) -> LabelledImages:
    """Return split train<percent> or test<percent>, by official list or stratified at random.

    lists: by split; both lists of a ratio are used, or neither. Simulated data are always split
    at random.
    """
    ratio = split.removeprefix("train").removeprefix("test")
    pair = {name: lists[name] for name in (f"train{ratio}", f"test{ratio}")}
    names = None if folders.demo else split_lists.official_lists(folders.card.name, pair, root)
    if names is not None:
        source = "official list: RVSA/SelectiveMAE tag 0"
        return split_from_list(folders, names[split], split, source)
    train, test = split_lists.stratified_split(
        folders.labels, (int(ratio) / 100, 1 - int(ratio) / 100), SEED
    )
    source = f"ours: stratified {ratio} % per class, seed {SEED}"
    return LabelledImages(folders, train if split.startswith("train") else test, split, source)


def split_60_20_20(folders: ClassFolders, split: str) -> LabelledImages:
    """Return split train, val or test: 60, 20 and 20 % of each class."""
    parts = split_lists.stratified_split(folders.labels, (0.6, 0.2, 0.2), SEED)
    keys = dict(zip(("train", "val", "test"), parts, strict=True))[split]
    source = f"ours: stratified 60/20/20 % per class, seed {SEED}"
    return LabelledImages(folders, keys, split, source)
