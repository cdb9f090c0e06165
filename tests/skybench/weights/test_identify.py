from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import Tensor

from skybench.core import registry
from skybench.weights import identify
from skybench.weights.load import load_model

GOLDENS = Path(__file__).parents[2] / "goldens"


def published(case: str, prefix: str = "") -> dict[str, Tensor]:
    """The authors' keys, without memory."""
    keys = json.loads((GOLDENS / f"{case}.keys.json").read_text())["keys"]
    return {
        prefix + key: torch.empty(entry["shape"], device="meta")
        for key, entry in keys.items()
        if entry["fill"] == "fill"
    }


def titles(state: dict[str, Tensor], among: str = "") -> list[str]:
    return [
        m.title for m in identify.identify_weights(state) if m.card.name in (among or m.card.name)
    ]


@pytest.mark.parametrize(
    ("case", "title"),
    [
        ("galileo_nano", "galileo (full; encoder.pt)"),
        ("satmae_group_large", "satmae (multispectral; pretrain-vit-large-e199.pth)"),
        ("cmid_swinb", "cmid (swin_b; "),
        ("decur_rn50_rda_s2", "decur (resnet50_rda_s2; "),
        ("satmae_temporal_large", "satmae (temporal; "),
        ("skysense_s2_large", "skysense (full; skysense_model_backbone_s2.pth)"),
    ],
)
def test_published_keys_are_recognised(case: str, title: str) -> None:
    (found,) = titles(published(case))
    assert found.startswith(title)


def test_a_joint_file_goes_by_the_models_file_name() -> None:
    (found,) = titles(published("skysense_s2_large", "backbone_s2."))
    assert found == "skysense (full; skysense_model_backbone_hr.pth)"


def test_parts_that_keys_do_not_tell_apart_are_all_named() -> None:
    (first, second) = titles(published("skysense_uphead"))
    assert "head_s2" in first
    assert "head_s1" in second


def test_a_network_that_models_share_fits_them_all() -> None:
    found = titles(published("seco_resnet50"))
    assert len(found) > 1
    assert any(title.startswith("seco (resnet50, resnet50_hr; ") for title in found)
    parallel = {f"module.{k}": v for k, v in published("seco_resnet50").items()}
    assert titles(parallel) == found


def test_a_file_without_its_stem_is_not_recognised() -> None:
    state = published("galileo_nano")
    assert titles({k: v for k, v in state.items() if "S2_RGB" not in k}) == []
    assert titles({"a": torch.ones(3)}) == []


def test_only_one_model_can_be_asked() -> None:
    state = published("seco_resnet50")
    assert [m.card.name for m in identify.matching_files("seco", state)] == ["seco"]
    assert identify.matching_files("galileo", state) == []
    assert identify.matching_files("rcf", state) == []


def test_what_weights_are_is_said_where_they_do_not_fit() -> None:
    assert identify.model_hint({"a": torch.ones(3)}) == ""
    model = load_model("galileo", "random")
    state = {k.removeprefix("net."): v for k, v in model.state_dict().items()}
    with pytest.raises(
        Exception, match=r"do not fit presto.*They are the weights of galileo \(full; enc"
    ):
        load_model("presto", state)


def test_every_card_can_be_asked() -> None:
    for name in registry.names("baselines"):
        assert identify.matching_files(name, {"a": torch.ones(3)}) == []


def test_a_file_given_for_a_reduced_network_names_its_variant() -> None:
    state = {k: torch.zeros(v.shape) for k, v in published("galileo_nano").items()}
    with pytest.raises(Exception, match=r"loaded\. They fit --variant full, as published\. Give"):
        load_model("galileo", state, "tiny")
