"""Labels of records: flag marks, footnotes and settings."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from skybench.core import FAULTS, FLAGS, Record
from skybench.records import labels

RECIPE: dict[str, Any] = {"protocol": "knn", "seeds": 1, "fraction": 1.0, "limit": 0}
RECORD = Record("m", "scene_classification", "aid", RECIPE, "measured", "real", "f" * 64)


def test_every_flag_has_a_mark_of_its_own() -> None:
    assert set(labels.MARKS) == set(FLAGS)
    assert len(set(labels.MARKS.values())) == len(labels.MARKS)


def test_marks_stand_behind_a_score_and_are_explained_once() -> None:
    assert labels.flag_marks([]) == ""
    assert labels.flag_marks(["limited", "of another version", "nominal units"]) == " (lu)"
    (note,) = labels.footnotes(["limited", "limited"])
    assert note == "(l) limited: on a part of the data only."


def test_the_flag_of_red_scores_is_a_fault() -> None:
    assert labels.RED in FAULTS
    assert labels.flag_marks([labels.RED]) == " (q)"


def test_only_settings_that_differ_are_named() -> None:
    assert labels.settings_label(RECORD) == ""
    recipe = {**RECIPE, "fraction": 0.1, "limit": 50, "seeds": 3, "sensors": ["s1", "s2"]}
    changed = replace(RECORD, recipe=recipe, used={"arch": {"patch": 8}})
    assert labels.recipe_label(changed) == "fraction=0.1 limit=50 seeds=3 s1+s2"
    assert labels.settings_label(changed) == "fraction=0.1 limit=50 seeds=3 s1+s2 patch=8"


def test_changed_lists_read_as_words() -> None:
    recipe = {**RECIPE, "augment": ["flip", "resize_crop=0.5,2"], "epochs": 8}
    changed = replace(RECORD, recipe=recipe, used={"overridden": ["augment", "epochs"]})
    assert labels.recipe_label(changed) == "augment=flip+resize_crop=0.5,2 epochs=8"


def test_an_option_is_named_with_its_value() -> None:
    recipe = {**RECIPE, "options": ["labels=fine", "year=2018"]}
    changed = replace(RECORD, recipe=recipe, used={"overridden": ["year"]})
    assert labels.recipe_label(changed) == "year=2018"


def test_weights_are_named_by_their_hash() -> None:
    for given, label in (("ab" * 32, "abababab"), ("random", "random")):
        assert labels.weights_label(replace(RECORD, used={"weights": given})) == label
    assert labels.weights_label(RECORD) == "none"
