"""Each image is extracted once, whoever asks for it, and a fault costs no more than a part."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from skybench.core import Batch, DataError, Features
from skybench.core.dataset import Samples, Subset
from skybench.features import parts as parts_on_disk
from skybench.features.extraction import split_features
from skybench.features.parts import Arrays, CachedRows, Entry
from skybench.features.sources import CachedFeatures

from .._toys import Noise, Toy, entries, gathered, looking, parts

pytestmark = pytest.mark.usefixtures("own_cache")


@pytest.fixture
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Parts that are full with a batch, of 16 images."""
    monkeypatch.setattr(parts_on_disk, "IMAGES", 16)


class Seeing(Toy):
    """Counts the images that it sees, of which one may fill up a forward pass."""

    images = 0

    def forward(self, batch: Batch) -> Features:
        self.images += len(set(batch.keys))
        return super().forward(batch)


def found(model: Toy, samples: Samples, level: Any = "pooled") -> CachedFeatures:
    source, _ = split_features(looking(model), samples, {"toy": 1}, level)
    assert isinstance(source, CachedFeatures)
    return source


def test_a_limit_and_all_extract_each_image_once() -> None:
    model, every = Seeing(), Noise(40)
    expected = gathered(Toy(), every)[0]
    for chosen in ([3, 39, 7], range(10), [39, 2, 11], range(40), range(40)):
        source = found(model, Subset(every, chosen))
        torch.testing.assert_close(source.pooled(), expected[list(chosen)])
    assert model.images == 40
    assert len(entries()) == 1


def test_pooled_features_are_answered_by_an_entry_with_feature_maps() -> None:
    model, samples = Seeing(), Noise(5)
    dense = found(model, samples, "pyramid")
    assert torch.equal(found(model, samples).pooled(), dense.pooled())
    assert model.images == 1 + 5  # the first tells how large they are
    assert found(model, samples).pyramid([0]) == ()


def test_feature_maps_are_made_beside_pooled_features() -> None:
    model, samples = Seeing(), Noise(5)
    pooled = found(model, Subset(samples, [1, 4])).pooled()
    dense = found(model, samples, "pyramid")
    assert dense.extracted == 5
    assert torch.equal(dense.pooled()[[1, 4]], pooled)
    again = found(model, samples, "pyramid")
    assert (model.images, again.extracted) == (2 + 1 + 5, 0)
    for one, other in zip(again.pyramid([4, 0]), dense.pyramid([4, 0]), strict=True):
        assert torch.equal(one, other)


class Own(Noise):
    """A user's own images, of a file each."""

    card = replace(Noise.card, user_data=True)

    def image_files(self, index: int) -> Sequence[Path]:
        return [self.files[index]]


def test_in_a_users_own_folder_a_changed_image_is_extracted_again_and_no_other(
    tmp_path: Path,
) -> None:
    files = [tmp_path / f"{n}.tif" for n in range(6)]
    for path in files:
        path.write_text(path.name)
    model = Toy()
    assert found(model, Own(5, files=files)).extracted == 5
    files[3].write_text("changed")
    assert found(model, Own(5, files=files)).extracted == 1
    assert found(model, Own(6, files=files)).extracted == 1  # another one came
    assert found(model, Own(6, files=files)).extracted == 0
    assert len(entries()) == 1


@pytest.mark.usefixtures("small_parts")
def test_features_are_on_disk_as_soon_as_a_part_is_full() -> None:
    """So that memory does not grow with the number of images."""
    there: list[int] = []

    class Watching(Toy):
        def forward(self, batch: Batch) -> Features:
            there.append(len(parts()))
            return super().forward(batch)

    found(Watching(), Noise(80))
    assert there == [0, 1, 2, 3, 4]
    assert len(parts()) == 5


def test_a_part_is_full_by_its_bytes_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts_on_disk, "BYTES", 1)
    found(Toy(), Noise(40))
    assert len(parts()) == 3  # 16, 16 and 8 images


