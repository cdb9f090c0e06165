"""Faults planted in whole runs: each must be flagged, and the same run without it must not be.

An adapter that exchanges bands or ignores its values is caught by `tests/contract/test_inputs.py`.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from skybench.cli import app
from skybench.core import FAULTS, FLAGS, Features, Record, Sample, registry
from skybench.core.dataset import Samples, Split, Subset
from skybench.data import batching
from skybench.data.demo_folder import demo_root
from skybench.features import extractor
from skybench.plan.planner import Planner
from skybench.plan.request import Request
from skybench.runner import run_cells, seed_run
from skybench.weights import load

Change = Callable[[Sample], Sample]


class Spoilt(Samples):
    """A split whose samples were changed after they were read."""

    def __init__(self, whole: Samples, change: Change, split: Split | None = None) -> None:
        self.whole, self.change = whole, change
        self.card, self.split, self.keys = whole.card, split or whole.split, whole.keys
        self.labels, self.files = whole.labels, whole.files

    def only(self, sensors: Any) -> Spoilt:
        fewer = Spoilt(self.whole.only(sensors), self.change, self.split)
        fewer.labels = self.labels
        return fewer

    def read(self, index: int) -> Sample:
        return self.change(self.whole.read(index))


@pytest.fixture
def run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Record]:
    """Runs one cell on the demo data of a dataset, its samples changed, with a cache of its own."""

    def call(
        model: str = "imagenet",
        dataset: str = "eurosat",
        change: Callable[[Samples], Samples] | None = None,
        **fields: Any,
    ) -> Record:
        root = fields.pop("root", None) or demo_root(dataset)
        with monkeypatch.context() as patch:
            patch.setenv("SKYBENCH_CACHE", str(tmp_path / "cache"))
            opened = Planner.open
            if change is not None:
                patch.setattr(Planner, "open", lambda *a: change(opened(*a)))
            request = Request(
                models=[model], tasks=["scene_classification"], datasets=[f"{dataset}:{root}"],
                results=tmp_path / "runs",
                **{"protocol": "knn", "variant": "tiny", "limit": 24, **fields},
            )  # fmt: skip
            record = run_cells.run_cells(request)[-1]
        shutil.rmtree(tmp_path / "cache", ignore_errors=True)
        assert record.status == "measured", record.note
        return record

    return call


def of_images(change: Callable[[torch.Tensor], torch.Tensor]) -> Callable[[Samples], Samples]:
    def changed(sample: Sample) -> Sample:
        images = {name: change(x) for name, x in sample.images.items()}
        return Sample(sample.key, images, sample.target, sample.days, sample.lonlat)

    return lambda samples: Spoilt(samples, changed)


def faults(record: Record) -> list[str]:
    return [f for f in record.flags if f in FAULTS]


@pytest.mark.parametrize(("model", "dataset"), [("imagenet", "eurosat"), ("rcf", "ben_s2"),
                                                ("imagenet", "fmow_s2")])  # fmt: skip
def test_a_healthy_run_is_not_flagged(run: Any, model: str, dataset: str) -> None:
    record = run(model, dataset)
    assert faults(record) == []
    assert record.used["alarms"] == {}
    assert record.note == ""


@pytest.mark.parametrize("times", [1, 2])
def test_values_over_255(run: Any, times: int) -> None:
    record = run(change=of_images(lambda x: x.float() / 255**times))
    assert {"implausible values", "collapsed features"} <= set(record.flags)
    assert "s2: nothing above" in record.note


def test_reflectance_of_0_to_1(run: Any) -> None:
    record = run("rcf", "ben_s2", of_images(lambda x: x.float() / 1e4))
    assert "implausible values" in record.flags


def test_bands_in_reverse(run: Any) -> None:
    record = run("rcf", "ben_s2", of_images(lambda x: x.flip(1)), limit=40)
    assert faults(record) == ["band order"]
    assert "in reverse" in record.note


def test_blue_and_red_exchanged_in_many_bands(run: Any) -> None:
    bands = list(registry.load("datasets", "ben_s2").CARD.sensors[0].bands)
    order = list(range(len(bands)))
    blue, red = bands.index("blue"), bands.index("red")
    order[blue], order[red] = red, blue
    record = run("rcf", "ben_s2", of_images(lambda x: x[:, order]))
    assert faults(record) == ["band order"]


def test_blue_and_red_exchanged_in_display_images_cannot_be_told_from_them(run: Any) -> None:
    assert faults(run(change=of_images(lambda x: x.flip(1)))) == []


def test_constant_features(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    cls = type(load.load_model("image_stats"))
    forward = cls.forward

    def constant(self: Any, batch: Any) -> Features:
        found = forward(self, batch)
        return Features(torch.ones_like(found.pooled), found.pyramid)

    monkeypatch.setattr(cls, "forward", constant)
    record = run("image_stats")
    assert {"collapsed features", "chance"} <= set(record.flags)
    assert "100 % of the 126 dimensions are constant" in record.note


def test_a_size_that_is_ignored(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert faults(run()) == []
    assert faults(run(overrides={"size": "64"})) == []  # the side as it is read
    assert faults(run(overrides={"size": "32"})) == []  # also of these the network sees 128
    collate = batching.collate
    monkeypatch.setattr(batching, "collate", lambda samples, _: collate(samples))
    monkeypatch.setattr(extractor, "resized", lambda batch, _: batch)
    record = run(overrides={"size": "48"})
    assert faults(record) == ["same features"]


def test_weights_that_are_ignored(run: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    assert faults(run("imagenet")) == []
    original = load.load_model
    seed_run._load.cache_clear()
    monkeypatch.setattr(load, "load_model", lambda name, *_, **__: original(name, None, "tiny"))
    record = run("imagenet", weights={"": "random"})
    seed_run._load.cache_clear()
    assert "same features" in record.flags
    assert "those of imagenet (tiny, 57934424" in record.note


def test_half_a_checkpoint_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    state = load.load_model("galileo", "random", "full").state_dict()
    half = dict(list(state.items())[: len(state) // 2])
    torch.save({k.removeprefix("net."): v for k, v in half.items()}, tmp_path / "half.pth")
    words = ["run", "--model", "galileo", "--task", "scene_classification", "--dataset", "eurosat",
             "--data", "demo", "--protocol", "knn", "--variant", "full", "--weights",
             f"{tmp_path / 'half.pth'}", "--results", str(tmp_path / "runs")]  # fmt: skip
    monkeypatch.setattr("sys.argv", ["skybench", *words])
    with pytest.raises(SystemExit) as end:
        app.main()
    assert end.value.code == 1
    assert "do not fit galileo: they match" in capsys.readouterr().out


def folder(root: Path, twins: int = 0) -> Path:
    """A user's folder of two classes with its own parts; some test images are of train."""
    rng = np.random.default_rng(0)
    for part, count in (("train", 20), ("test", 20)):
        for name, level in (("field", 60), ("water", 160)):
            (root / part / name).mkdir(parents=True)
            for i in range(count):
                pixels = rng.integers(level, level + 80, (8, 8, 3)).astype(np.uint8)
                image = Image.fromarray(pixels).resize((48, 48), Image.Resampling.BICUBIC)
                image.save(root / part / name / f"{part}_{name}_{i}.png")
    for i in range(twins):
        shutil.copy(root / f"train/water/train_water_{i}.png", root / f"test/water/copy_{i}.png")
    return root


