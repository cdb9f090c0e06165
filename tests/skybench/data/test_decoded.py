"""Samples decoded once; see skybench.data.decoded."""

from __future__ import annotations

import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from skybench.core import DataError, UsageError, folders
from skybench.core.dataset import Joined, Samples, Subset
from skybench.data import decoded, decoding
from skybench.data.decoded import Decoded, open_decoded, open_existing

from ._counting import Counting, same

pytestmark = pytest.mark.usefixtures("own_cache")
ABOUT = {"dataset": ["toy", 1, 0]}


def reads(*samples: Counting) -> int:
    """How often images were read since the last question."""
    total = sum(sum(s.reads.values()) for s in samples)
    for each in samples:
        each.reads.clear()
    return total


def places() -> list[Path]:
    return sorted((folders.cache() / "decoded").rglob("*.bin"))


@pytest.mark.parametrize("classes", [False, True])
def test_samples_are_equal_bit_by_bit_and_decoded_once(tmp_path: Path, classes: bool) -> None:
    samples = Counting(tmp_path / "a", 5, 3, classes)
    found = open_decoded(samples, ABOUT)
    assert reads(samples) == len(samples) + 1  # the first tells the size
    samples.looks.clear()
    for _ in range(4):
        assert [found.target(i) is not None for i in range(15)] == [True] * 15
        kept = [found.read(i) for i in range(15)]
    assert (reads(samples), sum(samples.looks.values())) == (0, 0)
    assert all(same(kept[i], samples.read(i)) for i in range(15))
    assert (found.keys, found.groups, found.labels) == (
        samples.keys,
        samples.groups,
        samples.labels,
    )
    assert found.content() == samples.content()
    assert found.images_identity() == samples.images_identity()
    reads(samples)
    again = open_decoded(samples, ABOUT)
    assert same(again.read(7), samples.read(7))
    assert reads(samples) == 1


def test_a_limited_run_and_a_full_one_share_what_both_need(tmp_path: Path) -> None:
    samples = Counting(tmp_path / "a", 6, 2)
    open_decoded(Subset(samples, [0, 1, 5]), ABOUT)
    assert reads(samples) == 3 + 1
    found = open_decoded(samples, ABOUT)
    assert reads(samples) == 9 + 1
    some = open_decoded(Subset(samples, [11, 2]), ABOUT)
    assert reads(samples) == 0
    assert [some.read(i).key for i in (0, 1)] == [samples.keys[11], samples.keys[2]]
    assert all(same(found.read(i), samples.read(i)) for i in range(12))


def test_splits_stay_apart_in_a_union_and_their_positions_hold(tmp_path: Path) -> None:
    train, test = Counting(tmp_path / "b", 4), Counting(tmp_path / "a", 3)
    pool: dict[str, Samples] = {"all": train, "some": Subset(train, [1, 3]), "test": test}
    before = Joined(pool)
    found = open_decoded(before, ABOUT)
    assert isinstance(found, Joined)
    assert reads(train, test) == 7 + 1
    assert (found.keys, found.positions()) == (before.keys, before.positions())
    assert all(same(found.read(i), before.read(i)) for i in range(7))
    reads(train, test)
    part = open_decoded(Subset(Subset(before, [6, 0, 3]), [2, 0]), ABOUT)
    assert reads(train, test) == 0  # a part of a union has the same shards
    assert all(same(part.read(i), before.read(j)) for i, j in enumerate((3, 6)))


def test_only_the_sensors_that_are_needed_are_kept(tmp_path: Path) -> None:
    samples = Counting(tmp_path / "a", 2)
    found = open_decoded(samples.only(["hr"]), ABOUT)
    assert list(found.read(0).images) == ["hr"]
    both = open_decoded(samples, ABOUT)
    assert same(both.read(1), samples.read(1))
    assert list(both.only(["s2"]).read(0).images) == ["s2"]


def test_corrected_labels_count_at_once_without_decoding_images(tmp_path: Path) -> None:
    samples = Counting(tmp_path / "a", 3)
    open_decoded(samples, ABOUT)
    reads(samples)
    (tmp_path / "a" / "a001.mask").write_bytes(b"\x63")
    found = open_decoded(samples, ABOUT)
    assert (found.target(1) == 0x63).all()
    assert (found.read(1).target == 0x63).all()
    assert reads(samples) == 1  # of the first, for the size
    assert set(samples.looks.values()) == {1}


@pytest.mark.parametrize("change", ["pixels", "tile"])
def test_other_images_are_decoded_anew(tmp_path: Path, change: str) -> None:
    samples = Counting(tmp_path / "a", 3)
    open_decoded(samples, ABOUT)
    reads(samples)
    about = ABOUT
    if change == "pixels":
        (tmp_path / "a" / "a001").write_bytes(b"\x63")
    else:
        about = {"dataset": ["toy", 1, 64]}
    found = open_decoded(samples, about)
    assert reads(samples) == 3 + 1
    assert same(found.read(1), samples.read(1))


def test_after_an_interruption_only_the_rest_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(decoded, "SHARD_BYTES", 1.0)  # an image a shard
    samples = Counting(tmp_path / "a", 4, 2)
    samples.damaged = {"a002"}
    with pytest.raises(DataError, match=r"a002 cannot be read; get it again"):
        open_decoded(samples, ABOUT)
    assert len(places()) == 4  # images and masks of the two before
    assert not list((folders.cache() / "decoded").rglob("*.tmp"))
    reads(samples)
    samples.damaged = set()
    found = open_decoded(samples, ABOUT)
    assert reads(samples) == 4 + 1
    assert all(same(found.read(i), samples.read(i)) for i in range(8))


