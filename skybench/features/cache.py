"""The feature cache on disk: entries of arrays, each written whole or not at all."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skybench.core import Boxes, DataError, DatasetCard, Features
from skybench.core.atomic import folder_whole
from skybench.core.dataset import Samples


def to_float16(x: Tensor) -> Tensor:
    """Convert to float16, clamped to its range: cached and streamed features are equal."""
    return x.clamp(-65504, 65504).half()


def as_labels(targets: Tensor) -> Tensor:
    """Return class ids, or classes, of many samples as int64; floating-point values stay."""
    return targets if targets.is_floating_point() else targets.long()


def _reserve(path: Path) -> None:
    """Allocate a sparse file: a full disk is an OSError now, later a bus error."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


class _Entry:
    """An entry of the cache that is being written."""

    def __init__(self, folder: Path, count: int, card: DatasetCard) -> None:
        self.folder, self.count, self.card, self.done = folder, count, card, 0
        self.arrays: dict[str, np.memmap[Any, Any]] = {}
        self.boxes: list[Boxes] = []

    def add(self, features: Features, targets: Sequence[Any], level: str) -> None:
        self._put("pooled", features.pooled.numpy())
        for i, dense in enumerate(features.pyramid if level == "pyramid" else ()):
            self._put(f"level{i}", to_float16(dense).numpy())
        if self.card.target_of(targets[0]).kind == "boxes":
            self.boxes += targets
        else:
            self._put("targets", np.stack([np.asarray(t) for t in targets]))
        self.done += len(targets)

    def _put(self, name: str, values: np.ndarray) -> None:
        if name not in self.arrays:
            path, shape = self.folder / f"{name}.npy", (self.count, *values.shape[1:])
            self.arrays[name] = np.lib.format.open_memmap(path, "w+", values.dtype, shape)
            _reserve(path)
        self.arrays[name][self.done : self.done + len(values)] = values

    def close(self, identity: Mapping[str, Any]) -> None:
        if self.boxes:
            write_boxes(self.folder / "boxes.npz", self.boxes)
        for array in self.arrays.values():
            array.flush()
        (self.folder / "meta.json").write_text(json.dumps(identity, indent=1))


def write_entry(
    folder: Path,
    identity: Mapping[str, Any],
    stream: Iterable[tuple[Features, list[Any]]],
    level: str,
    samples: Samples,
) -> None:
    """Write the features and targets of samples to a new entry, whole or not at all.

    stream: features and targets by batch, in the samples' order. Raises DataError if the folder
    cannot be made.
    """
    with contextlib.ExitStack() as stack:
        try:
            temporary = stack.enter_context(folder_whole(folder))
        except OSError as error:
            raise DataError(
                f"Features cannot be written to {folder.parent} ({error.strerror}); set "
                "SKYBENCH_CACHE to a folder that can"
            ) from error
        entry = _Entry(temporary, len(samples), samples.card)
        for features, targets in stream:
            entry.add(features, targets, level)
        entry.close(identity)


def write_boxes(path: Path, boxes: Sequence[Boxes]) -> None:
    """Write the boxes of many images to one .npz of plain arrays: nothing that could run code."""
    np.savez(
        path,
        corners=torch.cat([b.corners for b in boxes]).numpy(),
        labels=torch.cat([b.labels for b in boxes]).numpy(),
        difficult=torch.cat([b.difficult for b in boxes]).numpy(),
        ends=np.cumsum([len(b.labels) for b in boxes]),
        sizes=np.array([b.size for b in boxes]),
    )


def read_boxes(path: Path) -> list[Boxes]:
    """Read the boxes that `write_boxes` wrote, one `Boxes` for each image."""
    with np.load(path, allow_pickle=False) as stored:
        arrays = {name: stored[name] for name in stored.files}
    cuts = arrays["ends"][:-1]
    parts = [
        [torch.from_numpy(part) for part in np.split(arrays[name], cuts)]
        for name in ("corners", "labels", "difficult")
    ]
    return [
        Boxes(corners, labels, difficult, (int(height), int(width)))
        for corners, labels, difficult, (height, width) in zip(*parts, arrays["sizes"], strict=True)
    ]