def test_training_images_among_the_test_images(run: Any, tmp_path: Path) -> None:
    assert faults(run("image_stats", "folder", root=folder(tmp_path / "a"), limit=0)) == []
    record = run("image_stats", "folder", root=folder(tmp_path / "b", twins=3), limit=0)
    assert faults(record) == ["train images in test"]
    assert record.used["data"]["twins"]["exact"] == 3
    assert "3 of 43 test images are in train (3 exactly)" in record.note


def test_a_training_set_that_the_network_has_seen(
    run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = registry.load("baselines", "imagenet")
    monkeypatch.setattr(plugin, "CARD", replace(plugin.CARD, trained_on=("eurosat",)))
    assert faults(run()) == ["seen in pre-training"]


def test_an_official_split_that_is_cut_off(run: Any) -> None:
    def official(samples: Samples, count: int) -> Samples:
        kept = Subset(samples, range(count))
        split = Split(samples.split.name, "official list", samples.split.sha256, False)
        made = Spoilt(kept, lambda sample: sample, split)
        sizes = {"train": 126, "val": 42, "test": 42}
        made.card = replace(samples.card, splits=sizes)
        return made

    assert faults(run(change=lambda s: official(s, len(s)), limit=0)) == []
    record = run(change=lambda s: official(s, len(s) - 2), limit=0)
    assert faults(record) == ["incomplete split"]
    assert "test has 40 samples, published are 42" in record.note


def test_shuffled_labels(run: Any) -> None:
    def shuffled(samples: Samples) -> Samples:
        order = np.random.default_rng(0).permutation(len(samples))
        truth: Mapping[str, Any] = {
            samples.keys[i]: (samples.labels or ())[order[i]] for i in range(len(samples))
        }

        def changed(sample: Sample) -> Sample:
            return Sample(sample.key, sample.images, truth[sample.key])

        made = Spoilt(samples, changed)
        made.labels = tuple(truth[key] for key in samples.keys)
        return made

    assert faults(run(change=shuffled)) == ["chance"]


def test_strict_makes_a_fault_a_failure_and_leaves_conditions_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def ended(*words: str) -> tuple[int, str]:
        monkeypatch.setattr("sys.argv", ["skybench", "run", "--task", "scene_classification",
                                         "--protocol", "knn", "--results", str(tmp_path / "runs"),
                                         *words])  # fmt: skip
        with pytest.raises(SystemExit) as end:
            app.main()
        return int(str(end.value.code or 0)), capsys.readouterr().out

    wrong = [
        "--model",
        "image_stats",
        "--dataset",
        f"folder:{folder(tmp_path / 'set', twins=3)}",
    ]
    code, table = ended(*wrong)
    assert code == 0
    assert "(d" in table
    assert f"(d) train images in test: {FLAGS['train images in test']}." in table
    code, table = ended(*wrong, "--strict")  # it was done before
    assert code == 1
    assert "--strict: train images in test (3 of 43 test images are in train" in table
    code, table = ended(*wrong, "--strict", "--force")
    assert code == 1
    assert "failed" in table
    assert ended(*wrong)[0] == 0  # what failed is run again
    conditions = ["--model", "imagenet", "--dataset", "eurosat", "--data", "demo", "--size", "32",
                  "--limit", "40", "--strict"]  # fmt: skip
    code, table = ended(*conditions)
    assert code == 0
    assert "(lo)" in table
