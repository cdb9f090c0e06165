"""Targets are of the labels as they are now, whatever features were cached before."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from skybench.core import Boxes, DataError, Sample, Target, folders
from skybench.core.dataset import Joined, Subset
from skybench.features import targets
from skybench.features.extraction import split_features

from .._toys import Noise, Toy, looking

pytestmark = pytest.mark.usefixtures("own_cache")


class Masked(Noise):
    """Images in one file, masks in a file each, of one byte."""

    card = replace(Noise.card, target=Target("mask"), user_data=True)

    def __init__(self, folder: Path, count: int = 4) -> None:
        super().__init__(count, masks=True, files=[folder / "image.bin"])
        self.masks_of = tuple(folder / f"{key}.mask" for key in self.keys)
        self.label_files = self.masks_of
        self.decoded = 0

    def read(self, index: int) -> Sample:
        self.decoded += 1
        return replace(super().read(index), target=self.target(index))

    def target(self, index: int) -> Any:
        return np.full((8, 8), self.masks_of[index].read_bytes()[0], np.uint8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path, [0, 1, 2, 0])
    (tmp_path / "image.bin").write_bytes(b"pixels")
    return tmp_path


def write(folder: Path, values: Sequence[int]) -> None:
    for place, value in enumerate(values):
        (folder / f"n{place}.mask").write_bytes(bytes([value]))


def stored() -> list[Path]:
    place = folders.cache() / "targets"
    return sorted(place.iterdir()) if place.exists() else []


def truth(samples: Masked, model: Toy) -> list[int]:
    identity = {"images": samples.images_identity(), "dataset": ["toy", 1]}
    found, _ = split_features(looking(model), samples, identity, "pooled")
    return [int(found.target(i)[3, 3]) for i in range(len(samples))]


def test_corrected_masks_count_at_once_without_a_forward_pass(folder: Path) -> None:
    model = Toy()
    assert truth(Masked(folder), model) == [0, 1, 2, 0]
    calls = len(model.calls)
    write(folder, [0, 1, 2, 2])
    again = Masked(folder)
    assert truth(again, model) == [0, 1, 2, 2]
    assert (len(model.calls), again.decoded) == (calls, 0)  # not even an image was decoded
    write(folder, [0, 1, 2, 0])
    assert truth(Masked(folder), model) == [0, 1, 2, 0]
    assert len(stored()) == 2


def test_other_settings_of_the_labels_are_other_targets(folder: Path) -> None:
    samples = Masked(folder)
    for description, classes in (("", "abc"), ('{"ignored":[0]}', "abc"), ("", "ab")):
        samples.description = description
        samples.card = replace(samples.card, classes=tuple(classes))
        for _ in range(2):
            targets.open_targets(samples, ["toy"])
    targets.open_targets(samples, ["another"])
    assert len(stored()) == 4


@pytest.mark.parametrize("kept", [0, 100, None])
def test_a_damaged_entry_of_targets_is_made_again(folder: Path, kept: int | None) -> None:
    before = np.array(targets.open_targets(Masked(folder), []))
    path = stored()[0] / "targets.npy"
    whole = path.read_bytes()
    path.unlink() if kept is None else path.write_bytes(whole[:kept])
    np.testing.assert_array_equal(targets.open_targets(Masked(folder), []), before)
    assert path.read_bytes() == whole


def test_known_class_ids_need_no_entry() -> None:
    samples = Noise(5, files=[Path(__file__)])
    samples.labels = (2, 0, 1, 1, 0)
    assert targets.stack_targets(targets.open_targets(samples, [])).tolist() == [2, 0, 1, 1, 0]
    joined = Joined({"a": Subset(samples, [0, 1]), "b": Subset(samples, [4, 1])})
    assert targets.stack_targets(targets.open_targets(joined, [])).tolist() == [2, 0, 0]
    assert stored() == []


def test_targets_of_samples_without_files_are_never_kept() -> None:
    for masks in (False, True):
        found = targets.open_targets(Noise(3, masks), [])
        np.testing.assert_array_equal(found[2], Noise(3, masks).read(2).target)
    assert stored() == []


class Boxed(Masked):
    """As many boxes as the mask's value, a crowd region first."""

    card = replace(Masked.card, target=Target("boxes"))

    def target(self, index: int) -> Boxes:
        count = int(super().target(index)[0, 0])
        corners = torch.arange(8.0).reshape(1, 4, 2).expand(count, 4, 2)
        crowd = torch.arange(count) == 0
        return Boxes(corners, torch.arange(count), ~crowd, (8, 9 + index), crowd)


def test_boxes_come_back_as_they_were(folder: Path) -> None:
    samples = Boxed(folder)
    for found in (targets.open_targets(samples, []), targets.open_targets(samples, [])):
        for index, boxes in enumerate(found):
            expected = samples.target(index)
            assert boxes.size == expected.size
            for one, other in zip(
                (boxes.corners, boxes.labels, boxes.difficult, boxes.crowds),
                (expected.corners, expected.labels, expected.difficult, expected.crowds),
                strict=True,
            ):
                assert torch.equal(one, other)
    assert len(stored()) == 1


def test_targets_of_several_shapes_are_refused_by_the_samples_key(folder: Path) -> None:
    class Ragged(Masked):
        def target(self, index: int) -> Any:
            return super().target(index)[: 8 - index]

    with pytest.raises(
        DataError, match=r"target of n1 has the shape \(7, 8\), that of n0 \(8, 8\)"
    ):
        targets.open_targets(Ragged(folder), [])
    assert stored() == []
