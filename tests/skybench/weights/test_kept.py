"""Weights that a training here kept are read back as what they are."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from skybench.core import WeightsError
from skybench.core.loaded import sample_hash
from skybench.training.checkpoints import KEPT_FILE, Checkpoints
from skybench.weights.kept import read_kept
from skybench.weights.load import load_model

TRAIN = [sample_hash("aid", key) for key in ("a", "b")]


def about(**changes: Any) -> dict[str, Any]:
    told = {
        "model": "galileo", "variant": "tiny", "arch": "{}", "title": "AID", "images": "aid",
        "train": torch.tensor(TRAIN),
    }  # fmt: skip
    return {**told, **changes}


def kept(folder: Path, told: dict[str, Any], part: str = "backbone/") -> Path:
    model = load_model("galileo", "random", "tiny", 3)
    state = {f"{part}{key}": tensor for key, tensor in model.state_dict().items()}
    state["head/weight"] = torch.ones(3)
    assert Checkpoints(folder, {}, writes=True).save_weights(state, told) == ""
    return folder / KEPT_FILE


@pytest.mark.parametrize("variant", ["tiny", "full"])
def test_kept_weights_are_loaded_and_say_their_training(variant: str, tmp_path: Path) -> None:
    model = load_model("galileo", kept(tmp_path, about()), variant)
    expected = load_model("galileo", "random", "tiny", 3).state_dict()
    assert all(torch.equal(x, expected[key]) for key, x in model.state_dict().items())
    assert model.loaded.note == "fine-tuned on AID"
    tuned = model.loaded.fine_tuned
    assert tuned is not None
    assert (tuned.title, tuned.image_sources) == ("AID", ("aid",))
    assert tuned.overlap("aid", ["b", "c"]) == 1
    assert tuned.overlap("eurosat", ["a", "b"]) == 0


def test_the_content_of_a_kept_file_is_read_too(tmp_path: Path) -> None:
    content = torch.load(kept(tmp_path, about()), weights_only=True)
    tuned = load_model("galileo", content, "tiny").loaded.fine_tuned
    assert tuned is not None
    assert tuned.title == "AID"


def test_settings_of_the_network_are_kept(tmp_path: Path) -> None:
    settings: dict[str, Any] = {"dim": 48, "depth": 1, "heads": 2}
    state = load_model("galileo", "random", "tiny", **settings).state_dict()
    told = about(arch=json.dumps(settings))
    Checkpoints(tmp_path, {}, True).save_weights(
        {f"backbone/{k}": x for k, x in state.items()}, told
    )
    assert load_model("galileo", tmp_path / KEPT_FILE).card.dim == 48


def test_another_model_or_variant_is_refused(tmp_path: Path) -> None:
    file = kept(tmp_path, about())
    with pytest.raises(WeightsError, match=r"on AID, as galileo \(tiny\), not as presto"):
        load_model("presto", file)
    file = kept(tmp_path, about(variant="full"))
    with pytest.raises(WeightsError, match="Give --model galileo --variant full"):
        load_model("galileo", file, "tiny")


def test_a_head_alone_is_refused(tmp_path: Path) -> None:
    with pytest.raises(WeightsError, match="holds a trained head only"):
        load_model("galileo", kept(tmp_path, about(), "head/"), "tiny")


@pytest.mark.parametrize("told", [None, 3, {}, {"arch": "{", "train": [1], "images": None}])
def test_a_file_of_a_former_version_or_a_damaged_one_is_read(told: Any) -> None:
    content = {"skybench": told, "backbone/a": torch.ones(1), "head/b": torch.ones(1)}
    found = read_kept(content, "it")
    assert found is not None
    assert list(found[0]) == ["a"]
    assert found[1].training.title == "an unnamed dataset"
    found[1].require_model("any", "full")


def test_other_files_are_not_taken_for_kept_ones() -> None:
    assert read_kept({"model": {"a": torch.ones(1)}}, "it") is None
    assert read_kept({"backbone/a": torch.ones(1), "b": torch.ones(1)}, "it") is None
    assert read_kept([torch.ones(1)], "it") is None
