"""Reads a user's own images or pairs of dates with masks, in square tiles."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from skybench.core import DataError, DatasetCard, Sample
from skybench.core.dataset import Split

from . import dates, decode, grids, mask_values, own_places, raster
from .folder import FolderItem
from .tiles import ImageMask, MaskTiles

if TYPE_CHECKING:
    from torch import Tensor


class FolderTiles(MaskTiles):
    """Tiles of a user's own images, [T, C, side, side], with masks uint8 [side, side].

    T is 2 for pairs of images, whose days are unknown. Samples keep their place on earth, where
    the images have one. A mask that lies in another direction than its image is turned.
    """

    def __init__(
        self,
        card: DatasetCard,
        split: Split,
        items: Sequence[FolderItem],
        side: int,
        legend: raster.Legend,
    ) -> None:
        """Raises DataError where images and masks differ in size or place."""
        pairs = [ImageMask(i.key, i.image, i.mask) for i in items if i.mask is not None]
        super().__init__(card, split, pairs, (side, side), legend)
        self.masks = tuple(pair.mask for pair in pairs)
        bands = (mask.with_name(f"{mask.name}.msk") for mask in self.masks)  # GDAL reads them too
        self.label_files = (*self.masks, *(path for path in bands if path.is_file()))
        self.masks_by_image = {_first(pair.image): pair.mask for pair in pairs}
        self.after = {item.image: item.after for item in items if item.after}
        later = own_places.find_places(self.after.values(), card.sensors)
        self.places = {**self.places, **later}
        self.files = (*self.files, *own_places.files_of(later.values()))
        for item in items:
            _require_one_grid(item)
        for place in self.places.values():
            _require_one_place(place)
        self.flips = {p.mask: grids.flip_between(_first(p.image), p.mask) for p in pairs}
        self.notes = (*self.notes, *self._noticed())

    def read(self, index: int) -> Sample:
        import torch

        pair, window = self.tiles[index]
        images, days = self._images(pair.image, window)
        if after := self.after.get(pair.image):
            second, _ = self._images(after, window)
            images = {name: torch.cat([x, second[name]]) for name, x in images.items()}
        lonlat = grids.place_of(_first(pair.image), window)
        return Sample(self.keys[index], images, self.target(index), days, lonlat)

    def _images(
        self, image: Path, window: decode.Window
    ) -> tuple[Mapping[str, Tensor], Mapping[str, Tensor]]:
        place = self.places[image]
        return own_places.read_tile(place, self.card.sensors, self.needs, window, self.side)

    def target(self, index: int) -> Tensor:
        import torch

        pair, window = self.tiles[index]
        flip = self.flips[pair.mask]
        shape = decode.raster_size(pair.mask) if any(flip) else (0, 0)
        ids = flip.turn(raster.read_mask(pair.mask, self.legend, flip.window(window, shape)))
        return torch.from_numpy(raster.padded(ids, self.side))

    def image_files(self, index: int) -> tuple[Path, ...]:
        image = self.tiles[index][0].image
        after = [self.places[self.after[image]]] if image in self.after else []
        return own_places.files_of([self.places[image], *after])

    def class_counts(self) -> Mapping[str, int]:
        counts = mask_values.class_counts(self.masks, self.legend)
        return {name: counts[n] for n, name in enumerate(self.card.classes)}

    def _noticed(self) -> Iterator[str]:
        turned = [mask.name for mask, flip in self.flips.items() if any(flip)]
        if turned:
            yield (
                f"{len(turned)} masks of {self.split.name} lie in another direction than their "
                f"images, as {turned[0]}, and are turned by their georeference"
            )
        absent = mask_values.absent_classes(self.card.classes, self.masks, self.legend)
        for name in absent:
            yield f"class {name!r} has no pixel in the masks of {self.split.name}"
        if len(self.card.classes) == 1:
            yield f"there is one class only, {self.card.classes[0]!r}: every answer is right"
        unsure = [path for path, mask in self.masks_by_image.items() if _is_unsure(path, mask)]
        if unsure:
            yield (
                f"{len(unsure)} images of {self.split.name} are stored south-up, as "
                f"{unsure[0].name}; their masks have no georeference and are taken as stored"
            )
        nodata = sum(mask_values.facts_of(mask, self.legend).nodata for mask in self.masks[:1])
        if nodata:
            yield (
                "pixels of GDAL's nodata value, or outside its mask, are left out of the masks, as "
                "they have no label"
            )
        if raster.IGNORE in self.legend.values and len(self.legend.values) == 2:
            yield f"the number 255 in masks is read as {self.card.classes[1]!r}"


def _first(image: Path) -> Path:
    return dates.dated_files(image)[0]


def _is_unsure(image: Path, mask: Path) -> bool:
    grid = grids.grid_of(image)
    return grid is not None and grid.transform.e > 0 and grids.grid_of(mask) is None


def _require_one_place(place: own_places.Place) -> None:
    """Raise DataError where sensors of a place differ in place or direction; sizes may differ."""
    first, *others = place.values()
    for other in others:
        own_places.finer_by(first, other)
        for path in dates.dated_files(other):
            if any(grids.flip_between(_first(first), path)):
                raise _turned(_first(first), path)


def _turned(first: Path, other: Path) -> DataError:
    return DataError(
        f"{other} lies in another direction (south-up or mirrored) than {first} of the same "
        "place; save both north-up, as gdalwarp does"
    )


def _require_one_grid(item: FolderItem) -> None:
    """Raise DataError where the dates of a place differ in size, direction or place."""
    first, *others = dates.dated_files(item.image)
    others += [item.after] if item.after else []
    shape = decode.raster_size(first) if others else (0, 0)
    for other in others:
        its = decode.raster_size(other)
        if its != shape:
            raise DataError(
                f"{other} is {its[0]} x {its[1]} pixels (height x width), {first} of the same "
                f"place {shape[0]} x {shape[1]}; resample one of them"
            )
        if any(grids.flip_between(first, other)):
            raise _turned(first, other)
