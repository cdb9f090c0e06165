"""Scores detections on overlapping tiles as detections on the whole images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skybench.boxes.detections import Detections
from skybench.boxes.geometry import to_rotated
from skybench.boxes.nms import rotated_nms
from skybench.core import Boxes
from skybench.metrics._packing import packed, unpacked, vars_of
from skybench.metrics.horizontal_boxes import CocoBoxes

SAME = 1.0  # pixels by which the corners of an object seen in two tiles may differ


class Tile(NamedTuple):
    """What is said and true of a tile, in pixels of the image."""

    said: Detections | None  # None: the truth itself
    true: Boxes


class MergedTiles:
    """A metric of boxes on whole images, fed with tiles of them; see `core.Metric`.

    Detections of all tiles of an image, of all scales, are put together by suppression class by
    class, objects that several tiles have become one. An object of which no tile has its share
    (`datasets/_box_tiles.py`: 70 %) is in no tile's truth and so does not count. Weights are
    those of tiles: an image gets its first tile's, which draws images by a Poisson bootstrap.
    """

    def __init__(self, metric: CocoBoxes, nms: float) -> None:
        """nms: the rotated IoU above which the weaker of two detections of a class is left out."""
        self.metric, self.nms = metric, nms
        self.images: dict[str, list[Tile]] = {}
        self.first: list[int] = []  # for each image, the number of its first tile
        self.count = 0
        self.whole: CocoBoxes | None = None

    @property
    def drawn(self) -> int:
        """The number of whole images."""
        return len(self.first)

    def fresh(self) -> MergedTiles:
        return MergedTiles(self.metric.fresh(), self.nms)

    def perfect(self, target: Any) -> Any:
        """The truth itself, of which nothing is suppressed: real objects may overlap."""
        return target

    def update(self, prediction: Any, target: Any, key: str = "") -> None:
        """Counts one tile; prediction: `Detections`, or the target; key: as `BoxTiles` has it."""
        image, rate, y, x = key.rsplit("_", 3)
        side = target.size[0]
        shift, scale = torch.tensor([float(x), float(y)]), int(side / float(rate)) / side
        true = replace(target, corners=target.corners * scale + shift)
        said = None
        if prediction is not target:
            corners = prediction.corners * scale + shift.numpy()
            said = replace(prediction, corners=corners)
        if image not in self.images:
            self.first.append(self.count)
        self.images.setdefault(image, []).append(Tile(said, true))
        self.count += 1
        self.whole = None

    def scores(self, weights: NDArray[np.float64] | None = None) -> dict[str, Any]:
        """In percent, as the metric of whole images; weights: [B, number of tiles]."""
        return self._merged().scores(None if weights is None else weights[:, self.first])

    def found(self, keys: Sequence[str]) -> dict[str, Detections]:
        """What is said of each whole image; keys: of the tiles."""
        return self._merged().found([*self.images])

    def state(self) -> dict[str, NDArray[Any]]:
        tiles = [(image, tile) for image, own in self.images.items() for tile in own]
        said = [vars_of(tile.said) for _, tile in tiles]
        names = np.array([image for image, _ in tiles], dtype=np.str_)
        order = {"tile.image": names, "tile.first": np.array(self.first)}
        return {
            **packed("said", said),
            **packed("true", [vars_of(t.true) for _, t in tiles]),
            **order,
        }

    def restored(self, state: Mapping[str, NDArray[Any]]) -> MergedTiles:
        whole = self.fresh()
        names = state["tile.image"].tolist()
        said, true = unpacked("said", state), unpacked("true", state)
        for image, one, other in zip(names, said, true, strict=True):
            corners, labels, difficult = (
                torch.from_numpy(other[n]) for n in ("corners", "labels", "difficult")
            )
            tile = Tile(Detections(**one), Boxes(corners, labels, difficult))
            whole.images.setdefault(image, []).append(tile)
        whole.first, whole.count = state["tile.first"].tolist(), len(names)
        return whole

    def per_class(self) -> dict[str, dict[str, float]]:
        return self._merged().per_class()

    def chance(self) -> float:
        return self.metric.chance()

    def _merged(self) -> CocoBoxes:
        if self.whole is None:
            self.whole = self.metric.fresh()
            for image, tiles in self.images.items():
                true = merge_truth([t.true for t in tiles])
                said = [t.said for t in tiles if t.said is not None]
                found = merge_detections(said, self.nms) if said else self.whole.perfect(true)
                self.whole.update(found, true, image)
        return self.whole


def merge_detections(tiles: list[Detections], nms: float) -> Detections:
    """All that is said of an image, without what a box of the same class says with more right."""
    corners = np.concatenate([t.corners for t in tiles])
    scores, labels = (
        np.concatenate([getattr(t, name) for t in tiles]) for name in ("scores", "labels")
    )
    boxes, ranks = to_rotated(torch.from_numpy(corners)), torch.from_numpy(scores)
    kept = np.zeros(len(scores), bool)
    for label in np.unique(labels):  # one by one: the memory goes with the square of their number
        own = torch.from_numpy(np.flatnonzero(labels == label))
        kept[own[rotated_nms(boxes[own], ranks[own], torch.zeros_like(own), nms)]] = True
    return Detections(corners[kept], scores[kept], labels[kept])


def merge_truth(tiles: list[Boxes]) -> Boxes:
    """The objects of an image; one that several tiles have is there once."""
    whole = tiles[0]
    for tile in tiles[1:]:
        new = ~_known(tile, whole)
        whole = Boxes(
            torch.cat([whole.corners, tile.corners[new]]),
            torch.cat([whole.labels, tile.labels[new]]),
            torch.cat([whole.difficult, tile.difficult[new]]),
        )
    return whole


def _known(tile: Boxes, whole: Boxes) -> Tensor:
    """Which objects of a tile are among those of other tiles, bool [n]."""
    apart = (tile.corners[:, None] - whole.corners).abs().amax((2, 3))
    return ((apart < SAME) & (tile.labels[:, None] == whole.labels)).any(1)
