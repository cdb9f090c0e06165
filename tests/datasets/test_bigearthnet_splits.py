"""Which patches of BigEarthNet are in which split."""

from __future__ import annotations

import importlib
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from skybench.core import DataError, registry
from skybench.core.fingerprint import fingerprint_keys
from skybench.data import simulation, split_lists
from skybench.data.split_lists import MissingFilesError, SplitList
from skybench.data.verify import verify_dataset

from ._pairs import S2, facts, write_pairs


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("ben"))


@pytest.fixture
def root(written: Path, tmp_path: Path) -> Path:
    """A copy of the demo data to damage."""
    return shutil.copytree(written, tmp_path / "ben_mm")


def _unmarked(root: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """The folder as if it were real data, with lists of its own that pass for the official ones."""
    (root / simulation.MARKER).unlink()
    names = sorted(path.name for path in (root / S2).iterdir())
    lists = {"train": names[:30], "val": names[30:37], "test": names[37:]}
    (root / "splits").mkdir()
    for split, own in lists.items():
        (root / "splits" / f"{split}.csv").write_text("".join(f"{n}\n" for n in reversed(own)))
    known = {s: SplitList(f"{s}.csv", len(n), fingerprint_keys(n)) for s, n in lists.items()}
    monkeypatch.setattr(facts, "LISTS", known)
    return lists


def test_official_lists_are_followed_and_a_tenth_is_drawn_as_by_seco(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lists = _unmarked(root, monkeypatch)
    ben_s2 = registry.load("datasets", "ben_s2")
    for split, names in lists.items():
        samples = ben_s2.open(root, split)
        assert list(samples.keys) == names
        assert samples.split.source.startswith("official list")
    drawn = np.random.default_rng(42).choice(range(30), 3)
    tenth = ben_s2.open(root, "train10")
    assert list(tenth.names["s2"]) == [lists["train"][i] for i in drawn]
    assert tenth.split.source.startswith("official list")
    assert "seed 42" in tenth.split.source
    gone = lists["test"][3]
    shutil.rmtree(root / S2 / gone)
    with pytest.raises(MissingFilesError) as error:
        ben_s2.open(root, "test")
    assert error.value.files == (f"{S2}/{gone}",)


def test_a_patch_that_is_drawn_twice_has_two_keys(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parts = importlib.import_module("skybench.datasets._readers.bigearthnet_splits")
    monkeypatch.setattr(parts, "TENTH", 2.0)
    samples = registry.load("datasets", "ben_s2").open(root, "train10")
    assert len(samples) == len(set(samples.keys)) == 40
    twice = next(key for key in samples.keys if key.endswith("#2"))
    first, second = (samples.keys.index(key) for key in (twice.removesuffix("#2"), twice))
    assert torch.equal(samples[first].images["s2"], samples[second].images["s2"])
    assert samples[second].key == twice


def test_the_published_lists_are_known(shared: Path, tmp_path: Path) -> None:
    folder = shared / "realdata" / "official_splits" / "bigearthnet_v1"
    copies = shutil.copytree(folder, tmp_path / "splits")
    known = {**facts.LISTS, **facts.SPOILT}
    found = split_lists.official_lists("ben_s2", known, copies.parent)
    assert found is not None
    assert {split: len(names) for split, names in found.items()} == {
        split: expected.count for split, expected in known.items()
    }
    assert facts.SPLITS["train10"] == int(0.1 * facts.SPLITS["train"])


def test_secos_splits_need_lists_and_say_which(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lists = _unmarked(root, monkeypatch)
    ben_s2 = registry.load("datasets", "ben_s2")
    assert ben_s2.splits(root) == [*facts.SPLITS]
    told = [finding.message for finding in verify_dataset("ben_s2", root, sample=1)]
    assert len(told) > 4
    assert not [message for message in told if "SeCo's split" in message]
    with pytest.raises(DataError, match=r"bigearthnet-val\.txt, patches_with_seasonal_snow\.csv"):
        ben_s2.open(root, "seco_val")
    spoilt = {"seasonal_snow": lists["train"][:5], "cloud_and_shadow": lists["train"][5:7]}
    for what, names in spoilt.items():
        (root / "splits" / f"patches_with_{what}.csv").write_text("\n".join(names))
    known = {
        w: SplitList(f"patches_with_{w}.csv", len(n), fingerprint_keys(n))
        for w, n in spoilt.items()
    }
    monkeypatch.setattr(facts, "SPOILT", known)
    for part in ("train", "val"):
        text = "\n".join(reversed(lists[part]))
        (root / "splits" / f"bigearthnet-{part}.txt").write_text(text)
    assert ben_s2.splits(root) == [*facts.SPLITS, *facts.SECO]
    train = ben_s2.open(root, "seco_train")
    assert list(train.keys) == lists["train"][:6:-1]
    assert train.split.source.startswith("rule: SeCo's lists")
    assert list(ben_s2.open(root, "seco_val").keys) == lists["val"][::-1]
    drawn = np.random.default_rng(42).choice(range(23), 2)
    assert ben_s2.open(root, "seco_train10").names["s2"] == tuple(train.keys[i] for i in drawn)
