"""The targets of samples: known class ids, or an entry of the cache keyed by the labels' content.

Features know nothing of labels: corrected masks or boxes, other classes or other ignored values
give other targets at once, for the same features.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from skybench.core import Boxes, DataError, folders
from skybench.core.dataset import Samples
from skybench.core.fingerprint import fingerprint
from skybench.core.in_use import mark_in_use
from skybench.features import cache

VERSION = 1  # incremented when the form of the entries changes
Targets = NDArray[Any] | list[Any]  # one for each sample, as `Source.target` gives them


def open_targets(samples: Samples, dataset: Any) -> Targets:
    """Return the targets of all samples, from the cache where they are there.

    dataset: plain JSON of what, beside the labels' content, decides how they are read.
    """
    kind = samples.card.target_of(samples.target(0)).kind if len(samples) else "class"
    if kind == "class" and samples.labels is not None:
        return np.asarray(samples.labels)
    if not (samples.label_files or samples.files):  # nothing tells these from others
        return [samples.target(i) if kind == "boxes" else _array(samples, i)
                for i in range(len(samples))]  # fmt: skip
    identity = {
        "targets": VERSION,
        "dataset": dataset,
        "kind": kind,
        "keys": fingerprint({"keys": samples.keys}),
        "labels": samples.content().labels,
    }
    folder = folders.cache() / "targets" / fingerprint(identity)[:24]
    name = "boxes.npz" if kind == "boxes" else "targets.npy"
    mark_in_use(folder)
    if fault := cache.entry_fault(folder, identity, [name]):
        if fault != cache.ABSENT:
            cache.discard_entry(folder)
        _write(folder, identity, samples, kind)
    if kind == "boxes":
        return read_boxes(folder / name)
    stored: NDArray[Any] = np.load(folder / name, mmap_mode="r")
    return stored


def stack_targets(targets: Targets) -> Tensor:
    """Return class ids [N], classes [N, K] or other arrays of all samples as one tensor."""
    return cache.as_labels(torch.from_numpy(np.array(targets)))


def _write(folder: Path, identity: Mapping[str, Any], samples: Samples, kind: str) -> None:
    with cache.new_entry(folder, identity) as temporary:
        if kind == "boxes":
            write_boxes(temporary / "boxes.npz", [samples.target(i) for i in range(len(samples))])
            return
        writer = cache.ArrayWriter(temporary, len(samples))
        for array in _arrays(samples):
            writer.add({"targets": array[None]})
        writer.close()


def _arrays(samples: Samples) -> Iterator[np.ndarray]:
    """The targets, which must be of one shape. Raises DataError."""
    first = None
    for index, key in enumerate(samples.keys):
        array = _array(samples, index)
        first = array.shape if first is None else first
        if array.shape != first:
            raise DataError(
                f"the target of {key} has the shape {array.shape}, that of {samples.keys[0]} "
                f"{first}; expected all samples of a dataset to have targets of one shape"
            )
        yield array


def _array(samples: Samples, index: int) -> np.ndarray:
    return np.asarray(samples.target(index))


def write_boxes(path: Path, boxes: Sequence[Boxes]) -> None:
    """Write the boxes of many images to one .npz of plain arrays: nothing that could run code."""
    np.savez(
        path,
        corners=torch.cat([b.corners for b in boxes]).numpy(),
        labels=torch.cat([b.labels for b in boxes]).numpy(),
        difficult=torch.cat([b.difficult for b in boxes]).numpy(),
        crowd=torch.cat([b.crowds for b in boxes]).numpy(),
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
        for name in ("corners", "labels", "difficult", "crowd")
    ]
    sizes = [(int(height), int(width)) for height, width in arrays["sizes"]]
    return [
        Boxes(corners, labels, difficult, size, crowd)
        for corners, labels, difficult, crowd, size in zip(*parts, sizes, strict=True)
    ]
