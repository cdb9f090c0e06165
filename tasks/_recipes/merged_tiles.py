"""Merges detections on overlapping tiles, to score them on whole images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from skybench.boxes.detections import Detections
from skybench.boxes.geometry import to_rotated
from skybench.boxes.nms import rotated_nms
from skybench.core import Boxes
from skybench.metrics._packing import array_fields, pack_images, unpack_images
from skybench.metrics.horizontal_boxes import CocoBoxes

if TYPE_CHECKING:
    from torch import Tensor

SAME = 1.0  # pixels by which the corners of an object seen in two tiles may differ


class ScoredTile(NamedTuple):
    """Predictions and truth of a tile, in pixels of the whole image."""

    predicted: Detections | None  # None: the truth was given as prediction
    true: Boxes


class MergedTiles:
    """Wraps a metric of boxes on whole images, to be updated with tiles; see `core.Metric`.

    Detections of all tiles and scales of an image are merged by NMS within each class; objects that
    are in the truth of several tiles are merged into one. An object with less than 70 % of its area
    in every tile (`datasets/_readers/box_tiles.py`) is in no tile's truth and does not count.
    Bootstrap weights are given for tiles, alike for all tiles of an image, since images are drawn
    (see `core.dataset.groups_of`).
    """

    def __init__(self, metric: CocoBoxes, nms: float) -> None:
        """nms: rotated IoU above which the weaker of two detections of a class is suppressed."""
        self.metric, self.nms = metric, nms
        self.images: dict[str, list[ScoredTile]] = {}
        self.first: list[int] = []  # for each image, the index of its first tile
        self.count = 0
        self.whole: CocoBoxes | None = None

    def fresh(self) -> MergedTiles:
        return MergedTiles(self.metric.fresh(), self.nms)

    def perfect(self, target: Any) -> Any:
        """Return the truth itself, to which no NMS is applied: real objects may overlap."""
        return target

    def update(self, prediction: Any, target: Any, key: str = "") -> None:
        """Add a tile; prediction: `Detections`, or the target itself; key: as of `BoxTiles`."""

        import torch

        image, rate, y, x = key.rsplit("_", 3)
        side = target.size[0]
        shift, scale = torch.tensor([float(x), float(y)]), int(side / float(rate)) / side
        true = replace(target, corners=target.corners * scale + shift)
        predicted = None
        if prediction is not target:
            corners = prediction.corners * scale + shift.numpy()
            predicted = replace(prediction, corners=corners)
        if image not in self.images:
            self.first.append(self.count)
        self.images.setdefault(image, []).append(ScoredTile(predicted, true))
        self.count += 1
        self.whole = None

    def scores(self, weights: NDArray[np.float64] | None = None) -> dict[str, Any]:
        """Return the scores of whole images; weights: [B, tiles], see the class."""
        return self._merged().scores(None if weights is None else weights[:, self.first])

    def found(self, keys: Sequence[str]) -> dict[str, Detections]:
        """Return the merged detections of each whole image by its key; keys: of the tiles."""
        return self._merged().found([*self.images])

    def state(self) -> dict[str, NDArray[Any]]:
        tiles = [(image, tile) for image, own in self.images.items() for tile in own]
        predicted = [array_fields(tile.predicted) for _, tile in tiles]
        names = np.array([image for image, _ in tiles], dtype=np.str_)
        order = {"tile.image": names, "tile.first": np.array(self.first)}
        return {
            **pack_images("said", predicted),
            **pack_images(
                "true", [array_fields(replace(t.true, crowd=t.true.crowds)) for _, t in tiles]
            ),
            **order,
        }

    def restored(self, state: Mapping[str, NDArray[Any]]) -> MergedTiles:
        import torch

        whole = self.fresh()
        names = state["tile.image"].tolist()
        predicted, true = unpack_images("said", state), unpack_images("true", state)
        for image, detections, objects in zip(names, predicted, true, strict=True):
            objects.setdefault("crowd", np.zeros_like(objects["difficult"]))
            corners, labels, difficult, crowd = (
                torch.from_numpy(objects[n]) for n in ("corners", "labels", "difficult", "crowd")
            )
            boxes = Boxes(corners, labels, difficult, crowd=crowd)
            tile = ScoredTile(Detections(**detections), boxes)
            whole.images.setdefault(image, []).append(tile)
        whole.first, whole.count = state["tile.first"].tolist(), len(names)
        return whole

    def per_class(self) -> dict[str, dict[str, float]]:
        return self._merged().per_class()

    def chance(self) -> float:
        return self.metric.chance()

    def attainable(self) -> float:
        return self._merged().attainable()

    def notes(self) -> tuple[str, ...]:
        return self._merged().notes()

    def _merged(self) -> CocoBoxes:
        if self.whole is None:
            self.whole = self.metric.fresh()
            for image, tiles in self.images.items():
                true = merge_truth([t.true for t in tiles])
                given = [t.predicted for t in tiles if t.predicted is not None]
                merged = merge_detections(given, self.nms) if given else self.whole.perfect(true)
                self.whole.update(merged, true, image)
        return self.whole


def merge_detections(tiles: list[Detections], nms: float) -> Detections:
    """Return the detections of an image after NMS within each class."""

    import torch

    corners = np.concatenate([t.corners for t in tiles])
    scores, labels = (
        np.concatenate([getattr(t, name) for t in tiles]) for name in ("scores", "labels")
    )
    boxes, ranks = to_rotated(torch.from_numpy(corners)), torch.from_numpy(scores)
    kept = np.zeros(len(scores), bool)
    for label in np.unique(
        labels
    ):  # one class at a time: memory is quadratic in the number of boxes
        own = torch.from_numpy(np.flatnonzero(labels == label))
        kept[own[rotated_nms(boxes[own], ranks[own], torch.zeros_like(own), nms)]] = True
    return Detections(corners[kept], scores[kept], labels[kept])


def merge_truth(tiles: list[Boxes]) -> Boxes:
    """Return the objects of an image; those of several tiles are included once."""

    import torch

    whole = tiles[0]
    for tile in tiles[1:]:
        new = tile.where(~_known(tile, whole))
        whole = Boxes(
            torch.cat([whole.corners, new.corners]),
            torch.cat([whole.labels, new.labels]),
            torch.cat([whole.difficult, new.difficult]),
            crowd=torch.cat([whole.crowds, new.crowds]),
        )
    return whole


def _known(tile: Boxes, whole: Boxes) -> Tensor:
    """Return which objects of a tile are among the merged ones, bool [n]."""
    apart = (tile.corners[:, None] - whole.corners).abs().amax((2, 3))
    return ((apart < SAME) & (tile.labels[:, None] == whole.labels)).any(1)
