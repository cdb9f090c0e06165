from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from skybench import demo, registry
from skybench.samples import fingerprint_keys
from skybench.splits import SplitList
from skybench.verify import Finding, verify


def _errors(findings: list[Finding]) -> list[str]:
    return [f.message for f in findings if f.level == "error"]


@pytest.fixture
def eurosat(tmp_path: Path) -> Path:
    registry.load("datasets", "eurosat").write_demo(tmp_path)
    return tmp_path


def test_demo_data_is_in_order_and_its_counts_are_not_compared(eurosat: Path) -> None:
    findings = verify("eurosat", eurosat, sample=4)
    assert {f.level for f in findings} == {"ok"}
    assert "train: 126 samples, ours: stratified" in findings[0].message
    assert "simulated data" in findings[0].message
    assert [f.message for f in findings if "decoded" in f.message] == [
        f"{split}: 4 samples decoded" for split in ("train", "val", "test")
    ]


def test_a_missing_folder_is_one_error(tmp_path: Path) -> None:
    (error,) = verify("aid", tmp_path / "aid")
    assert error.level == "error"
    assert "AID was not found" in error.message


def test_damaged_files_are_named(eurosat: Path) -> None:
    for path in (eurosat / "EuroSAT" / "2750" / "Forest").iterdir():
        path.write_bytes(path.read_bytes()[:400])
    errors = _errors(verify("eurosat", eurosat, sample=1000))
    assert len(errors) == 30
    assert "Forest_1.jpg cannot be read" in " ".join(errors)


def test_counts_of_real_data_are_compared_with_the_published_ones(eurosat: Path) -> None:
    plugin: ModuleType = registry.load("datasets", "eurosat")
    (eurosat / demo.MARKER).unlink()
    folders = {p.name for p in (eurosat / "EuroSAT" / "2750").iterdir()}
    for name in set(plugin.CARD.classes) - folders:
        (eurosat / "EuroSAT" / "2750" / name).mkdir()
    first = verify("eurosat", eurosat, sample=1)[0]
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
    findings = verify("aid", tmp_path)
    paths = {f.path.name for f in findings if f.message == "train20: missing"}
    assert paths == {f"train20_{i}.jpg" for i in range(7)}
    assert "train20: 7 files missing" in _errors(findings)


def test_samples_in_two_splits_of_one_ratio_are_an_error(
    eurosat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = registry.load("datasets", "eurosat")
    honest = plugin.open
    monkeypatch.setattr(
        plugin, "open", lambda root, split: honest(root, "val" if split == "test" else split)
    )
    (error,) = _errors(verify("eurosat", eurosat, sample=1))
    assert error.startswith("42 samples are in val and in test, among them AnnualCrop_")


def test_class_ids_out_of_range_are_found(eurosat: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    plugin = registry.load("datasets", "eurosat")
    honest = plugin.open

    def shifted(root: Path, split: str) -> object:
        samples = honest(root, split)
        samples.labels = tuple(7 for _ in samples.labels)
        return samples

    monkeypatch.setattr(plugin, "open", shifted)
    assert "has the class ids [7]" in _errors(verify("eurosat", eurosat, sample=1))[0]
