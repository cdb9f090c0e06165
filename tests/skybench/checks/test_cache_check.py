"""A flipped byte is found in each kind of file of the cache, and what is damaged can go."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from skybench.checks.cache_check import damaged_files, remove_damaged
from skybench.core import folders
from skybench.core.cache_entries import CacheEntry, read_entries
from skybench.core.sealed import write_sealed
from skybench.data import shards
from skybench.features.parts import Entry

pytestmark = pytest.mark.usefixtures("own_cache")


def make() -> None:
    """A cache with an entry of each form: parts, shards with targets, and a sealed file."""
    rows = [{"pooled": np.ones((3, 4), np.float32)}]
    Entry({"model": ["toy"]}).write(["a", "b", "c"], rows)
    folder = folders.cache() / "decoded" / "x"
    for place in (folder, folder / "targets-y"):
        with shards.new_shard(place, "one") as writer:
            writer.add("a", {"image": np.arange(64)})
    write_sealed(folders.cache() / "costs" / "z.json", {"gflops": 12})


def files() -> list[Path]:
    return sorted(p for kind in ("features", "decoded", "costs")
                  for p in (folders.cache() / kind).rglob("*") if p.is_file())  # fmt: skip


def entry_of(path: Path) -> CacheEntry:
    (entry,) = (e for e in read_entries() if path.absolute().is_relative_to(e.path))
    return entry


def test_every_file_is_looked_at_whatever_is_remembered() -> None:
    make()
    Entry({"model": ["toy"]})  # its checksums are remembered now
    assert damaged_files(read_entries()) == []
    assert len(files()) == 3 + 2 + 2 + 1
    for path in files():
        whole = path.read_bytes()
        for place in (len(whole) // 2, len(whole) - 1):
            path.write_bytes(whole[:place] + bytes([whole[place] ^ 4]) + whole[place + 1 :])
            (damage,) = damaged_files(read_entries())
            assert damage.entry == entry_of(path)
            assert damage.what
        path.write_bytes(whole)


def test_what_is_damaged_goes_and_nothing_else() -> None:
    make()
    names = [path.name for path in files()]
    for name in ("one.bin", "pooled.npy", "z.json"):
        path = next(p for p in files() if p.name == name)
        path.write_bytes(path.read_bytes()[:-1])
        (damage,) = damaged_files(read_entries())
        remove_damaged(damage)
        assert damaged_files(read_entries()) == []
    assert [p.name for p in files()] == [n for n in names if n.startswith("one")][2:]


def test_simulated_data_and_lists_have_no_checksums_of_ours() -> None:
    place = folders.cache() / "demo" / "v1" / "aid"
    place.mkdir(parents=True)
    (place / "a.png").write_bytes(b"any")
    assert damaged_files(read_entries()) == []