def test_a_damaged_shard_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoded, "SHARD_BYTES", 1.0)
    samples = Counting(tmp_path / "a", 3)
    open_decoded(samples, ABOUT)
    image = next(p for p in places() if "targets" not in str(p))
    image.write_bytes(image.read_bytes()[:-3] + b"???")
    reads(samples)
    found = open_decoded(samples, ABOUT)
    assert reads(samples) == 1 + 1
    assert all(same(found.read(i), samples.read(i)) for i in range(3))


def test_without_the_disk_images_are_decoded_each_time_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SKYBENCH_DECODED_GB", "1e-7")
    samples = Counting(tmp_path / "a", 3)
    assert open_decoded(samples, ABOUT) is samples
    assert places() == []
    assert "Images are decoded each time they are read: 3 samples of Toy" in capsys.readouterr().err
    monkeypatch.setenv("SKYBENCH_DECODED_GB", "much")
    with pytest.raises(UsageError, match="expected a number of GB"):
        open_decoded(samples, ABOUT)


def test_the_budget_follows_the_free_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SKYBENCH_DECODED_GB", raising=False)
    free = shutil.disk_usage(folders.cache().parent).free
    assert decoded.budget() == pytest.approx(free / 2, rel=0.1)


def test_shards_are_used_only_where_all_are_there(tmp_path: Path) -> None:
    samples = Counting(tmp_path / "a", 3)
    assert open_existing(samples, ABOUT) is samples
    open_decoded(Subset(samples, [0, 2]), ABOUT)
    assert open_existing(samples, ABOUT) is samples
    open_decoded(samples, ABOUT)
    reads(samples)
    assert same(open_existing(samples, ABOUT).read(1), samples.read(1))
    assert reads(samples) == 1


def test_for_one_pass_only_tiles_are_decoded_before(tmp_path: Path) -> None:
    images, tiles = Counting(tmp_path / "a", 3), Counting(tmp_path / "b", 2, 2)
    assert decoded.open_for_one_pass(images, ABOUT) is images
    assert decoded.is_decoded(decoded.open_for_one_pass(tiles, ABOUT))
    open_decoded(images, ABOUT)
    assert decoded.is_decoded(decoded.open_for_one_pass(Subset(images, [2]), ABOUT))


def test_samples_of_one_place_are_no_tiles_where_each_is_an_image(tmp_path: Path) -> None:
    series = Counting(tmp_path / "a", 2, 2)  # groups of two
    series.whole_images = True
    for samples in (series, Subset(series, [0, 1]), Joined({"train": series})):
        assert decoded.open_for_one_pass(samples, ABOUT) is samples


def test_what_would_be_decoded_is_counted_and_nothing_is_written(tmp_path: Path) -> None:
    samples = Counting(tmp_path / "a", 3)
    assert decoded.count_missing(samples, ABOUT) == 3
    assert not (folders.cache() / "decoded").exists()
    open_decoded(Subset(samples, [1]), ABOUT)
    assert decoded.count_missing(samples, ABOUT) == 2
    assert decoded.count_missing(Subset(samples, [1]), ABOUT) == 0


def test_the_budget_shrinks_with_what_will_be_written(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SKYBENCH_DECODED_GB", raising=False)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=100.0))
    assert [decoded.budget(n) for n in (0.0, 60.0, 200.0)] == [50.0, 20.0, 0.0]
    monkeypatch.setenv("SKYBENCH_DECODED_GB", "3")
    assert decoded.budget(60.0) == 3e9


def test_samples_without_files_or_of_plain_ones_are_read_as_they_are(tmp_path: Path) -> None:
    samples = Counting(tmp_path / "a", 3)
    samples.plain = True
    assert open_decoded(Subset(samples, [1]), ABOUT).keys == samples.keys[1:2]
    assert places() == []
    samples.plain, samples.files = False, ()
    assert open_decoded(samples, ABOUT) is samples
    assert open_existing(samples, ABOUT) is samples


def test_worker_processes_write_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoded, "SHARD_BYTES", 1.0)
    monkeypatch.setattr(decoding, "FEW_BYTES", 0.0)
    samples, told = Counting(tmp_path / "a", 4, 2), list[tuple[str, int, int]]()
    found = open_decoded(samples, ABOUT, lambda *now: told.append(now), rank=1, ranks=2)
    assert isinstance(found, Decoded)
    assert reads(samples) == 1
    assert told == [("decode", n, 8) for n in (0, 2, 4, 6, 8)]
    assert all(same(found.read(i), samples.read(i)) for i in range(8))
    samples.damaged = {"a001"}
    with pytest.raises(DataError, match=r"a001 cannot be read; get it again$"):
        open_decoded(samples, {"dataset": ["other"]})


def test_sensors_in_a_sample_may_be_changed_without_harm(tmp_path: Path) -> None:
    samples = Counting(tmp_path / "a", 1)
    found = open_decoded(samples, ABOUT)
    found.read(0).images["hr"].fill_(9)
    assert same(found.read(0), samples.read(0))
    assert torch.equal(found.read(0).images["hr"], samples.read(0).images["hr"])
