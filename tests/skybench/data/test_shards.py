"""Shards of arrays; see skybench.data.shards."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from skybench.core import DataError
from skybench.data import shards

RNG = np.random.default_rng(0)
SAMPLES: dict[str, dict[str, NDArray[Any]]] = {
    "bytes": {"x": RNG.integers(0, 256, (1, 3, 5, 7), np.uint8), "y": np.array(-7)},
    "wide": {"x": RNG.integers(0, 65536, (2, 3, 5, 7)).astype(np.int32), "y": np.array(1 << 40)},
    "floats": {"x": RNG.normal(size=(3, 2)).astype(np.float32), "y": np.array([np.nan, -0.0])},
    "empty": {"x": np.zeros((0, 4, 2), np.float32), "y": np.zeros(0, bool)},
    "none": {},
    "flags": {"x": np.array([True, False, True]), "y": np.array(300, np.int64)},
}


def written(folder: Path, name: str = "a") -> dict[str, shards.Place]:
    with shards.new_shard(folder, name) as shard:
        for key, arrays in SAMPLES.items():
            shard.add(key, arrays)
    return shards.open_shards(folder)


def test_arrays_come_back_as_they_were(tmp_path: Path) -> None:
    places = written(tmp_path / "new")
    assert list(places) == list(SAMPLES)
    for key in reversed(SAMPLES):
        found = shards.read_arrays(places[key])
        assert found.keys() == SAMPLES[key].keys()
        for name, array in SAMPLES[key].items():
            assert found[name].dtype == array.dtype
            assert found[name].shape == array.shape
            assert found[name].tobytes() == array.tobytes()
            assert found[name].flags.writeable


def test_whole_numbers_take_the_bytes_that_they_need(tmp_path: Path) -> None:
    stored = {key: [a.stored for a in place.arrays] for key, place in written(tmp_path).items()}
    assert stored["wide"] == ["<u2", "<i8"]
    assert stored["bytes"] == ["|u1", "<i2"]
    assert stored["flags"] == ["|b1", "<u2"]
    sizes = sum(shards.stored_bytes(arrays) for arrays in SAMPLES.values())
    assert (tmp_path / "a.bin").stat().st_size == sizes


def test_a_shard_that_was_not_finished_is_not_there(tmp_path: Path) -> None:
    def interrupted() -> None:
        with shards.new_shard(tmp_path, "a") as shard:
            shard.add("b", {"x": np.zeros(3)})
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []
    assert not shards.is_written(tmp_path, "a")
    written(tmp_path)
    assert shards.is_written(tmp_path, "a")


@pytest.mark.parametrize("damage", ["pixels", "cut", "index", "no pixels"])
def test_a_damaged_shard_is_removed_and_named(
    tmp_path: Path, own_cache: None, capsys: pytest.CaptureFixture[str], damage: str
) -> None:
    folder = tmp_path / "shards"
    kept, lost = written(folder, "kept"), folder / "lost.bin"
    with shards.new_shard(folder, "lost") as shard:
        shard.add("more", {"x": np.arange(1000)})
    data = lost.read_bytes()
    if damage == "pixels":
        lost.write_bytes(data[:50] + b"?" + data[51:])
    elif damage == "cut":
        lost.write_bytes(data[:-8])
    elif damage == "index":
        index = json.loads(lost.with_suffix(".json").read_text())
        lost.with_suffix(".json").write_text(json.dumps({**index, "keys": ["other"]}))
    else:
        lost.unlink()
    assert shards.open_shards(folder) == kept
    assert f"Decoded images in {lost} are damaged and are made again." in capsys.readouterr().err
    assert sorted(p.name for p in folder.iterdir()) == ["kept.bin", "kept.json"]


def test_checksums_of_shards_just_written_are_not_computed_again(
    tmp_path: Path, own_cache: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    places = written(tmp_path)
    read: list[Any] = []
    monkeypatch.setattr(shards, "file_digests", lambda paths, _: read.extend(paths))
    assert shards.open_shards(tmp_path, ["a"]) == places
    assert read == []


def test_a_shard_that_vanished_is_an_error_with_its_name(tmp_path: Path) -> None:
    place = written(tmp_path)["wide"]
    place.path.write_bytes(b"short")
    with pytest.raises(DataError, match=r"a\.bin cannot be read \(it is shorter than it was\)"):
        shards.read_arrays(place)
    place.path.unlink()
    with pytest.raises(DataError, match="Run the same command again"):
        shards.read_arrays(place)
