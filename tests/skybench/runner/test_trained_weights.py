"""Trained weights say what they saw."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

from skybench.core import Batch, Features, ModelCard, Sample, Sensor
from skybench.core.loaded import FineTuned, LoadInfo, sample_hash
from skybench.core.model import Model
from skybench.core.sensors import UINT8
from skybench.records.labels import weights_label
from skybench.runner import trained_weights

from ._finetuned import run

HR, S2 = (Sensor(name, ("red",), 1.0, UINT8) for name in ("hr", "s2"))


class Plain(Model):
    def __init__(self) -> None:
        super().__init__(ModelCard("toy", "", "extra", (), 3, (), "", "", ""))

    def forward(self, batch: Batch) -> Features:
        raise NotImplementedError


@dataclass
class Split:
    keys: tuple[str, ...] = ("a", "b")
    image_source: str = "aid"
    title: str = "AID"

    @property
    def card(self) -> Any:
        return SimpleNamespace(image_source=self.image_source, title=self.title)

    def __len__(self) -> int:
        return len(self.keys)

    def read(self, index: int) -> Sample:
        return Sample("a", {"hr": torch.ones(1, 1, 8, 8, dtype=torch.uint8)}, 0)


def cell(split: Split | None = None, dataset: str = "aid") -> Any:
    own = split or Split()
    return SimpleNamespace(
        splits={"test": own, "train": own},
        dataset_id=dataset,
        model=SimpleNamespace(name="toy"),
        variant="full",
        arch={"weights": "ema", "depth": 3},
    )


def loaded(**facts: Any) -> Model:
    model = Plain()
    model.loaded = LoadInfo("file", **facts)
    return model


def tuned(dataset: str = "aid", keys: tuple[str, ...] = ("a", "x")) -> FineTuned:
    return FineTuned("AID", ("aid",), frozenset(sample_hash(dataset, k) for k in keys))


facts = trained_weights.weights_facts


def test_a_fine_tuned_network_names_its_dataset() -> None:
    own = facts(cell(Split(("c", "d"))), loaded(fine_tuned=tuned(), note="fine-tuned on AID"))
    assert own == {"weights_note": "fine-tuned on AID", "fine_tuned": "AID"}
    assert facts(cell(), loaded()) == {}
    assert facts(cell(), loaded(decided={"parts": ("hr",)})) == {"decided": {"parts": ["hr"]}}


def test_test_samples_that_were_trained_on_are_a_leak() -> None:
    assert facts(cell(), loaded(fine_tuned=tuned()))["leak"] == (
        "1 of 2 test samples were in the training on AID"
    )
    elsewhere = Split(("a", "b"), "eurosat", "EuroSAT")  # equal names of other images
    assert "leak" not in facts(cell(elsewhere, "eurosat"), loaded(fine_tuned=tuned()))


def test_images_of_the_same_source_may_be_a_leak() -> None:
    other = Split(("c",), "aid", "AID, cut anew")
    assert "has images of this source" in facts(cell(other), loaded(fine_tuned=tuned()))["leak"]
    elsewhere = Split(("c",), "eurosat", "EuroSAT")
    assert "leak" not in facts(cell(elsewhere, "eurosat"), loaded(fine_tuned=tuned()))


def test_a_file_that_saw_the_labels_is_a_leak() -> None:
    assert "labels of this dataset" in facts(cell(), loaded(trained_on=("aid",)))["leak"]
    assert facts(cell(), loaded(trained_on=("isaid",))) == {}


def test_what_is_written_beside_trained_weights_adds_up() -> None:
    first = trained_weights.about_training(cell(), loaded(decided={"grid": 4}), ["a", "b"])
    assert first["arch"] == '{"grid": 4, "depth": 3}'
    assert (first["title"], first["images"]) == ("AID", "aid")
    assert first["train"].tolist() == sorted(sample_hash("aid", key) for key in "ab")
    before = replace(tuned(), title="EuroSAT", image_sources=("eurosat",))
    after = trained_weights.about_training(cell(), loaded(fine_tuned=before), ["a"])
    assert (after["title"], after["images"]) == ("EuroSAT, then AID", "aid,eurosat")
    assert len(after["train"]) == 2


def test_weights_that_a_run_kept_are_measured_as_such(tmp_path: Path) -> None:
    run(tmp_path / "tuned", keep_weights=True, overrides={"epochs": "1"})
    (file,) = (tmp_path / "tuned").rglob("weights.pt")
    record = run(tmp_path / "again", protocol="knn", overrides={}, weights={"galileo": str(file)})
    assert record.used["fine_tuned"] == "EuroSAT RGB"
    assert "leak" not in record.used  # the test samples are others
    assert weights_label(record).endswith(", fine-tuned on EuroSAT RGB")
    assert record.cost["parameters"] <= record.cost["parameters_in_all"]
    leaking = run(
        tmp_path / "leak",
        protocol="knn",
        overrides={"test": "train"},
        weights={"galileo": str(file)},
    )
    assert "20 of 20 test samples were in the training" in leaking.used["leak"]
    assert "seen in pre-training" in leaking.flags
