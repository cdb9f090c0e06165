from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from skybench.core import DatasetCard, Sample, Samples, Split, dataset
from skybench.core.dataset import Subset

from ._sensors import RGB


class Letters(Samples):
    """One sample a letter; the image holds the letter's position."""

    card = DatasetCard("toy", "Toy", (), (RGB,), ("a", "b"), {}, "ours", "none", "nothing", "none")
    split = Split("train", "ours", "", False)

    def __init__(self, keys: str, files: Sequence[Path] = (), labelled: bool = True) -> None:
        self.keys, self.files = tuple(keys), tuple(files)
        self.labels = tuple(i % 2 for i in range(len(keys))) if labelled else None
        self.decoded: list[int] = []

    def read(self, index: int) -> Sample:
        self.decoded.append(index)
        return Sample(self.keys[index], {"hr": torch.full((1, 3, 2, 2), index)}, index % 2)


def test_samples_are_a_sequence_that_decodes_on_demand() -> None:
    letters = Letters("abcde")
    assert len(letters) == 5
    assert letters[-1].key == "e"
    assert [s.key for s in letters] == list("abcde")
    letters.decoded.clear()
    part = letters[1:4]
    assert letters.decoded == []
    assert [s.key for s in part] == list("bcd")
    assert [s.key for s in letters[::-2]] == list("eca")
    for index in (5, -6):
        with pytest.raises(IndexError):
            letters[index]


def test_subsets_and_unions_keep_the_units_of_samples() -> None:
    tiles, alone = Letters("abcd"), Letters("ef")
    tiles.groups = ("x", "x", "y", "y")
    assert dataset.groups_of(alone) == ("e", "f")
    assert dataset.groups_of(Subset(tiles, [3, 0])) == ("y", "x")
    assert dataset.groups_of(Subset(alone, [1])) == ("f",)
    assert dataset.groups_of(tiles.only(["hr"])) == tiles.groups
    union = dataset.Joined({"test": alone, "train": tiles})
    assert dict(zip(union.keys, dataset.groups_of(union), strict=True)) == {
        "a": "x", "b": "x", "c": "y", "d": "y", "e": "e", "f": "f"
    }  # fmt: skip


def test_a_subset_is_made_of_samples_like_the_whole() -> None:
    letters = Letters("abcde", [Path("x")])
    part = Subset(letters, [4, 0, 3])
    assert part.keys == ("e", "a", "d")
    assert part.labels == (0, 0, 1)
    assert part.files == letters.files
    assert part[-1].key == "d"
    assert int(part[2].images["hr"][0, 0, 0, 0]) == 3
    again = part[1:]
    assert isinstance(again, Subset)
    assert again.keys == ("a", "d")
    assert again.labels == (0, 1)
    assert [s.key for s in again] == ["a", "d"]
    with pytest.raises(IndexError):
        part[3]
    assert Subset(Letters("ab", labelled=False), [0]).labels is None


def test_the_stamp_changes_when_a_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"one")
    letters = Letters("ab", [path])
    before = letters.stamp()
    assert letters.stamp() == before
    assert letters[:1].stamp() == before  # type: ignore[attr-defined]
    fact = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(fact.st_atime_ns, fact.st_mtime_ns + 1_000_000))
    assert letters.stamp() != before
    path.write_bytes(b"longer")
    os.utime(path, ns=(fact.st_atime_ns, fact.st_mtime_ns))
    assert letters.stamp() != before
    assert Letters("ab").stamp() == Letters("cd").stamp()


def test_joined_splits_are_one_set_whatever_the_ratio(tmp_path: Path) -> None:
    files = [tmp_path / n for n in ("x", "y")]
    some = dataset.Joined({"train": Letters("da", files[:1]), "test": Letters("cb", files)})
    other = dataset.Joined({"test": Letters("a", files), "train": Letters("bdc", files)})
    assert some.keys == other.keys == ("a", "b", "c", "d")
    assert some.files == other.files == tuple(files)
    places = some.positions()
    assert places == {"train": [3, 0], "test": [2, 1]}
    for name, part in some.parts.items():
        assert [some[i].key for i in places[name]] == [s.key for s in part]


def test_a_sample_of_two_splits_is_joined_once() -> None:
    both = dataset.Joined({"ten": Letters("ca"), "all": Letters("abc")})
    assert both.keys == ("a", "b", "c")
    assert both.positions() == {"ten": [2, 0], "all": [0, 1, 2]}


def test_only_the_sensors_that_are_needed_are_asked_for() -> None:
    letters = Letters("abc")
    assert letters.needs("hr")
    part = Subset(letters, [1]).only(["s2"])
    assert (part.whole.needs("s2"), part.whole.needs("hr")) == (True, False)
    assert letters.needs("hr")  # the samples themselves do not change
