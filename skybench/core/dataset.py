"""Opened splits: sequences of samples, subsets of one, and the union of several."""

from __future__ import annotations

import abc
import copy
import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self, overload

from skybench.core.cards import DatasetCard
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
    labels: tuple[int, ...] | None = None  # class ids, where they are known without decoding
    files: tuple[Path, ...] = ()  # all files that are read: see `stamp`
    needed: frozenset[str] = frozenset()  # sensors to read; empty: all of them: see `only`

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

    def stamp(self) -> str:
        """Return a sha256 of the files' names, sizes and times, which changes when one is replaced.

        It holds on one machine only.
        """
        facts = (f"{f.name} {f.stat().st_size} {f.stat().st_mtime_ns}\n" for f in self.files)
        return hashlib.sha256("".join(facts).encode()).hexdigest()

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


class Subset(Samples):
    """A subset of an opened split, in the given order."""

    def __init__(self, whole: Samples, indices: Iterable[int]) -> None:
        self.whole, self.indices = whole, tuple(indices)
        self.card, self.split, self.files = whole.card, whole.split, whole.files
        self.keys = tuple(whole.keys[i] for i in self.indices)
        labels = whole.labels
        self.labels = None if labels is None else tuple(labels[i] for i in self.indices)

    def only(self, sensors: Iterable[str]) -> Subset:
        return Subset(self.whole.only(sensors), self.indices)

    def read(self, index: int) -> Sample:
        return self.whole.read(self.indices[index])


class Joined(Samples):
    """The union of several splits of one dataset, sorted by key, each key once.

    The features of a sample that several splits share (20 % and 50 % of AID) are extracted once.
    """

    def __init__(self, parts: Mapping[str, Samples]) -> None:
        place = {k: (n, i) for n, s in parts.items() for i, k in enumerate(s.keys)}
        self.keys = tuple(sorted(place))
        self.parts, self.order = parts, [place[key] for key in self.keys]
        first = next(iter(parts.values()))
        self.card, self.split = first.card, first.split
        self.files = tuple(sorted({f for s in parts.values() for f in s.files}))

    def read(self, index: int) -> Sample:
        name, place = self.order[index]
        return self.parts[name].read(place)

    def positions(self) -> dict[str, list[int]]:
        """Return the indices in this union of each split's samples, in the split's order."""
        here = {key: index for index, key in enumerate(self.keys)}
        return {name: [here[key] for key in part.keys] for name, part in self.parts.items()}
