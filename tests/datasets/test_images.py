"""AID, RESISC45 and EuroSAT: folders of images by class, and their splits."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest
from PIL import Image

from skybench.core import DataError, UsageError, registry
from skybench.core.fingerprint import fingerprint_keys
from skybench.data import simulation
from skybench.data.split_lists import MissingFilesError, SplitList


@pytest.fixture
def aid() -> ModuleType:
    return registry.load("datasets", "aid")


def _tree(root: Path, plugin: ModuleType, each: int = 10) -> None:
    """All classes with tiny images, named as in AID; not marked as a demo."""
    for label, name in enumerate(plugin.CARD.classes):
        (root / name).mkdir(parents=True)
        for number in range(1, each + 1):
            colour = (label, number, 0)
            Image.new("RGB", (4, 4), colour).save(root / name / f"{name.lower()}_{number}.png")


def _lists(
    root: Path, plugin: ModuleType, monkeypatch: pytest.MonkeyPatch, ratio: int = 20
) -> dict[str, list[str]]:
    """Writes lists in another class order and with folders, and makes them the official ones."""
    names = {f"train{ratio}": [1, 2], f"test{ratio}": [3, 4, 5, 6, 7, 8, 9, 10]}
    chosen = {
        split: [f"{c.lower()}_{n}.png" for c in reversed(plugin.CARD.classes) for n in numbers]
        for split, numbers in names.items()
    }
    lists = dict(plugin.LISTS)
    (root / "splits").mkdir()
    for split, files in chosen.items():
        lines = [f"{f.split('_')[0]}/{f} X {i}\n" for i, f in enumerate(files)]
        (root / "splits" / lists[split].filename).write_text("".join(lines))
        fingerprint = fingerprint_keys(files)
        lists[split] = SplitList(lists[split].filename, len(files), fingerprint)
    monkeypatch.setattr(plugin, "LISTS", lists)
    return chosen


def test_without_lists_the_split_is_ours_and_says_so(aid: ModuleType, tmp_path: Path) -> None:
    _tree(tmp_path / "AID", aid)
    train, test = aid.open(tmp_path, "train"), aid.open(tmp_path, "test20")
    assert train.split.name == "train20"
    assert train.split.source == "ours: stratified 20 % per class, seed 0"
    assert not train.split.demo
    assert sorted(train.labels) == sorted(list(range(30)) * 2)
    assert len(test) == 240
    assert set(train.keys).isdisjoint(test.keys)


def test_the_class_is_that_of_the_folder_in_alphabetical_order(
    aid: ModuleType, tmp_path: Path
) -> None:
    _tree(tmp_path / "AID", aid, 5)
    for sample in aid.open(tmp_path, "test50"):
        assert int(sample.images["hr"][0, 0, 0, 0]) == sample.target


def test_official_lists_are_used_where_they_lie(
    aid: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _tree(tmp_path / "AID", aid)
    chosen = _lists(tmp_path, aid, monkeypatch)
    for split, names in chosen.items():
        samples = aid.open(tmp_path, split)
        assert samples.split.source == "official list: RVSA/SelectiveMAE tag 0"
        assert samples.split.sha256 == aid.LISTS[split].sha256
        assert sorted(samples.keys) == sorted(names)
        assert samples[7].target == int(samples[7].images["hr"][0, 0, 0, 0])
    assert aid.open(tmp_path, "train50").split.source.startswith("ours")


def test_files_of_the_list_that_are_not_there_are_all_kept_in_the_error(
    aid: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _tree(tmp_path / "AID", aid)
    _lists(tmp_path, aid, monkeypatch)
    for number in range(1, 11):
        (tmp_path / "AID" / "Pond" / f"pond_{number}.png").unlink()
    with pytest.raises(MissingFilesError, match="8 files are missing") as error:
        aid.open(tmp_path, "test20")
    assert error.value.files == tuple(sorted(f"pond_{n}.png" for n in range(3, 11)))


def test_demo_data_takes_no_official_list(
    aid: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _tree(tmp_path / "AID", aid)
    _lists(tmp_path, aid, monkeypatch)
    simulation.write_marker(tmp_path, "aid", 0)
    for root in (tmp_path, tmp_path / "AID"):  # the marker may lie one level up
        split = aid.open(root, "train20").split
        assert split.demo
        assert split.source.startswith("ours")


def test_a_folder_that_is_no_class_is_named(aid: ModuleType, tmp_path: Path) -> None:
    _tree(tmp_path / "AID", aid, 1)
    (tmp_path / "AID" / "Volcano").mkdir()
    with pytest.raises(DataError, match="Volcano is no class of it"):
        aid.open(tmp_path, "train20")


def test_a_missing_class_is_named_unless_the_data_is_a_demo(
    aid: ModuleType, tmp_path: Path
) -> None:
    for number in range(1, 4):
        (tmp_path / "AID" / "Park").mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4)).save(tmp_path / "AID" / "Park" / f"park_{number}.jpg")
    with pytest.raises(DataError, match=r"class folders Airport, .* are missing"):
        aid.open(tmp_path, "train50")
    simulation.write_marker(tmp_path, "aid", 0)
    assert aid.open(tmp_path, "train50").card.classes == ("Park",)


def test_a_file_name_that_occurs_twice_is_named(aid: ModuleType, tmp_path: Path) -> None:
    _tree(tmp_path / "AID", aid, 1)
    twin = tmp_path / "AID" / "Viaduct" / "pond_1.png"
    twin.write_bytes((tmp_path / "AID" / "Pond" / "pond_1.png").read_bytes())
    with pytest.raises(DataError, match=r"pond_1\.png lies twice .* in Pond and in Viaduct"):
        aid.open(tmp_path, "train20")


def test_an_empty_split_is_an_error(aid: ModuleType, tmp_path: Path) -> None:
    _tree(tmp_path / "AID", aid, 1)
    with pytest.raises(DataError, match=r"split 'train20' of AID .* is empty"):
        aid.open(tmp_path, "train20")


def test_a_class_folder_that_links_to_itself_does_not_hang(aid: ModuleType, tmp_path: Path) -> None:
    _tree(tmp_path / "AID", aid, 5)
    (tmp_path / "AID" / "Pond" / "loop").symlink_to(tmp_path / "AID")
    (tmp_path / "AID" / "Pond" / "self.png").symlink_to("self.png")
    assert len(aid.open(tmp_path, "train20")) == 30


def test_tiles_of_whole_images_are_refused(aid: ModuleType, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be cut into tiles of 64"):
        aid.open(tmp_path, "train20", 64)


def test_resisc45_knows_the_ten_per_cent_first(tmp_path: Path) -> None:
    resisc45 = registry.load("datasets", "resisc45")
    _tree(tmp_path / "NWPU-RESISC45", resisc45)
    assert resisc45.open(tmp_path, "train").split.name == "train10"
    assert len(resisc45.open(tmp_path / "NWPU-RESISC45", "train20")) == 90


@pytest.mark.parametrize("below", ["EuroSAT/2750", "2750", ""])
def test_eurosat_is_cut_60_20_20_without_lists(tmp_path: Path, below: str) -> None:
    eurosat = registry.load("datasets", "eurosat")
    _tree(tmp_path / below, eurosat)
    parts = [eurosat.open(tmp_path, split) for split in ("train", "val", "test")]
    assert [len(p) for p in parts] == [60, 20, 20]
    assert {p.split.source for p in parts} == {"ours: stratified 60/20/20 % per class, seed 0"}


def test_eurosat_takes_a_table_before_lists_before_its_own_rule(tmp_path: Path) -> None:
    eurosat = registry.load("datasets", "eurosat")
    _tree(tmp_path / "2750", eurosat)
    for split, number in (("train", 1), ("val", 2), ("test", 3)):
        (tmp_path / f"eurosat-{split}.txt").write_text(f"river_{number}.png\n")
    samples = eurosat.open(tmp_path, "val")
    assert samples.keys == ("river_2.png",)
    assert samples.split.source == "eurosat-val.txt of the folder"  # not the published content
    rows = (
        "path,class,class_id,split\nRiver/river_9.png,River,8,val\nRiver/river_8.png,River,8,test\n"
    )
    (tmp_path / "labels.csv").write_text(rows)
    samples = eurosat.open(tmp_path, "val")
    assert (samples.keys, samples.labels) == (("river_9.png",), (8,))
    assert samples.split.source == "labels.csv of the folder"


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ("path,split\n", "no column class"),
        ("path,class,split\nRiver/river_1.png,Forest,val\n", "calls River/river_1.png a Forest"),
        (
            "path,class,split\n" + "River/river_1.png,River,val\n" * 2,
            "names River/river_1.png twice",
        ),
        ("path,class,split\nRiver/gone.png,River,val\n", "1 files are missing .gone.png"),
    ],
)
def test_a_table_that_contradicts_the_folder_is_refused(
    tmp_path: Path, rows: str, message: str
) -> None:
    eurosat = registry.load("datasets", "eurosat")
    _tree(tmp_path, eurosat, 1)
    (tmp_path / "labels.csv").write_text(rows)
    with pytest.raises(DataError, match=message):
        eurosat.open(tmp_path, "val")


def test_a_table_or_list_in_another_encoding_is_named_and_excels_mark_passed_over(
    tmp_path: Path,
) -> None:
    eurosat = registry.load("datasets", "eurosat")
    _tree(tmp_path, eurosat, 1)
    rows = "path,class,split\nRiver/river_1.png,River,val\n"
    (tmp_path / "labels.csv").write_text(rows, encoding="utf-8-sig")
    assert eurosat.open(tmp_path, "val").keys == ("river_1.png",)
    (tmp_path / "labels.csv").write_text(f"{rows}é", encoding="latin-1")
    with pytest.raises(DataError, match=r"labels\.csv cannot be read .* expected UTF-8"):
        eurosat.open(tmp_path, "val")
    (tmp_path / "labels.csv").unlink()
    for split in eurosat.CARD.splits:
        (tmp_path / f"eurosat-{split}.txt").write_text("river_1.png\né", encoding="latin-1")
    with pytest.raises(DataError, match=r"eurosat-val\.txt cannot be read .* expected UTF-8"):
        eurosat.open(tmp_path, "val")


def test_a_list_that_names_an_image_twice_is_refused(tmp_path: Path) -> None:
    eurosat = registry.load("datasets", "eurosat")
    _tree(tmp_path, eurosat, 1)
    for split in eurosat.CARD.splits:
        (tmp_path / f"eurosat-{split}.txt").write_text("river_1.png\nforest_1.png\nriver_1.png\n")
    with pytest.raises(DataError, match=r"names river_1\.png twice"):
        eurosat.open(tmp_path, "val")


def test_the_real_chips_have_the_counts_of_their_table(shared: Path) -> None:
    eurosat = registry.load("datasets", "eurosat")
    root = shared / "realdata" / "eurosat_rgb"
    parts = {split: eurosat.open(root, split) for split in eurosat.CARD.splits}
    assert {s: len(p) for s, p in parts.items()} == {"train": 2000, "val": 800, "test": 1200}
    assert parts["test"].labels.count(9) == 120
    sample = parts["train"][0]
    assert sample.images["s2"].shape == (1, 3, 64, 64)
    # Mean of the full set by its README: 87.8 97.0 104.0.
    means = [parts["test"][i].images["s2"].float().mean((0, 2, 3)) for i in range(0, 1200, 10)]
    red, green, blue = (float(sum(m[c] for m in means)) / len(means) for c in range(3))
    assert (abs(red - 87.8) < 12, abs(green - 97) < 10, abs(blue - 104) < 10) == (True,) * 3
