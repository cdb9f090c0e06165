"""Reads BigEarthNet v1: Sentinel-2 patches, alone or paired with Sentinel-1 patches."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from skybench.core import DataError, DatasetCard, Sample
from skybench.core.dataset import Samples, Split
from skybench.core.fingerprint import fingerprint_keys
from skybench.data import once, simulation, split_lists

from . import bigearthnet as facts
from . import bigearthnet_json, bigearthnet_pairs, bigearthnet_splits, layout, plain_tiff

if TYPE_CHECKING:
    from torch import Tensor

LOOKED_FOR = 200  # patches whose files are looked for when a split is opened
FOLDERS = {"s2": facts.S2_FOLDER, "s1": facts.S1_FOLDER}
BANDS = {band.name: band for band in facts.BANDS}


class BigEarthNet(Samples):
    """s2: int32 [1, 12 or 3, 120, 120]; s1: float32 [1, 2, 120, 120], dB; classes uint8 [K].

    The key is the name of the Sentinel-2 patch, with #2, #3 added where a split repeats it.
    `files` holds the files of some 200 patches only: checking all of them would take minutes.
    """

    def __init__(
        self,
        card: DatasetCard,
        split: Split,
        trees: Mapping[str, Path],
        names: Mapping[str, Sequence[str]],
    ) -> None:
        """trees, names: by sensor, the folder of its patches and their names, in order.

        `split.sha256` is computed here.
        """
        self.card, self.trees = card, dict(trees)
        self.bands = [BANDS[name] for name in card.sensors[0].bands]  # Sentinel-2 is the first
        self.names = {sensor: tuple(own) for sensor, own in names.items()}
        self.keys = tuple(_numbered(self.names["s2"]))
        self.split = replace(split, sha256=fingerprint_keys(self.keys))
        self.side = facts.DEMO_SIDE if split.demo else facts.SIDE
        some = range(0, len(self.keys), max(1, len(self.keys) // LOOKED_FOR))
        files = (self._files(s, i) for i in some for s in self.trees)
        self.files = tuple(dict.fromkeys(path for paths in files for path in paths))
        of_s2 = (bigearthnet_json.labels_path(self._folder("s2", i)) for i in some)
        self.label_files = tuple(dict.fromkeys(of_s2))

    def read(self, index: int) -> Sample:
        import torch

        folders = {sensor: self._folder(sensor, index) for sensor in self.trees}
        about = {sensor: bigearthnet_json.read_labels(folder) for sensor, folder in folders.items()}
        images = {}
        if self.needs("s2"):
            images["s2"] = self._optical(folders["s2"], about["s2"])[None]
        if "s1" in folders and self.needs("s1"):
            _agree(about["s1"], about["s2"], folders["s2"].name)
            images["s1"] = self._radar(folders["s1"], about["s1"])[None]
        days = {sensor: torch.tensor([about[sensor].day]) for sensor in images}
        target, lonlat = self._target(about["s2"]), bigearthnet_json.patch_lonlat(about["s2"])
        return Sample(self.keys[index], images, target, days, lonlat)

    def target(self, index: int) -> Tensor:
        return self._target(bigearthnet_json.read_labels(self._folder("s2", index)))

    def _folder(self, sensor: str, index: int) -> Path:
        return self.trees[sensor] / self.names[sensor][index]

    def _files(self, sensor: str, index: int) -> list[Path]:
        folder = self._folder(sensor, index)
        optical = [band.suffix for band in self.bands]
        suffixes = optical if sensor == "s2" else facts.POLARISATIONS
        return [*(_tif(folder, s) for s in suffixes), bigearthnet_json.labels_path(folder)]

    def _optical(self, folder: Path, about: bigearthnet_json.PatchLabels) -> Tensor:
        import torch

        image = torch.empty((len(self.bands), self.side, self.side), dtype=torch.int32)
        for step in {band.step for band in self.bands}:  # all bands of one resolution at once
            places = [i for i, band in enumerate(self.bands) if band.step == step]
            paths = [_tif(folder, self.bands[i].suffix) for i in places]
            bands = [_band(path, about, self.side // step, np.uint16) for path in paths]
            image[places] = upsample(torch.from_numpy(np.stack(bands).astype(np.int32)), step)
        return image

    def _radar(self, folder: Path, about: bigearthnet_json.PatchLabels) -> Tensor:
        import torch

        paths = [_tif(folder, suffix) for suffix in facts.POLARISATIONS]
        bands = [_band(path, about, self.side, np.float32) for path in paths]
        return torch.from_numpy(np.stack(bands))

    def _target(self, about: bigearthnet_json.PatchLabels) -> Tensor:
        import torch

        ids = facts.IDS[len(self.card.classes)]
        target = torch.zeros(len(self.card.classes), dtype=torch.uint8)
        for label in about.labels:
            if label not in facts.CLASSES_43:
                raise DataError(f"{about.path} has the label {label!r}, none of the 43 classes")
            if label in ids:
                target[ids[label]] = 1
        return target


def upsample(bands: Tensor, factor: int) -> Tensor:
    """Upsample bands [C, H, W] bilinearly by `factor`, rounded half up; int32.

    The values equal GDAL's, and so torchgeo's. Exact results are multiples of
    1 / (2 * factor) ** 2; the small addition keeps exact halves from being rounded down.
    """

    from torch.nn import functional as F

    if factor == 1:
        return bands
    finer = F.interpolate(bands.double()[None], scale_factor=factor, mode="bilinear")[0]
    return (finer + (0.5 + 1e-6)).int()


def _band(path: Path, about: bigearthnet_json.PatchLabels, side: int, stored: type) -> NDArray[Any]:
    """Read a band. Raises DataError where its size, type or position is not as expected."""
    pixels, corner, epsg = plain_tiff.read_band(path)
    if pixels.shape != (side, side) or pixels.dtype != stored:
        raise DataError(
            f"{path} has {pixels.shape[0]} x {pixels.shape[1]} pixels of type {pixels.dtype}; "
            f"expected {side} x {side} of {np.dtype(stored)}. Get this file again."
        )
    if bigearthnet_json.lies_elsewhere(about, corner, epsg):
        raise DataError(
            f"{path} lies elsewhere than {about.path.name} says: its upper left corner is at "
            f"{corner} of EPSG:{epsg}, expected {about.corner} of EPSG:{about.epsg}. Get this "
            "patch again."
        )
    return pixels


def _agree(s1: bigearthnet_json.PatchLabels, s2: bigearthnet_json.PatchLabels, name: str) -> None:
    """Raise DataError unless a Sentinel-1 patch belongs to the Sentinel-2 patch."""
    if s1.partner != name:
        raise DataError(
            f"{s1.path} belongs to {s1.partner}, but was taken for that of {name}. Put the lists "
            "`S2 patch,S1 patch` of BigEarthNet-MM into splits/ (see the layout), and mend them "
            "if they are there."
        )
    if bigearthnet_json.lies_elsewhere(s2, s1.corner, s1.epsg):
        raise DataError(
            f"{s1.path} lies elsewhere than its Sentinel-2 patch: {s1.corner} of EPSG:{s1.epsg}, "
            f"expected {s2.corner} of EPSG:{s2.epsg} as in {s2.path}. Get both again."
        )


def _tif(folder: Path, suffix: str) -> Path:
    return folder / f"{folder.name}_{suffix}.tif"


def _numbered(names: Sequence[str]) -> Iterator[str]:
    """Yield the names, with #2, #3 appended to repeated ones."""
    seen: Counter[str] = Counter()
    for name in names:
        seen[name] += 1
        yield name if seen[name] == 1 else f"{name}#{seen[name]}"


