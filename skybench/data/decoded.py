"""Samples decoded once: images are kept as plain shards in the cache, and read from there.

Files of images are slow to decode, and a tile of a PNG costs its whole image. What is read more
than once, in epochs or by several heads, is therefore decoded in one pass over the images, in
worker processes, each with whole images, and copied from the shards afterwards. Images and targets
lie apart, each below the hash of all that they depend on, so corrected labels count at once. Within
it, samples are found by their keys: a limited run and a full one share what both need, and after an
interruption only the rest is decoded. Several processes may decode the same images at once.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from skybench.core import Report, Sample, UsageError, folders
from skybench.core.cache_entries import note_dataset
from skybench.core.content import ContentDigests
from skybench.core.dataset import Joined, Samples, Subset, are_tiles
from skybench.core.fingerprint import fingerprint
from skybench.core.in_use import mark_in_use
from skybench.data.decoding import Opened, Store, decode, jobs_of, missing_of, open_store
from skybench.data.sample_arrays import sample_bytes, sample_of, target_of
from skybench.data.shards import Place, read_arrays

VERSION = 1  # incremented when the form of the shards, or what they hold, changes
FREE_SHARE = 0.5  # of the free disk, for what is decoded in one call
SHARD_BYTES = 128e6  # after which the next image begins a new shard
TOLD_BYTES = 1e9  # from which on a sentence says what is written


class Decoded(Samples):
    """The samples of another object, with images and targets from shards; all else is its own."""

    def __init__(
        self, whole: Samples, images: Mapping[str, Place], targets: Mapping[str, Place] | None
    ) -> None:
        """images, targets: by key; targets None: they are the labels, or `whole` gives them."""
        self.whole, self.images, self.targets = whole, images, targets
        self.card, self.split, self.keys = whole.card, whole.split, whole.keys
        self.groups, self.labels, self.notes = whole.groups, whole.labels, whole.notes
        self.files, self.label_files = whole.files, whole.label_files
        self.description, self.needed = whole.description, whole.needed
        self.whole_images = whole.whole_images

    def read(self, index: int) -> Sample:
        key = self.keys[index]
        return sample_of(key, read_arrays(self.images[key]), self.target(index), self.needs)

    def target(self, index: int) -> Any:
        if self.targets is None:
            return self.whole.target(index) if self.labels is None else self.labels[index]
        return target_of(read_arrays(self.targets[self.keys[index]]))

    def class_counts(self) -> Mapping[str, int] | None:
        return self.whole.class_counts()

    def content(self) -> ContentDigests:
        return self.whole.content()


def is_decoded(samples: Samples) -> bool:
    """Return whether samples are read from shards, without decoding."""
    if isinstance(samples, Subset):
        return is_decoded(samples.whole)
    if isinstance(samples, Joined):
        return all(is_decoded(part) for part in samples.parts.values())
    return isinstance(samples, Decoded)


def budget(written: float = 0.0) -> float:
    """Return how many bytes of disk decoded images may take now. Raises UsageError.

    SKYBENCH_DECODED_GB, else half of what is free where the cache lies, after `written` more bytes.
    """
    given = os.environ.get("SKYBENCH_DECODED_GB", "").strip()
    try:
        if given:
            return float(given) * 1e9
    except ValueError:
        raise UsageError(f"SKYBENCH_DECODED_GB is {given!r}; expected a number of GB") from None
    place = folders.cache().absolute()
    while not place.is_dir():
        place = place.parent
    return FREE_SHARE * max(0.0, shutil.disk_usage(place).free - written)


def open_decoded(
    samples: Samples,
    identity: Mapping[str, Any],
    report: Report = lambda *_: None,
    rank: int = 0,
    ranks: int = 1,
) -> Samples:
    """Return samples that are read from shards; those that are in none yet are decoded first.

    identity: plain JSON of what, beside the files, decides how they are read. rank, ranks: of
    processes that call this at once, which begin at different images. Samples without files, or
    of plain ones, are returned as they are, and so are those that the disk budget does not allow,
    which stderr says.
    Raises DataError as reading does, and where the shards cannot be written.
    """
    stores = _stores(samples, identity)
    opened = [open_store(store) for store in stores]
    missing = [missing_of(store, found) for store, found in zip(stores, opened, strict=True)]
    first = next((s.samples.read(m[0][0]) for s, m in zip(stores, missing, strict=True) if m), None)
    if first is not None:
        each, count = sample_bytes(first), sum(len(tiles) for m in missing for tiles in m)
        most = budget()
        if not rank and (told := _told(samples, count * each, count, most)):
            print(told, file=sys.stderr, flush=True)
        if count * each > most:
            return samples
        size = max(1, int(SHARD_BYTES // each))
        jobs = [j for s, o in zip(stores, opened, strict=True) for j in jobs_of(s, o, size)]
        turned = len(jobs) * rank // ranks
        decode([*jobs[turned:], *jobs[:turned]], each, report)
        for store in stores:
            note_dataset(store.images, identity.get("dataset"))
        written = frozenset(job.name for job in jobs)
        opened = [open_store(store, written) for store in stores]
    return _from_shards(samples, stores, opened)


def count_missing(samples: Samples, identity: Mapping[str, Any]) -> int:
    """Return how many samples `open_decoded` would decode; it decodes none."""
    stores = _stores(samples, identity)
    return sum(len(tiles) for s in stores for tiles in missing_of(s, open_store(s)))


def open_for_one_pass(
    samples: Samples, identity: Mapping[str, Any], report: Report = lambda *_: None
) -> Samples:
    """Return samples that will be read once, in order: from shards where that is faster.

    Tiles are decoded before: several processes would decode the image that they share several
    times, and the next model's pass would do it again. Other samples are read from shards where
    all of them are there already.
    """
    if are_tiles(samples):
        return open_decoded(samples, identity, report)
    return open_existing(samples, identity)


def open_existing(samples: Samples, identity: Mapping[str, Any]) -> Samples:
    """Return samples that are read from shards where all of them are there, else `samples`."""
    stores = _stores(samples, identity)
    if not all(store.images.is_dir() for store in stores):
        return samples
    opened = [open_store(store) for store in stores]
    if any(missing_of(store, found) for store, found in zip(stores, opened, strict=True)):
        return samples
    return _from_shards(samples, stores, opened)


def _stores(samples: Samples, identity: Mapping[str, Any]) -> list[Store]:
    """The splits that samples come from, of each the samples that are read of it.

    [] for samples without files, as nothing tells their images from others, and for plain files.
    """
    taken: dict[int, tuple[Samples, list[int]]] = {}
    for part, index in _origins(samples):
        taken.setdefault(id(part), (part, []))[1].append(index)
    if not all(part.files and not part.plain for part, _ in taken.values()):
        return []
    return [_store(Subset(part, sorted(indices)), identity) for part, indices in taken.values()]


def _origins(samples: Samples) -> list[tuple[Samples, int]]:
    """The split of each sample, and its index there: unions and subsets of them are looked into."""
    if isinstance(samples, Joined):
        return [(samples.parts[name], index) for name, index in samples.order]
    if isinstance(samples, Subset) and isinstance(samples.whole, (Joined, Subset)):
        whole = _origins(samples.whole)
        return [whole[index] for index in samples.indices]
    return [(samples, index) for index in range(len(samples))]


def _store(samples: Subset, identity: Mapping[str, Any]) -> Store:
    whole: Samples = samples
    while isinstance(whole, Subset):
        whole = whole.whole
    sensors = sorted(s.name for s in samples.card.sensors if whole.needs(s.name))
    images = samples.images_identity()
    about = {"version": VERSION, **identity, "sensors": sensors, "images": images}
    folder = folders.cache() / "decoded" / fingerprint(about)[:24]
    mark_in_use(folder)
    if samples.labels is not None and not samples.card.multilabel:
        return Store(samples, folder, None)
    labels = fingerprint({"labels": samples.content().labels})[:24]
    return Store(samples, folder, folder / f"targets-{labels}")


def _from_shards(samples: Samples, stores: Sequence[Store], opened: Sequence[Opened]) -> Samples:
    if not stores:
        return samples
    images = {key: place for found in opened for key, place in found.images.items()}
    targets = {key: place for found in opened for key, place in found.targets.items()}

    def decoded(part: Samples) -> Decoded:
        return Decoded(part, images, targets if all(k in targets for k in part.keys) else None)

    if isinstance(samples, Joined):
        return Joined({name: decoded(part) for name, part in samples.parts.items()})
    return decoded(samples)


def _told(samples: Samples, size: float, count: int, most: float) -> str:
    """What a user is told about the disk that decoded images take; "" for little."""
    where = folders.cache() / "decoded"
    text = f"{count:,} samples of {samples.card.title} take {size / 1e9:.1f} GB"
    if size > most:
        return (
            f"Images are decoded each time they are read: {text}, more than the {most / 1e9:.1f} "
            f"GB that decoded images may take in {where}. Set SKYBENCH_DECODED_GB, or "
            "SKYBENCH_CACHE to another folder, to change that."
        )
    return f"Images are decoded once, into {where}: {text}." if size > TOLD_BYTES else ""
