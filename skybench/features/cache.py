"""Writing features to disk: an entry of the cache is whole or it is not there."""

from __future__ import annotations

import json
import os
import shutil
import uuid
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from skybench.core import Boxes, DataError, Features


def halved(x: Tensor) -> Tensor:
    """As float16, the largest values cut off: stored and streamed features alike."""
    return x.clamp(-65504, 65504).half()


def _reserve(path: Path) -> None:
    """Takes the disk space of a sparse file now: a full disk is an OSError here, later a crash."""
    if hasattr(os, "posix_fallocate"):
        with path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), 0, path.stat().st_size)


class _Entry:
    """An entry of the cache while it is written, in a folder of a temporary name."""

    def __init__(self, folder: Path, count: int) -> None:
        self.folder, self.count, self.done = folder, count, 0
        self.arrays: dict[str, np.memmap[Any, Any]] = {}
        self.boxes: list[Boxes] = []

    def add(self, features: Features, truth: Sequence[Any], level: str) -> None:
        self._put("pooled", features.pooled.numpy())
        for i, dense in enumerate(features.pyramid if level == "pyramid" else ()):
            self._put(f"level{i}", halved(dense).numpy())
        if isinstance(truth[0], Boxes):
            self.boxes += truth
        else:
            self._put("targets", np.stack([np.asarray(t) for t in truth]))
        self.done += len(truth)

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


def fill(
    folder: Path,
    identity: Mapping[str, Any],
    stream: Iterable[tuple[Features, list[Any]]],
    count: int,
    level: str,
) -> None:
    """Writes an entry under a temporary name and renames it: it is whole or it is not there.

    Raises DataError where the folder cannot be made.
    """
    temporary = folder.with_name(f"{folder.name}.tmp-{uuid.uuid4().hex}")
    try:
        temporary.mkdir(parents=True)
    except OSError as error:
        raise DataError(
            f"Features cannot be written to {folder.parent} ({error.strerror}); name a folder that "
            "can by SKYBENCH_CACHE"
        ) from error
    try:
        entry = _Entry(temporary, count)
        for features, truth in stream:
            entry.add(features, truth, level)
        entry.close(identity)
        try:
            temporary.rename(folder)
        except OSError:
            if not (folder / "meta.json").exists():  # else another process was faster
                raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


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
    """Read the boxes that `write_boxes` wrote, one `Boxes` an image."""
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
