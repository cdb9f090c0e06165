"""Opened splits: sequences of samples, subsets of one, and the union of several."""

from __future__ import annotations

import abc
import copy
import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, overload

from skybench.core.cards import DatasetCard
from skybench.core.content import ContentDigests, content_of, join_contents, sample_contents
from skybench.core.file_hash import file_state
from skybench.core.sample import Sample


@dataclass(frozen=True)
class Split:
    """The name of a split, its samples' fingerprint, and where the split comes from."""

    name: str
    source: str  # "official list", "rule: …", "ours: …"
    sha256: str  # of the keys, see `fingerprint_keys`
    demo: bool  # the folder was written by a demo writer


class Samples(Sequence[Sample], abc.ABC):
    """An opened split: a sequence of samples in a fixed order, each decoded on access."""

    card: DatasetCard  # with the classes that this folder has
    split: Split
    keys: tuple[str, ...]
    # The independent unit of each sample, as the image of a tile; (): each its own: see `groups_of`
    groups: tuple[str, ...] = ()
    labels: tuple[int, ...] | None = None  # class ids, where they are known without decoding
    files: tuple[Path, ...] = ()  # of the images, at least a sample of them: see `content`
    # Masks and annotations; (): there are none; None: they are not told from `files`.
    label_files: tuple[Path, ...] | None = None
    description: str = ""  # settings by which samples are read, as canonical JSON without paths
    needed: frozenset[str] = frozenset()  # sensors to read; empty: all of them: see `only`
    plain: bool = False  # whether files hold what `read` gives: a decoded copy would save nothing
    whole_images: bool = False  # no two samples are cut from one image, whatever groups they are in
    notes: tuple[str, ...] = ()  # what the reader noticed about the files, a sentence each

    @abc.abstractmethod
    def read(self, index: int) -> Sample:
        """Decode one sample; 0 <= index < len(self)."""

    def only(self, sensors: Iterable[str]) -> Self:
        """Return the same samples with only these sensors; `read` may skip the other images."""
        fewer = copy.copy(self)
        fewer.needed = frozenset(sensors)
        return fewer

    def needs(self, sensor: str) -> bool:
        """Whether the images of this sensor must be read."""
        return not self.needed or sensor in self.needed

    def target(self, index: int) -> Any:
        """Return the target of one sample; readers override it where no image must be decoded."""
        return self.read(index).target

    def class_counts(self) -> Mapping[str, int] | None:
        """Return the images, pixels or objects of each class; None where nobody counts them.

        Readers of a user's own folder count, which may read all label files.
        """
        if self.labels is None or self.card.multilabel:
            return None
        counts = Counter(self.labels)
        return {name: counts[n] for n, name in enumerate(self.card.classes)}

    def stamp(self) -> str:
        """Return a sha256 of the files' names, sizes and times, which changes when one is replaced.

        It holds on one machine only.
        """
        facts = (f"{f.name} {' '.join(map(str, file_state(f)[:3]))}\n" for f in self.files)
        return hashlib.sha256("".join(facts).encode()).hexdigest()

    def image_files(self, index: int) -> Sequence[Path]:
        """Return all image files of one sample; () where a reader does not tell them apart."""
        return ()

    def image_contents(self) -> list[str]:
        """Return for each sample what tells its images from others, where that is known.

        It is in a user's own folder, whose files may change one by one; else [].
        """
        if not self.card.user_data:
            return []
        files = [self.image_files(index) for index in range(len(self))]
        return sample_contents(self.card, files) if all(files) else []

    def images_identity(self) -> str:
        """Return what tells the images from others: in a user's own folder, all their contents.

        In published datasets, whose size may forbid that: a sample's contents, and the stamp.
        """
        images = self.content().images
        if self.card.user_data:
            return images
        return " ".join(filter(None, (images, self.stamp(), self.description)))

    def content(self) -> ContentDigests:
        """Return the identity of what is read, by the contents of the files; see `ContentDigests`.

        The first time the files are read; afterwards each costs a `stat`. Raises DataError.
        """
        among = () if self.labels is not None else self.files
        annotated = among if self.label_files is None else self.label_files
        known = sorted(zip(self.keys, self.labels or (), strict=False))
        return content_of(self.card, self.files, annotated, [self.description, known])

    def __len__(self) -> int:
        return len(self.keys)

    @overload
    def __getitem__(self, index: int) -> Sample: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Sample]: ...
    def __getitem__(self, index: int | slice) -> Sample | Sequence[Sample]:
        if isinstance(index, slice):
            return Subset(self, range(len(self))[index])
        if not -len(self) <= index < len(self):
            raise IndexError(index)
        return self.read(index % len(self))

    def __iter__(self) -> Iterator[Sample]:
        return (self.read(i) for i in range(len(self)))