@pytest.mark.usefixtures("small_parts")
def test_a_killed_process_loses_the_part_in_progress_alone() -> None:
    class Killed(Toy):
        def forward(self, batch: Batch) -> Features:
            if len(self.calls) == 2:
                os._exit(9)
            return super().forward(batch)

    if (child := os.fork()) == 0:
        try:
            found(Killed(), Noise(60))
        finally:
            os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    model = Seeing()
    source = found(model, Noise(60))
    assert (model.images, source.extracted) == (28, 28)
    torch.testing.assert_close(source.pooled(), gathered(Toy(), Noise(60))[0])


@pytest.mark.usefixtures("small_parts")
def test_a_damaged_part_costs_its_own_images(capsys: pytest.CaptureFixture[str]) -> None:
    expected = found(Toy(), Noise(40)).pooled()
    damaged = parts()[1] / "pooled.npy"
    content = bytearray(damaged.read_bytes())
    content[-1] ^= 255
    damaged.write_bytes(content)
    model = Seeing()
    source = found(model, Noise(40))
    assert model.images == 16
    assert torch.equal(source.pooled(), expected)
    assert source.remade == "pooled.npy has another checksum than when it was written"
    assert f"{damaged.parent} are made again: {source.remade}" in capsys.readouterr().err
    assert found(model, Noise(40)).remade == ""


def test_an_image_in_two_parts_is_that_of_the_older_one() -> None:
    entry = Entry({"toy": 1})
    for value in (1.0, 2.0):
        entry.write(["a", "b"], [{"pooled": np.full((2, 3), value, np.float32)}])
    for opened in (entry, Entry({"toy": 1})):
        rows = CachedRows(opened, ["b", "c"])
        assert rows.missing() == [1]
        assert rows.read("pooled", [0]).tolist() == [[1.0] * 3]
    assert len(parts()) == 2


def test_rows_come_in_the_order_asked_for_from_all_parts() -> None:
    entry = Entry({})
    keys = [f"k{n}" for n in range(9)]
    for start in (6, 0, 3):
        values = np.arange(start, start + 3, dtype=np.float32)[:, None]
        entry.write(keys[start : start + 3], [{"pooled": values}])
    rows = CachedRows(Entry({}), [*reversed(keys)])
    assert rows.read("pooled", [0, 8, 4, 4, 1])[:, 0].tolist() == [8, 0, 4, 4, 7]
    assert rows.read("pooled", []).shape == (0, 1)
    assert rows.part_of(0).keys == ("k6", "k7", "k8")


def test_batches_of_other_shapes_go_to_parts_of_their_own() -> None:
    sides = [(2, 4), (2, 6), (1, 6)]
    stream = [{"pooled": np.zeros((n, 3)), "level0": np.zeros((n, 3, s, s))} for n, s in sides]
    entry = Entry({})
    entry.write("abcde", stream)
    rows = CachedRows(entry, "abcde", ["level0"])
    assert [len(part.keys) for part in entry.parts] == [2, 3]
    assert rows.read("level0", [2, 4]).shape == (2, 3, 6, 6)
    with pytest.raises(DataError, match=r"features of c have the shape \(3, 6, 6\), others"):
        rows.read("level0", [0, 2])


def test_a_part_that_is_not_of_the_entry_is_never_opened(tmp_path: Path) -> None:
    entry = Entry({})
    entry.write("ab", [{"pooled": np.zeros((2, 3))}])
    (entry.folder / ".part-1.tmp").mkdir()
    (entry.folder / "notes.txt").touch()
    again = Entry({})
    assert len(again.parts) == 1
    assert again.faults == []


@pytest.mark.parametrize("sizes", [(512, 512), (100, 700, 40)])
def test_parts_together_have_every_key_once(sizes: Sequence[int]) -> None:
    def stream() -> Iterator[Arrays]:
        for size in sizes:
            yield {"pooled": np.ones((size, 1), np.float32)}

    keys = [f"k{n}" for n in range(sum(sizes))]
    entry = Entry({})
    entry.write(keys, stream())
    assert [key for part in entry.parts for key in part.keys] == keys