def open_bigearthnet(
    card: DatasetCard, root: Path, split: str, options: Mapping[str, str]
) -> BigEarthNet:
    """Open a split of ben_s2 or ben_mm, with the sensors of the card.

    Lists each folder of patches once, which takes a few seconds for 590,326 patches.
    Raises UsageError, DataError and MissingFilesError.
    """
    chosen = layout.resolve_options(card, options, simulation.stated_options(root))
    name = layout.resolve_split(replace(card, splits={**card.splits, **facts.SECO}), split)
    card = replace(card, classes=facts.CLASSES[chosen["classes"]])
    if chosen.get("bands") == "rgb":
        card = replace(card, sensors=(facts.RGB,))
    trees = {sensor.name: _tree(card, root, sensor.name) for sensor in card.sensors}
    available = {sensor: _patches(tree, sensor) for sensor, tree in trees.items()}
    simulated = simulation.is_demo(root, trees["s2"].parent)
    listed, source = bigearthnet_splits.patch_list(card, root, name, available["s2"], simulated)
    names = {"s2": listed}
    if not listed:
        raise DataError(f"split {name!r} of {card.title} in {root} is empty")
    _require(card, root, trees["s2"], set(listed) - available["s2"])
    if "s1" in trees:
        lists = [root / "splits", *([] if simulated else [split_lists.lists_folder(card.name)])]
        names["s1"] = bigearthnet_pairs.s1_partners(listed, trees["s2"], available["s1"], lists)
        _require(card, root, trees["s1"], set(names["s1"]) - available["s1"])
    samples = BigEarthNet(card, Split(name, source, "", simulated), trees, names)
    _require(card, root, Path(), {str(path) for path in samples.files if not path.is_file()})
    return samples


def _tree(card: DatasetCard, root: Path, sensor: str) -> Path:
    return layout.locate_tree(card, root, (FOLDERS[sensor],), lambda p: bool(_patches(p, sensor)))


@once.once_a_plan
def _patches(tree: Path, sensor: str) -> frozenset[str]:
    """The names of the patches of a sensor; of 590,326 `once.list_folder` would hold too much."""
    with os.scandir(tree) as entries:
        return frozenset(e.name for e in entries if e.name.startswith(sensor.upper()))


def _require(card: DatasetCard, root: Path, folder: Path, missing: Collection[str]) -> None:
    """Raise MissingFilesError for missing files, named relative to the root."""
    if missing:
        names = ((folder / name).relative_to(root).as_posix() for name in missing)
        raise split_lists.MissingFilesError(f"{card.title} in {root}", names)


def torchgeo_class(ours: BigEarthNet, scratch: Path, bands: str) -> Any:
    """Return torchgeo's class on the same patches; its list and links are written to `scratch`."""
    from torchgeo.datasets import BigEarthNet

    for sensor, tree in ours.trees.items():
        name = {"s2": "BigEarthNet-v1.0", "s1": "BigEarthNet-S1-v1.0"}[sensor]
        (scratch / name).symlink_to(tree.resolve())
    columns = [ours.names["s2"], ours.names.get("s1", ours.names["s2"])]
    lines = "".join(f"{s2},{s1}\n" for s2, s1 in zip(*columns, strict=True))
    for split in ("train", "val", "test"):  # it wants all three to be there
        (scratch / f"bigearthnet-{split}.csv").write_text(lines)
    theirs = BigEarthNet(str(scratch), "train", bands)
    theirs.image_size = (ours.side, ours.side)  # it would enlarge the smaller demo patches
    return theirs
