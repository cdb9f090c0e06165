"""Reads the regions of COCO's JSON as masks: a class for each pixel."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skybench.core import IGNORE, DataError, DatasetCard, Sample
from skybench.core.dataset import Samples, Split
from skybench.core.fingerprint import fingerprint_keys

from . import coco_json, coco_segmentation, dates, folder, folder_boxes, grids, own_places, raster
from .coco_json import CocoFile
from .decode import Window
from .tiles import tile_starts

if TYPE_CHECKING:
    from torch import Tensor

Ids = NDArray[np.uint8]


class Region(NamedTuple):
    """An annotation of an image, and its class id."""

    file: CocoFile
    entry: coco_json.Entry
    class_id: int


class RegionFolder(NamedTuple):
    """The images of a folder whose masks are regions in JSON files."""

    items: tuple[folder.FolderItem, ...]
    classes: tuple[str, ...]
    regions: Mapping[Path, tuple[Region, ...]]  # by image, in the order of the file
    sizes: Mapping[Path, tuple[int, int]]  # height and width
    unlabelled: int  # class id of pixels in no region; 255: they are ignored
    files: tuple[Path, ...]


def has_regions(about: folder.FolderDescription) -> bool:
    """Return whether `masks` of a description is a JSON file."""
    return about.masks.lower().endswith(".json")


def read_regions(about: folder.FolderDescription) -> RegionFolder:
    """Read the file that `masks` names, and those of other parts. Raises DataError.

    A class of the description that is no category is that of the pixels in no region; without
    one these pixels are ignored.
    """
    path = about.root / about.masks
    if not path.is_file():
        raise DataError(f"masks = {about.masks!r}, but there is no such file in {about.root}")
    paths = tuple(folder_boxes.family(about.root, path))
    parts = coco_json.parts_of_files(paths)
    files = [coco_json.read_file(about, each, part) for each, part in parts.items()]
    names = {name for file in files for name in file.categories.values()}
    classes, unlabelled = _classes(about, coco_json.class_names(about, files)[0], names)
    regions: dict[Path, tuple[Region, ...]] = {}
    sizes: dict[Path, tuple[int, int]] = {}
    items: list[folder.FolderItem] = []
    for file in files:
        own: dict[int | str, list[Region]] = {key: [] for key in file.images}
        for entry in file.annotations:
            label = file.categories[entry["category_id"]]
            own[entry["image_id"]].append(Region(file, entry, _class_id(about, classes, label)))
        for key, image in file.images.items():
            name = image.path.relative_to(about.root).with_suffix("").as_posix()
            if about.excludes(name, image.path.relative_to(about.root).as_posix()):
                continue
            items.append(folder.FolderItem(name, image.group, image.path, file.path))
            regions[image.path], sizes[image.path] = tuple(own[key]), image.size
    return RegionFolder(tuple(sorted(items)), classes, regions, sizes, unlabelled, paths)


def _classes(
    about: folder.FolderDescription, classes: tuple[str, ...], names: set[str]
) -> tuple[tuple[str, ...], int]:
    others = [number for number, name in enumerate(classes) if name not in names]
    if len(others) > 1:
        raise DataError(
            f"{about.root}: the classes {', '.join(classes[n] for n in others)} are no categories "
            f"of {about.masks}, which has {', '.join(sorted(names))}; expected one at most, the "
            "class of the pixels in no region"
        )
    if len(classes) == 1:
        raise DataError(
            f"{about.masks} has one category; write the class of the other pixels, too, into "
            f'skybench.toml: classes = ["background", "{classes[0]}"]'
        )
    return classes, others[0] if others else IGNORE


def _class_id(about: folder.FolderDescription, classes: tuple[str, ...], name: str) -> int:
    if name not in classes:
        raise DataError(
            f"{about.masks} has regions of the category {name!r}; skybench.toml knows the classes "
            f"{', '.join(classes)}. Add it"
        )
    return classes.index(name)


class RegionTiles(Samples):
    """Tiles [1, C, side, side] of images with masks uint8 [side, side] made of regions.

    Of regions that overlap the later one in the file counts. Images smaller than a tile are padded
    below and to the right with 0, their masks with 255.
    """

    def __init__(
        self,
        card: DatasetCard,
        split: Split,
        items: Sequence[folder.FolderItem],
        found: RegionFolder,
    ) -> None:
        """card: with the side of the tiles; `split.sha256` is computed here."""
        self.card, self.found, self.side = card, found, card.tile
        self.painted: tuple[Path, Ids] = Path(), np.zeros((0, 0), np.uint8)
        self.tiles = tuple(
            (item.image, window)
            for item in items
            for window in _windows(found.sizes[item.image], self.side)
        )
        groups = {item.image: item.key for item in items}
        self.groups = tuple(groups[image] for image, _ in self.tiles)
        self.keys = tuple(f"{groups[image]}_{w.y}_{w.x}" for image, w in self.tiles)
        self.places = own_places.find_places([item.image for item in items], card.sensors)
        self.files = own_places.files_of(self.places.values())
        self.label_files = found.files
        regions = [region for item in items for region in found.regions[item.image]]
        counts = Counter(card.classes[region.class_id] for region in regions)
        named = [name for i, name in enumerate(card.classes) if i != found.unlabelled]
        self.counts = {name: counts[name] for name in named}
        absent = [name for name in named if not counts[name]]
        self.notes = (
            *own_places.notes_of(self.places.values(), card.sensors),
            *(f"class {name!r} has no region in the masks of {split.name}" for name in absent),
        )
        self.split = Split(split.name, split.source, fingerprint_keys(self.keys), split.demo)

    def read(self, index: int) -> Sample:
        image, window = self.tiles[index]
        images, days = own_places.read_tile(
            self.places[image], self.card.sensors, self.needs, window, self.side
        )
        place = grids.place_of(dates.dated_files(image)[0], window)
        return Sample(self.keys[index], images, self.target(index), days, place)

    def image_files(self, index: int) -> tuple[Path, ...]:
        return own_places.files_of([self.places[self.tiles[index][0]]])

    def class_counts(self) -> Mapping[str, int]:
        return self.counts

    def target(self, index: int) -> Tensor:
        import torch

        image, window = self.tiles[index]
        found, (last, ids) = self.found, self.painted
        if last != image:
            ids = _painted(found.regions[image], found.sizes[image], found.unlabelled)
            self.painted = image, ids  # consecutive tiles share it
        part = ids[window.y : window.y + window.height, window.x : window.x + window.width]
        return torch.from_numpy(raster.padded(part, self.side))


def _windows(size: tuple[int, int], side: int) -> list[Window]:
    height, width = size
    shape = min(side, height), min(side, width)
    rows, columns = tile_starts(height, side, side), tile_starts(width, side, side)
    return [Window(y, x, *shape) for y in rows for x in columns]


def _painted(regions: Sequence[Region], size: tuple[int, int], unlabelled: int) -> Ids:
    """Return the class ids of an image, uint8 [H, W]."""
    ids = np.full(size, unlabelled, np.uint8)
    for file, entry, class_id in regions:
        ids[coco_segmentation.object_mask(file.origin(entry), entry, size)] = class_id
    return ids
