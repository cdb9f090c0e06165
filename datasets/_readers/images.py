"""Reads datasets with one folder of images a class."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from skybench.core import DataError, DatasetCard, Sample
from skybench.core.dataset import Samples, Split
from skybench.core.fingerprint import fingerprint_keys
from skybench.data import simulation as demo
from skybench.data import split_lists

from . import dates, layout

SEED = 0  # of our own splits


class Labelled(NamedTuple):
    """What a tree of class folders holds."""

    tree: Path
    card: DatasetCard  # with the classes that are there
    files: Mapping[str, Path]  # key -> path below `tree`
    labels: Mapping[str, int]  # key -> class id
    demo: bool


class Images(Samples):
    """Images with a class each: uint8 [T, C, H, W] (or the stored type) and the class id."""

    def __init__(self, found: Labelled, keys: Sequence[str], name: str, source: str) -> None:
        if not keys:
            raise DataError(f"split {name!r} of {found.card.title} in {found.tree} is empty")
        self.card, self.keys = found.card, tuple(keys)
        self.split = Split(name, source, fingerprint_keys(keys), found.demo)
        self.images = tuple(found.tree / found.files[key] for key in self.keys)
        self.files = tuple(file for image in self.images for file in dates.files_of(image))
        self.labels: tuple[int, ...] = tuple(found.labels[key] for key in self.keys)

    def read(self, index: int) -> Sample:
        sensor = self.card.sensors[0]
        image = self.images[index]
        images = {sensor.name: dates.read(image, sensor)}
        return Sample(self.keys[index], images, self.labels[index], dates.days(image, sensor))


def scan(card: DatasetCard, root: Path, names: Sequence[str]) -> Labelled:
    """All images of the class folders in root/<names> or root; the key is the bare file name.

    Raises DataError for no class folder, a folder that is no class, a missing class (but not in
    demo data, which has some of the classes), and a file name that occurs twice.
    """
    known = set(card.classes)

    def fits(place: Path) -> bool:
        return any(p.name in known and p.is_dir() for p in place.iterdir())

    tree = layout.locate(card, root, names, fits)
    simulated = demo.marked(root, tree, tree.parent)
    beside = {"splits", "__MACOSX", *names}
    folders = {p.name for p in tree.iterdir() if p.is_dir() and p.name[0] != "."} - beside
    strange, absent = sorted(folders - known), [c for c in card.classes if c not in folders]
    if strange:
        raise layout.wrong(card, tree, f"{', '.join(strange)} is no class of it")
    if absent and not simulated:
        raise layout.wrong(card, tree, f"the class folders {', '.join(absent)} are missing")
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
    return Labelled(tree, replace(card, classes=classes), files, labels, simulated)


def listed(found: Labelled, names: Sequence[str], split: str, source: str) -> Images:
    """The split that a list of file names stands for. Raises DataError, MissingFilesError."""
    if twice := [name for name, count in Counter(names).items() if count > 1]:
        raise DataError(f"the list of split {split!r} ({source}) names {twice[0]} twice")
    missing = [name for name in names if name not in found.files]
    if missing:
        raise split_lists.MissingFilesError(f"{found.card.title} in {found.tree}", missing)
    return Images(found, sorted(names), split, source)


def by_ratio(
    found: Labelled, root: Path, split: str, lists: Mapping[str, split_lists.SplitList]
) -> Images:
    """A split named train<percent> or test<percent>: the official list, or a stratified rule.

    lists: by split; those of one ratio are used together or not at all. Simulated data always
    takes the rule.
    """
    ratio = split.removeprefix("train").removeprefix("test")
    pair = {name: lists[name] for name in (f"train{ratio}", f"test{ratio}")}
    names = None if found.demo else split_lists.official(found.card.name, pair, root)
    if names is not None:
        return listed(found, names[split], split, "official list: RVSA/SelectiveMAE tag 0")
    train, test = split_lists.stratified(
        found.labels, (int(ratio) / 100, 1 - int(ratio) / 100), SEED
    )
    source = f"ours: stratified {ratio} % per class, seed {SEED}"
    return Images(found, train if split.startswith("train") else test, split, source)


def by_thirds(found: Labelled, split: str) -> Images:
    """A split named train, val or test: 60, 20 and 20 % of each class."""
    parts = split_lists.stratified(found.labels, (0.6, 0.2, 0.2), SEED)
    keys = dict(zip(("train", "val", "test"), parts, strict=True))[split]
    return Images(found, keys, split, f"ours: stratified 60/20/20 % per class, seed {SEED}")
