"""Samples read ahead; see skybench.data.read_ahead."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from skybench.core import DataError
from skybench.data.read_ahead import ReadAhead

from ._counting import Counting, same


def test_samples_of_a_run_are_read_once_each_and_in_order(tmp_path: Path) -> None:
    samples = Counting(tmp_path / "a", 10)
    ahead = ReadAhead(samples)
    found = [s for start in (0, 4, 8) for s in ahead(range(start, min(start + 4, 10)))]
    assert [s.key for s in found] == list(samples.keys)
    assert set(samples.reads.values()) == {1}
    assert all(same(s, samples.read(i)) for i, s in enumerate(found))


def test_the_next_run_is_begun_and_nothing_after_a_jump(tmp_path: Path) -> None:
    samples = Counting(tmp_path / "a", 9)
    ahead = ReadAhead(samples)
    ahead(range(3))
    assert list(ahead.coming) == [3, 4, 5]
    for future in ahead.coming.values():
        future.result()
    assert [s.key for s in ahead([4, 0, 4])] == [samples.keys[i] for i in (4, 0, 4)]
    assert (samples.reads[samples.keys[4]], samples.reads[samples.keys[0]]) == (1, 2)
    assert list(ahead.coming) == [3, 5]  # a request may come in parts
    ahead([7])
    assert list(ahead.coming) == [3, 5]  # a single sample is no run
    ahead(range(5, 8))
    assert list(ahead.coming) == [8]
    ahead.coming[8].result()
    assert sum(samples.reads.values()) == 3 + 3 + 1 + 1 + 2 + 1


def test_what_will_follow_is_begun_with_the_next_request(tmp_path: Path) -> None:
    samples = Counting(tmp_path / "a", 9)
    ahead = ReadAhead(samples)
    ahead.follow_with([8, 2, 5])
    assert not ahead.coming
    ahead([1, 2])
    assert list(ahead.coming) == [8, 5]
    found = ahead([8, 2, 5])
    assert [s.key for s in found] == [samples.keys[i] for i in (8, 2, 5)]
    assert samples.reads[samples.keys[8]] == 1
    assert not ahead.coming


def test_targets_come_with_the_images(tmp_path: Path) -> None:
    samples = Counting(tmp_path / "a", 9)
    ahead = ReadAhead(samples)
    ahead([0, 2])
    ahead([4])
    assert torch.equal(ahead.target(2), samples.read(2).target)
    assert torch.equal(ahead.target(4), samples.read(4).target)
    assert not samples.looks
    ahead([6])
    assert torch.equal(ahead.target(2), samples.read(2).target)
    assert dict(samples.looks) == {samples.keys[2]: 1}


def test_a_damaged_image_is_an_error_when_it_is_asked_for(tmp_path: Path) -> None:
    samples = Counting(tmp_path / "a", 6)
    samples.damaged = {"a003"}
    ahead = ReadAhead(samples)
    assert len(ahead(range(3))) == 3
    with pytest.raises(DataError, match="a003 cannot be read"):
        ahead(range(3, 6))
