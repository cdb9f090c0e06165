"""The image audit: value ranges, band order, and test images that are in the training set."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from skybench.checks import train_test_overlap, value_ranges
from skybench.core import folders
from skybench.core.dataset import Samples
from skybench.core.fingerprint import fingerprint, fingerprint_keys
from skybench.core.sealed import read_sealed, write_sealed
from skybench.plan.cell import Cell

VERSION = 2  # raised when what is looked at changes
MOST = 1000  # images of train, and of test
# Of CPU time, after which no further image is read; of wall time three times as many. The record
# says how many images were read.
SECONDS = 10.0
VALUES = 64  # images of which the values are looked at
LEAST = value_ranges.ENOUGH  # images that are looked at however long it takes
GOLDEN = 0.6180339887  # multiples of it, modulo 1, fill the unit interval evenly


def audit_images(cell: Cell) -> dict[str, Any]:
    """Audit the training and test images of a cell; cached, as plain JSON.

    `sensors`: see `value_ranges.Moments.facts`; `twins`: see `train_test_overlap.find_overlap`, of
    the first sensor; `looked`: how many images were read, of how many.
    """
    needed = sorted({f.sensor for f in cell.found.values()})
    train, test = (cell.splits[role].only(needed) for role in ("train", "test"))
    key = fingerprint({
        "version": VERSION,
        "dataset": [cell.dataset_id, train.card.version, cell.recipe.tile, cell.recipe.options],
        "sensors": needed,
        "keys": [fingerprint_keys(s.keys) for s in (train, test)],
        "files": [s.images_identity() for s in (train, test)],
    })  # fmt: skip
    path = folders.cache() / "audit" / f"{key[:24]}.json"
    kept = read_sealed(path)
    if isinstance(kept, dict):
        return kept
    facts = read_images(train, test, needed)
    with contextlib.suppress(OSError):  # as on a full disk
        write_sealed(path, facts)
    return facts


def read_images(train: Samples, test: Samples, sensors: Sequence[str]) -> dict[str, Any]:
    """Audit evenly spread images of both splits in turn, until the time is up."""
    given = {s.name: s for s in train.card.sensors}
    moments = {name: value_ranges.Moments(given[name]) for name in sensors}
    prints: Mapping[str, list[train_test_overlap.ImageFingerprint | None]] = {
        "train": [],
        "test": [],
    }
    late = _clock()
    for done, (role, samples, index) in enumerate(_turns({"train": train, "test": test})):
        if done >= LEAST and late():
            break
        images = samples.read(index).images
        if done < VALUES:
            for name, sums in moments.items():
                sums.add(images[name])
        prints[role].append(
            train_test_overlap.fingerprint_image(samples.keys[index], images[sensors[0]])
        )
    kept = {role: [p for p in found if p is not None] for role, found in prints.items()}
    wholes = {"train": train, "test": test}
    return {
        "looked": {role: [len(found), len(wholes[role])] for role, found in prints.items()},
        "sensors": {name: sums.facts() for name, sums in moments.items()},
        "twins": train_test_overlap.find_overlap(kept["train"], kept["test"]),
    }


def _clock() -> Callable[[], bool]:
    """Whether the time is up."""
    start, own = time.perf_counter(), time.process_time()
    return lambda: time.process_time() - own > SECONDS or time.perf_counter() - start > 3 * SECONDS


def _turns(splits: Mapping[str, Samples]) -> Iterator[tuple[str, Samples, int]]:
    """Indices into the splits in turn; every beginning of them is evenly spread."""
    orders = [
        [(role, samples, i) for i in spread_indices(len(samples), MOST)]
        for role, samples in splits.items()
    ]
    for pair in zip_longest(*orders):
        yield from (place for place in pair if place is not None)


def spread_indices(count: int, most: int) -> list[int]:
    """Return up to `most` indices below `count`; every beginning of them is evenly spread.

    >>> spread_indices(8, 3)
    [0, 5, 2]
    """
    return sorted(range(count), key=lambda i: i * GOLDEN % 1)[:most]