def groups_of(samples: Samples) -> tuple[str, ...]:
    """Return for each sample the unit that is drawn in a resampling: tiles of one image share it.

    Samples of one unit (image, scene, cube, place) are alike: only units are independent.
    """
    return samples.groups or samples.keys


def are_tiles(samples: Samples) -> bool:
    """Return whether several samples are cut from one image."""
    return not samples.whole_images and len(set(samples.groups)) < len(samples.groups)


class Subset(Samples):
    """A subset of an opened split, in the given order."""

    def __init__(self, whole: Samples, indices: Iterable[int]) -> None:
        self.whole, self.indices = whole, tuple(indices)
        self.card, self.split, self.files = whole.card, whole.split, whole.files
        self.label_files, self.description = whole.label_files, whole.description
        self.notes, self.plain, self.whole_images = whole.notes, whole.plain, whole.whole_images
        self.keys = tuple(whole.keys[i] for i in self.indices)
        self.groups = tuple(groups_of(whole)[i] for i in self.indices)
        labels = whole.labels
        self.labels = None if labels is None else tuple(labels[i] for i in self.indices)

    def only(self, sensors: Iterable[str]) -> Subset:
        return Subset(self.whole.only(sensors), self.indices)

    def read(self, index: int) -> Sample:
        return self.whole.read(self.indices[index])

    def target(self, index: int) -> Any:
        return self.whole.target(self.indices[index])

    def image_files(self, index: int) -> Sequence[Path]:
        return self.whole.image_files(self.indices[index])

    def content(self) -> ContentDigests:
        return self.whole.content()


class Joined(Samples):
    """The union of several splits of one dataset, sorted by key, each key once.

    The features of a sample that several splits share (20 % and 50 % of AID) are extracted once.
    """

    def __init__(self, parts: Mapping[str, Samples]) -> None:
        place = {k: (n, i) for n, s in parts.items() for i, k in enumerate(s.keys)}
        self.keys = tuple(sorted(place))
        self.parts, self.order = parts, [place[key] for key in self.keys]
        self.groups = tuple(groups_of(parts[name])[index] for name, index in self.order)
        first = next(iter(parts.values()))
        self.card, self.split, self.whole_images = first.card, first.split, first.whole_images
        self.notes = tuple(dict.fromkeys(n for s in parts.values() for n in s.notes))
        self.files = tuple(sorted({f for s in parts.values() for f in s.files}))
        self.description = " ".join(sorted({s.description for s in parts.values()}))
        annotated = {f for s in parts.values() for f in s.label_files or ()}
        self.label_files = tuple(sorted(annotated))
        known = {name: s.labels for name, s in parts.items() if s.labels is not None}
        if len(known) == len(parts):
            self.labels = tuple(known[name][index] for name, index in self.order)

    def read(self, index: int) -> Sample:
        name, place = self.order[index]
        return self.parts[name].read(place)

    def target(self, index: int) -> Any:
        name, place = self.order[index]
        return self.parts[name].target(place)

    def image_contents(self) -> list[str]:
        known = {name: part.image_contents() for name, part in self.parts.items()}
        return [known[name][place] for name, place in self.order] if all(known.values()) else []

    def content(self) -> ContentDigests:
        return join_contents([part.content() for part in self.parts.values()])

    def positions(self) -> dict[str, list[int]]:
        """Return the indices in this union of each split's samples, in the split's order."""
        here = {key: index for index, key in enumerate(self.keys)}
        return {name: [here[key] for key in part.keys] for name, part in self.parts.items()}
