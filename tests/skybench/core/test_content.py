"""The identity of a split: contents of files, settings of its sensors, labels."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from skybench.core import DataError, DatasetCard, Sample, Samples, Split
from skybench.core.content import content_of, join_contents, spread
from skybench.core.dataset import Joined, Subset

from ._sensors import RGB

pytestmark = pytest.mark.usefixtures("own_cache")
CARD = DatasetCard("toy", "Toy", (), (RGB,), ("a", "b"), {}, "ours", "none", "nothing", "none")
OWN = replace(CARD, user_data=True)


class Files(Samples):
    """A sample a file, with a label file beside it."""

    split = Split("train", "ours", "", False)

    def __init__(self, folder: Path, names: str = "abc", card: DatasetCard = OWN) -> None:
        self.card, self.keys = card, tuple(names)
        self.files = tuple(folder / f"{name}.tif" for name in names)
        self.label_files = tuple(folder / "labels" / f"{name}.png" for name in names)

    def read(self, index: int) -> Sample:
        raise NotImplementedError


def written(folder: Path, names: Sequence[str] = "abc") -> Path:
    (folder / "labels").mkdir(parents=True)
    for name in names:
        (folder / f"{name}.tif").write_bytes(name.encode() * 9)
        (folder / "labels" / f"{name}.png").write_bytes(name.encode() * 4)
        for path in (folder / f"{name}.tif", folder / "labels" / f"{name}.png"):
            os.utime(path, ns=(0, 315_532_800 * 10**9))  # 1980-01-01, as unpacked archives
    return folder


def test_equal_names_sizes_and_times_are_not_the_same_data(tmp_path: Path) -> None:
    one, other = written(tmp_path / "one"), written(tmp_path / "other")
    assert Files(one).content() == Files(other).content()
    (other / "b.tif").write_bytes(b"x" * 9)
    os.utime(other / "b.tif", ns=(0, 315_532_800 * 10**9))
    a, b = Files(one).content(), Files(other).content()
    assert (a.images == b.images, a.labels == b.labels) == (False, True)
    assert len(a.short) == 12
    assert a.short != b.short


def test_the_place_of_a_file_in_the_folder_counts(tmp_path: Path) -> None:
    folder = written(tmp_path)
    before = Files(folder).content()
    (folder / "a.tif").rename(folder / "x")
    (folder / "b.tif").rename(folder / "a.tif")
    (folder / "x").rename(folder / "b.tif")
    assert Files(folder).content().images != before.images


def test_of_published_data_a_sample_of_the_images_and_every_label_are_read(tmp_path: Path) -> None:
    names = [chr(i) for i in range(0x100, 0x100 + 99)]
    folder = written(tmp_path, names)
    samples = Files(folder, "".join(names), CARD)
    before = samples.content()
    assert before.sampled
    looked_at = spread(samples.files, 16)
    (folder / looked_at[7].name).write_bytes(b"other")
    assert samples.content().images != before.images
    own = Files(folder, "".join(names))
    before, left_out = own.content(), next(f for f in samples.files if f not in looked_at)
    assert not before.sampled
    left_out.write_bytes(b"other")
    assert own.content().images != before.images
    before = samples.content()
    (folder / "labels" / f"{names[50]}.png").write_bytes(b"other")
    assert samples.content().labels != before.labels


def test_settings_of_a_sensor_are_of_the_images_and_classes_of_the_labels(tmp_path: Path) -> None:
    samples = Files(written(tmp_path))
    before = samples.content()
    for sensor in (replace(RGB, gsd=9.0), replace(RGB, unit="dB"), replace(RGB, bands=("red",))):
        samples.card = replace(OWN, sensors=(sensor,))
        after = samples.content()
        assert (after.images != before.images, after.labels) == (True, before.labels)
    samples.card = replace(OWN, sensors=(replace(RGB, title="a remark"),))
    assert samples.content() == before
    for changed in (replace(OWN, classes=("b", "a")), OWN):
        samples.card, samples.description = changed, "" if changed != OWN else '{"ignored":[0]}'
        after = samples.content()
        assert (after.images, after.labels != before.labels) == (before.images, True)


def test_known_class_ids_count_by_key(tmp_path: Path) -> None:
    samples = Files(written(tmp_path))
    samples.label_files, samples.labels = None, (0, 1, 0)
    before = samples.content()
    samples.labels = (1, 0, 0)
    assert samples.content().labels != before.labels
    assert samples.content().images == before.images


def test_where_labels_are_not_told_apart_every_file_counts_as_one(tmp_path: Path) -> None:
    samples = Files(written(tmp_path), card=CARD)
    samples.label_files = None
    before = samples.content()
    (tmp_path / "b.tif").write_bytes(b"other")
    assert samples.content().labels != before.labels


def test_parts_and_unions_of_splits(tmp_path: Path) -> None:
    folder = written(tmp_path)
    train, test = Files(folder, "ab"), Files(folder, "c")
    assert Subset(train, [1]).content() == train.content()
    both = Joined({"train": train, "test": test}).content()
    assert both == Joined({"test": test, "train": train}).content()
    assert both == join_contents([test.content(), train.content()])
    assert Joined({"train": train}).content() == train.content() != both
    assert Joined({"a": train, "b": train}).content() == train.content()


def test_published_images_are_also_told_by_their_stamps(tmp_path: Path) -> None:
    folder = written(tmp_path)
    own, published = Files(folder), Files(folder, card=CARD)
    before = [own.images_identity(), published.images_identity()]
    os.utime(folder / "a.tif")
    after = [own.images_identity(), published.images_identity()]
    assert (after[0] == before[0], after[1] == before[1]) == (True, False)


def test_a_file_that_is_gone_is_named(tmp_path: Path) -> None:
    samples = Files(written(tmp_path))
    (tmp_path / "b.tif").unlink()
    with pytest.raises(DataError, match=r"b\.tif cannot be read \(No such file"):
        samples.content()


def test_the_sample_is_evenly_spread() -> None:
    files = [Path(str(i)) for i in range(31)]
    assert [int(p.name) for p in spread(files, 4)] == [0, 10, 20, 30]
    assert spread(files[:3], 4) == (*files[:3],)


def test_no_file_is_an_identity_too() -> None:
    one, other = (content_of(OWN, (), (), [text]) for text in ("a", "b"))
    assert (one.images, one.labels != other.labels) == (other.images, True)


class Told(Files):
    """Which tells the file of each sample."""

    def image_files(self, index: int) -> Sequence[Path]:
        return [self.files[index]]


def test_each_sample_is_told_by_its_own_files_and_the_sensors(tmp_path: Path) -> None:
    samples = Told(written(tmp_path))
    before = samples.image_contents()
    assert len(set(before)) == 3
    assert Subset(samples, [2, 0]).image_contents() == [before[2], before[0]]
    parts = {"x": Subset(samples, [2]), "y": Subset(samples, [0, 1])}
    assert Joined(parts).image_contents() == before
    (tmp_path / "b.tif").write_bytes(b"another")
    after = Told(tmp_path).image_contents()
    assert [a == b for a, b in zip(after, before, strict=True)] == [True, False, True]
    other = replace(OWN, sensors=(replace(RGB, gsd=9.0),))
    assert not {*Told(tmp_path, card=other).image_contents()} & {*after}
    (tmp_path / "b.tif").write_bytes((tmp_path / "a.tif").read_bytes())  # named otherwise
    assert len({*Told(tmp_path).image_contents()}) == 3


def test_nothing_is_said_of_each_sample_where_its_files_are_not_known(tmp_path: Path) -> None:
    assert Files(written(tmp_path)).image_contents() == []
    assert Told(tmp_path, card=CARD).image_contents() == []  # published: too many to look at
    assert Joined({"x": Told(tmp_path), "y": Files(tmp_path)}).image_contents() == []


def test_files_count_by_folder_then_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As pathlib sorts them, however they are given: by their text "b-" would precede "b/"."""
    names = ("b/z.tif", "b-/a.tif", "b c/a.tif", "b/a.tif", "a.tif")
    for name in names:
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    ordered = sorted(tmp_path / name for name in names)
    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in ordered]
    places = [path.relative_to(tmp_path).as_posix() for path in ordered]
    lines = [*(f"{p} {d}" for p, d in zip(places, digests, strict=True)), "[]"]
    expected = hashlib.sha256("".join(f"{line}\n" for line in lines).encode()).hexdigest()
    card = replace(OWN, sensors=())
    monkeypatch.chdir(tmp_path)
    for files in ([tmp_path / n for n in names], [Path(n) for n in reversed(names)]):
        assert content_of(card, files, [], None).images == expected
