"""What is decoded into one shard; see skybench.data.decoding and test_decoded."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from skybench.core import DataError
from skybench.core.dataset import Samples, Subset
from skybench.data import decoding, shards
from skybench.data.decoding import Job, Opened, Store, decode, jobs_of, missing_of, open_store

from ._counting import Counting

pytestmark = pytest.mark.usefixtures("own_cache")
NOTHING = Opened({}, {})


def store_of(samples: Samples, tmp_path: Path) -> Store:
    return Store(samples, tmp_path / "shards", tmp_path / "shards" / "targets")


def test_the_tiles_of_an_image_are_decoded_together_whatever_their_order(tmp_path: Path) -> None:
    samples = Subset(Counting(tmp_path / "a", 3, 2), [0, 4, 2, 1, 5])
    assert missing_of(store_of(samples, tmp_path), NOTHING) == [[0, 3], [1, 4], [2]]


def test_shards_hold_whole_images(tmp_path: Path) -> None:
    store = store_of(Counting(tmp_path / "a", 5, 3), tmp_path)
    parts = [job.indices for job in jobs_of(store, NOTHING, 7)]
    assert parts == [(0, 1, 2, 3, 4, 5), (6, 7, 8, 9, 10, 11), (12, 13, 14)]
    assert [len(job.indices) for job in jobs_of(store, NOTHING, 1)] == [3] * 5


def test_where_only_targets_are_missing_only_they_are_written(tmp_path: Path) -> None:
    samples = Counting(tmp_path / "a", 3)
    store = store_of(samples, tmp_path)
    decode(jobs_of(Store(samples, store.images, None), NOTHING, 9), 1, lambda *_: None)
    jobs = jobs_of(store, open_store(store), 2)
    assert [(job.indices, job.with_images) for job in jobs] == [((0, 1), False), ((2,), False)]
    samples.reads.clear()
    decode(jobs, 1, lambda *_: None)
    assert not samples.reads
    assert missing_of(store, open_store(store)) == []


def test_what_another_process_has_written_meanwhile_is_not_decoded_again(tmp_path: Path) -> None:
    samples = Counting(tmp_path / "a", 2)
    jobs = jobs_of(store_of(samples, tmp_path), NOTHING, 1)
    decode(jobs[:1], 1, lambda *_: None)
    samples.reads.clear()
    decode(jobs, 1, lambda *_: None)
    assert dict(samples.reads) == {samples.keys[1]: 1}


def test_a_full_disk_is_an_error_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(shards.ShardWriter, "add", full)
    store = store_of(Counting(tmp_path / "a", 2), tmp_path)
    with pytest.raises(DataError, match=r"\(No space left on device\); set SKYBENCH_CACHE"):
        decode(jobs_of(store, NOTHING, 9), 1, lambda *_: None)


def test_an_error_of_a_reader_is_not_one_of_the_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = store_of(Counting(tmp_path / "a", 2), tmp_path)
    (tmp_path / "a" / "a001").unlink()
    with pytest.raises(DataError, match=r"^a001_0 cannot be read .* get its file again"):
        decode(jobs_of(store, NOTHING, 9), 1, lambda *_: None)


def test_files_of_processes_that_were_killed_are_removed(tmp_path: Path) -> None:
    store = store_of(Counting(tmp_path / "a", 1), tmp_path)
    store.images.mkdir()
    old, new = store.images / ".x.bin.1.tmp", store.images / ".x.bin.2.tmp"
    for path in (old, new):
        path.touch()
    os.utime(old, (0, time.time() - decoding.LEFT_OVER - 1))
    decode(jobs_of(store, NOTHING, 9), 1, lambda *_: None)
    assert (old.exists(), new.exists()) == (False, True)


def test_the_name_of_a_shard_follows_its_samples(tmp_path: Path) -> None:
    store = store_of(Counting(tmp_path / "a", 3), tmp_path)
    names = {Job(store, indices, True).name for indices in ((0,), (0, 1), (1, 2), (1, 2))}
    assert len(names) == 3
