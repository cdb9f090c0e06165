"""Tiles a user's own images with boxes, so that every object lies whole in one where it can."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from skybench.core import DatasetCard, Sample
from skybench.core.dataset import Split

from . import (
    annotated_folder,
    box_tiles,
    boxes,
    decode,
    folder,
    folder_splits,
    grids,
    own_places,
)
from .annotated_folder import AnnotatedFolder
from .boxes import Object

MOST = 1024  # pixels, of the side of tiles that follow the longest object
WHOLE = 0.999  # the share of an object that counts as all of it


class BoxPart(NamedTuple):
    """A split of a folder with boxes, and how its images are cut."""

    items: Sequence[folder.FolderItem]
    source: str  # of the split
    names: Sequence[str]  # of all splits
    cut: box_tiles.Tiling
    notes: Sequence[str]  # on the boxes


class OwnBoxTiles(box_tiles.BoxTiles):
    """Tiles [1, C, side, side] of the images of a folder, read like its images with masks."""

    def __init__(
        self,
        card: DatasetCard,
        split: Split,
        part: BoxPart,
        found: AnnotatedFolder,
    ) -> None:
        """card: with the folder's sensors; `split.sha256` is computed here."""
        images = [boxes.AnnotatedImage(item.key, item.image, item.image) for item in part.items]
        super().__init__(card, split, images, part.cut, found)
        self.places = own_places.find_places([item.image for item in part.items], card.sensors)
        self.files = own_places.files_of(self.places.values())
        self.label_files = found.form.label_files
        names = Counter(o.name for item in part.items for o in found(item.image) if not o.crowd)
        self.counts = {name: annotated_folder.count_of(name, names) for name in card.classes}
        absent = [name for name, count in self.counts.items() if not count]
        self.notes = (
            *part.notes,
            *own_places.notes_of(self.places.values(), card.sensors),
            *(f"class {name!r} has no object in the boxes of {split.name}" for name in absent),
        )

    def image_files(self, index: int) -> tuple[Path, ...]:
        return own_places.files_of([self.places[self.tiles[index].item.image]])

    def class_counts(self) -> Mapping[str, int]:
        return self.counts

    def size_of(self, image: Path) -> tuple[int, int]:
        return decode.raster_size(image)

    def read(self, index: int) -> Sample:
        tile = self.tiles[index]
        inner = inside_image(tile.window, tile.shape)
        images, days = own_places.read_tile(
            self.places[tile.item.image], self.card.sensors, self.needs, inner, self.cut.side
        )
        lonlat = grids.place_of(tile.item.image, inner)
        return Sample(self.keys[index], images, self.target(index), days, lonlat)


def inside_image(window: decode.Window, shape: tuple[int, int]) -> decode.Window:
    """Return the part of a window that lies in an image of this height and width."""
    height, width = min(window.height, shape[0] - window.y), min(window.width, shape[1] - window.x)
    return window._replace(height=height, width=width)


def tiling(found: AnnotatedFolder, tile: int, side: int) -> box_tiles.Tiling:
    """Return tiles that overlap by a fifth, or by the longest object, so that one holds it whole.

    tile: the side, if it is given; side: that of tiles otherwise, which grows to twice the longest
    object, at most 1024, where the images are as large.
    """
    objects = [o for own in found.objects.values() for o in own if not o.crowd]
    longest = int(np.ceil(max((np.ptp(o.corners, 0).max() for o in objects), default=0)))
    chosen = tile or side
    if not tile and 2 * longest > side:
        largest = max(max(decode.raster_size(image)) for image in found.objects)
        chosen = max(side, min(_rounded(2 * longest), _rounded(largest), MOST))
    overlap = min(max(chosen // 5, longest), chosen // 2)
    return box_tiles.Tiling(chosen, overlap, (1.0,))


def _rounded(length: int) -> int:
    return -(-length // folder_splits.STEP) * folder_splits.STEP


def cut_apart(
    found: AnnotatedFolder, items: Sequence[folder.FolderItem], cut: box_tiles.Tiling
) -> tuple[str, ...]:
    """Return notes on the objects that no tile holds whole, and on those that are in no truth."""
    shares = {
        o.origin or f"{item.key}, object {number}": share
        for item in items
        for number, (o, share) in enumerate(_best_shares(item, found(item.image), cut), 1)
    }
    parted = [origin for origin, (best, most) in shares.items() if best < WHOLE * most]
    lost = [origin for origin, (best, _) in shares.items() if best < box_tiles.SHARE]
    return (
        *annotated_folder.counted(f"object is whole in no tile of {cut.side} pixels", parted),
        *annotated_folder.counted(
            f"object has less than {box_tiles.SHARE:.0%} of its area in every tile, and does not "
            "count",
            lost,
        ),
    )


def _best_shares(
    item: folder.FolderItem, objects: Sequence[Object], cut: box_tiles.Tiling
) -> list[tuple[Object, tuple[float, float]]]:
    """Return each object with the share of it that a tile holds, and that the image holds."""
    plain = [o for o in objects if not o.crowd]
    if not plain:
        return []
    size = decode.raster_size(item.image)
    image = boxes.AnnotatedImage(item.key, item.image, None)
    windows = [tile.window for tile in box_tiles.tile_image(image, cut, size)]
    corners = np.stack([o.corners for o in plain])
    low, high = corners.min(1), corners.max(1)
    whole = np.zeros(len(plain), bool)
    for w in windows:
        whole |= (low >= (w.x, w.y)).all(1) & (high <= (w.x + w.width, w.y + w.height)).all(1)
    rest = np.flatnonzero(~whole)
    best = np.ones((len(plain), 2))
    if len(rest):
        every = decode.Window(0, 0, *size)
        best[rest, 0] = np.max([box_tiles.area_shares(corners[rest], w) for w in windows], 0)
        best[rest, 1] = box_tiles.area_shares(corners[rest], every)
    return [(o, (float(a), float(b))) for o, (a, b) in zip(plain, best, strict=True)]
