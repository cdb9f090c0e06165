"""Cards: former names of fields, and the source of a dataset's images."""

from __future__ import annotations

import pickle
from dataclasses import replace
from typing import Any

import pytest

from skybench.core import UINT8, DatasetCard, ModelCard, Sensor

HR = Sensor("hr", ("red", "green", "blue"), 0.5, UINT8)
FORMER: dict[str, Any] = {
    "row": "floor", "equals": "timm vit_large_patch16_224", "leads": ("a trap",),
    "sides": {"hr": (16, 4)},
}  # fmt: skip
FACTS: dict[str, Any] = {
    "name": "toy", "title": "Toy", "inputs": (HR,), "dim": 4, "levels": (), "paper": "ours",
    "code": "ours", "licence": "none",
}  # fmt: skip
DATA = DatasetCard("toy", "Toy", (), (HR,), ("a", "b"), {}, "ours", "none", "nothing", "none")


def test_a_model_card_takes_former_names_of_its_fields() -> None:
    card = ModelCard(**FACTS, **FORMER)
    assert (card.group, card.equivalent_to, card.caveats, card.input_sizes) == tuple(
        FORMER.values()
    )
    assert not hasattr(card, "row")


def test_a_dataset_card_takes_former_names_of_its_fields() -> None:
    facts = {name: getattr(DATA, name) for name in ("name", "title", "tasks", "sensors", "classes")}
    facts |= {name: getattr(DATA, name) for name in ("splits", "source", "licence", "obtain")}
    former: dict[str, Any] = {"yours": True, "leads": ("a trap",)}
    card = DatasetCard(**facts, layout="none", **former)
    assert (card.user_data, card.caveats) == (True, ("a trap",))


def test_a_field_and_its_former_name_cannot_both_be_given() -> None:
    both: dict[str, Any] = {**FACTS, "group": "extra", "row": "floor"}
    message = r"ModelCard: a field and its former name were given: row \(group\)"
    with pytest.raises(TypeError, match=message):
        ModelCard(**both)
    former: dict[str, Any] = {"row": "floor"}
    with pytest.raises(TypeError, match=message):  # it would change nothing
        replace(ModelCard(**FACTS, group="extra"), **former)


def test_an_unknown_field_is_refused() -> None:
    unknown: dict[str, Any] = {"rows": "floor"}
    with pytest.raises(TypeError, match="rows"):
        ModelCard(**FACTS, **unknown)


def test_a_card_can_be_replaced_pickled_and_compared() -> None:
    card = ModelCard(**FACTS, group="extra")
    assert replace(card, group="floor").group == "floor"
    assert pickle.loads(pickle.dumps(card)) == card


def test_the_source_of_images_is_the_dataset_unless_several_share_them() -> None:
    assert DATA.image_source == "toy"
    assert replace(DATA, images="dior").image_source == "dior"
