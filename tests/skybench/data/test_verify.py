from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from skybench.core import Boxes, DataError, DatasetCard, Sample, Target, registry
from skybench.core.dataset import Samples, Split
from skybench.core.fingerprint import fingerprint_keys
from skybench.data import simulation
from skybench.data.split_lists import SplitList
from skybench.data.verify import Finding, _disjoint, verify_dataset


def _errors(findings: list[Finding]) -> list[str]:
    return [f.message for f in findings if f.level == "error"]


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("demo") / "eurosat"
    registry.load("datasets", "eurosat").write_demo(root)
    return root


@pytest.fixture
def eurosat(written: Path, tmp_path: Path) -> Path:
    """A copy of the demo data that a test may damage."""
    shutil.copytree(written, tmp_path, dirs_exist_ok=True)
    return tmp_path


def test_demo_data_is_in_order_and_its_counts_are_not_compared(eurosat: Path) -> None:
    findings = verify_dataset("eurosat", eurosat, sample=4)
    assert {f.level for f in findings} == {"ok"}
    assert "train: 126 samples, ours: stratified" in findings[0].message
    assert "simulated data" in findings[0].message
    assert [f.message for f in findings if "decoded" in f.message] == [
        f"{split}: 4 samples decoded" for split in ("train", "val", "test")
    ]


def test_a_missing_folder_is_one_error(tmp_path: Path) -> None:
    (error,) = verify_dataset("aid", tmp_path / "aid")
    assert error.level == "error"
    assert "AID was not found" in error.message


def test_damaged_files_are_named(eurosat: Path) -> None:
    for path in (eurosat / "EuroSAT" / "2750" / "Forest").iterdir():
        path.write_bytes(path.read_bytes()[:400])
    errors = _errors(verify_dataset("eurosat", eurosat, sample=1000))
    assert len(errors) == 30
    assert "Forest_1.jpg cannot be read" in " ".join(errors)


def test_counts_of_real_data_are_compared_with_the_published_ones(eurosat: Path) -> None:
    plugin: ModuleType = registry.load("datasets", "eurosat")
    (eurosat / simulation.MARKER).unlink()
    folders = {p.name for p in (eurosat / "EuroSAT" / "2750").iterdir()}
    for name in set(plugin.CARD.classes) - folders:
        (eurosat / "EuroSAT" / "2750" / name).mkdir()
    first = verify_dataset("eurosat", eurosat, sample=1)[0]
    assert first.level == "warning"  # a split of ours: an incomplete download, or a part on purpose
    assert "126 samples" in first.message
    assert "published: 16200" in first.message


def test_missing_files_of_a_list_are_findings_one_by_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = registry.load("datasets", "aid")
    for name in plugin.CARD.classes:
        (tmp_path / "AID" / name).mkdir(parents=True)
    (tmp_path / "splits").mkdir()
    lists = {}
    for split, entry in plugin.LISTS.items():
        names = [f"{split}_{i}.jpg" for i in range(7)]
        (tmp_path / "splits" / entry.filename).write_text("".join(f"{n} X 0\n" for n in names))
        lists[split] = SplitList(entry.filename, 7, fingerprint_keys(names))
    monkeypatch.setattr(plugin, "LISTS", lists)
    findings = verify_dataset("aid", tmp_path)
    paths = {f.path.name for f in findings if f.message == "train20: missing"}
    assert paths == {f"train20_{i}.jpg" for i in range(7)}
    assert "train20: 7 files missing" in _errors(findings)


def test_samples_in_two_splits_of_one_ratio_are_an_error(
    eurosat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = registry.load("datasets", "eurosat")
    honest = plugin.open
    monkeypatch.setattr(
        plugin, "open", lambda root, split, tile: honest(root, "val" if split == "test" else split)
    )
    (error,) = _errors(verify_dataset("eurosat", eurosat, sample=1))
    assert error.startswith("42 samples are in val and in test, among them AnnualCrop_")


@pytest.mark.parametrize(
    ("splits", "expected"),
    [
        ("train val test", {"train val", "train test", "val test"}),
        ("train20 test20 train50 test50", {"train20 test20", "train50 test50"}),
        ("train train10 val test", {"train val", "train test", "val test"}
            | {"train10 val", "train10 test"}),
        ("train val seco_train seco_train10 seco_val",
            {"train val", "seco_train seco_val", "seco_train10 seco_val"}),
        ("train val trainval test",
            {"train val", "train test", "val test", "trainval test"}),
        ("fold1 fold2 all", set()),
    ],
)  # fmt: skip
def test_splits_of_one_lineage_and_ratio_must_not_share_samples(
    splits: str, expected: set[str]
) -> None:
    assert {f"{a} {b}" for a, b in _disjoint(splits.split())} == expected


def test_options_reach_the_reader(eurosat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = registry.load("datasets", "eurosat")
    honest, seen = plugin.open, []

    def open_(root: Path, split: str, tile: int, **options: str) -> Samples:
        seen.append(options)
        samples: Samples = honest(root, split)
        return samples

    monkeypatch.setattr(plugin, "open", open_)
    verify_dataset("eurosat", eurosat, sample=1, options={"order": "b"})
    assert seen == [{"order": "b"}] * 3


NAN = float("nan")


@dataclass
class Polygons:
    """Another kind of objects than `core.Boxes`."""

    labels: list[int]
    polygons: list[list[tuple[float, float]]]


def _boxes(labels: list[int], corner: float = 1.0) -> Boxes:
    corners = torch.full((len(labels), 4, 2), corner)
    return Boxes(corners, torch.tensor(labels, dtype=torch.int64), torch.zeros(len(labels)).bool())


class _One(Samples):
    """A split of one sample."""

    def __init__(self, target: Any, facts: Mapping[str, Any]) -> None:
        self.truth, self.facts = target, facts

    def read(self, index: int) -> Sample:
        return Sample("k", {"s2": torch.zeros(3, 1, 2, 2)}, self.truth, **self.facts)


def _verify_one(
    monkeypatch: pytest.MonkeyPatch, target: Any, declared: Target | None = None, **facts: Any
) -> list[str]:
    """The errors for a dataset of three classes with one sample."""
    card = registry.load("datasets", "eurosat").CARD
    one = _One(target, facts)
    one.card = replace(card, classes=("a", "b", "c"), splits={"train": 1}, target=declared)
    one.keys, one.split = ("k",), Split("train", "official list", "0" * 64, False)
    _use(monkeypatch, one.card, lambda root, split, tile: one)
    return _errors(verify_dataset("one", Path()))


def _use(monkeypatch: pytest.MonkeyPatch, card: DatasetCard, open_: Callable[..., Samples]) -> None:
    plugin = ModuleType("one")
    plugin.__dict__.update(CARD=card, open=open_)
    monkeypatch.setattr(registry, "load", lambda kind, name: plugin)


def test_a_split_that_cannot_be_opened_spoils_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def open_(root: Path, split: str, tile: int) -> Samples:
        if split in ("train20", "test50"):
            raise DataError(f"no {split}")
        one.split = Split(split, "official list", "0" * 64, False)
        return one

    one, splits = _One(0, {}), dict.fromkeys(("train20", "test20", "train50", "test50"), 1)
    one.card, one.keys = replace(registry.dataset("eurosat").CARD, splits=splits), ("k",)
    _use(monkeypatch, one.card, open_)
    assert _errors(verify_dataset("one", Path())) == ["no train20", "no test50"]


def _bytes(*values: Any) -> torch.Tensor:
    return torch.tensor(values, dtype=torch.uint8)


@pytest.mark.parametrize(
    "target",
    [
        2,
        torch.tensor(2),
        _bytes(0, 1, 1),
        _bytes([0, 2], [255, 1]),
        _bytes([[0, 2], [255, 1]], [[1, 1], [1, 1]]),
        _boxes([0, 2, 2]),
        _boxes([]),
        Polygons([0, 1], [[(0, 0), (1, 1)], [(0, 0), (1, 1), (1, 0)]]),
        None,
        "some text",
        {"boxes": [NAN]},
        torch.tensor([[0.0, NAN], [-9.0, 1e6]]),  # NaN: nodata
        torch.tensor([0.5, 2.5]),  # values of the whole image
    ],
)
def test_every_kind_of_target_can_be_right(target: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _verify_one(monkeypatch, target) == []


@pytest.mark.parametrize(
    ("target", "problem"),
    [
        (3, "has the class ids [3], expected 0 to 2, or 255"),
        (-1, "has the class ids [-1], expected 0 to 2, or 255"),
        (0.5, "has the class ids [0.5], expected 0 to 2, or 255"),
        (_bytes(0, 1, 2), "has the class ids [2], expected 0 or 1"),
        (_bytes(0, 1, 255), "has the class ids [255], expected 0 or 1"),
        (_bytes(0, 1), "has 2 labels, expected one of each of the 3 classes"),
        (_bytes([0, 9]), "has the class ids [9], expected 0 to 2, or 255"),
        (_bytes([[0, 7]], [[8, 9]]), "has the class ids [7, 8, 9], expected 0 to 2, or 255"),
        (_boxes([0, 3]), "has the class ids [3], expected 0 to 2"),
        (_boxes([0, 255]), "has the class ids [255], expected 0 to 2"),
        (_boxes([0], NAN), "has corners that are not finite numbers"),
        (Polygons([0], [[(0, float("inf"))]]), "has polygons that are not finite numbers"),
        (torch.tensor([[0.0, float("inf")]]), "has 1 infinite values"),
        (torch.tensor([[NAN, NAN]]), "has no value: every element is nodata"),
    ],
)
def test_every_kind_of_target_can_be_wrong(
    target: Any, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert _verify_one(monkeypatch, target) == [f"train: k {problem}"]


@pytest.mark.parametrize(
    ("declared", "target", "problem"),
    [
        (Target("mask", 9), _bytes([0, 9]), ""),
        (Target("mask", 9), _bytes([0, 255]), "has the class ids [255], expected 0 to 2, or 9"),
        (Target("mask"), _bytes([0, 255]), "has the class ids [255], expected 0 to 2"),
        (Target("values", -99.0), torch.tensor([[-99.0, 255.0]]), ""),
        (Target("values", -99.0), torch.tensor([[-99.0, -99.0]]), "every element is nodata"),
        (Target("values", -99.0), torch.tensor([[NAN, 1.0]]), "has 50.0% NaN, expected -99 where"),
        (Target("values"), torch.tensor([[NAN, 1.0]]), "has 50.0% NaN, expected none"),
    ],
)
def test_targets_are_checked_by_the_declared_kind(
    declared: Target, target: Any, problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = _verify_one(monkeypatch, target, declared=declared)
    assert len(found) == bool(problem)
    assert problem in "".join(found)


@pytest.mark.parametrize(
    ("days", "lonlat", "problem"),
    [
        ([1, 2, 3], (13.4, 52.5), ""),
        ([1, 1, 3], (NAN, NAN), ""),
        ([5, -1, 6], (-180.0, -90.0), ""),  # -1: not known
        ([1, 3, 2], (0.0, 0.0), "has dates of s2 out of order"),
        ([1, 2], (0.0, 0.0), "has 3 images of s2, but 2 dates"),
        ([1, 2, 3], (52.5, 113.4), "lies at 52.5, 113.4, which are not longitude and latitude in"),
        ([1, 2, 3], (NAN, 1.0), "lies at nan, 1.0, which"),
        ([1, 2, 3], (600_000.0, 5e6), "lies at 600000.0, 5000000.0, which"),
    ],
)
def test_dates_ascend_and_places_are_on_earth(
    days: list[int], lonlat: tuple[float, float], problem: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = _verify_one(monkeypatch, 0, days={"s2": torch.tensor(days)}, lonlat=lonlat)
    assert len(found) == bool(problem)
    assert problem in "".join(found)


def test_class_ids_out_of_range_are_found(eurosat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = registry.load("datasets", "eurosat")
    honest = plugin.open

    def shifted(root: Path, split: str, tile: int) -> object:
        samples = honest(root, split)
        samples.labels = tuple(7 for _ in samples.labels)
        return samples

    monkeypatch.setattr(plugin, "open", shifted)
    assert "has the class ids [7]" in _errors(verify_dataset("eurosat", eurosat, sample=1))[0]
