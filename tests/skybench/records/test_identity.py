"""Records of other images or labels are told apart; old ones without contents are marked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from skybench.core import Record
from skybench.records import identity

Made = Callable[..., Record]
ONE, OTHER = ({"train": "aaa111" * 2, "test": c * 12} for c in "bc")


def record(content: dict[str, str] | None = None, **changes: Any) -> Record:
    recipe = {"protocol": "knn", "label": "roads", "train": "train", "test": "test"}
    splits = {"test": {"sha256": "5" * 64}, "train": {"sha256": "6" * 64}}
    used = {"sensors": ["hr"], "splits": splits, **({"content": content} if content else {})}
    made = Record("m", "scene_classification", "folder", recipe, "measured", "real", "f",
                  {"oa": 50.0}, used=used, made="2026")  # fmt: skip
    return replace(made, **changes)


def labels(*records: Record) -> list[str]:
    return [identity.place_label(r) for r in identity.with_identity(records)]


def test_one_content_has_no_label() -> None:
    assert labels(record(ONE), record(ONE)) == ["roads", "roads"]
    assert labels(record(), record()) == ["roads", "roads"]


def test_two_contents_of_one_name_are_told_apart() -> None:
    assert labels(record(ONE), record(OTHER), record(ONE)) == [
        "roads [bbbbbb]", "roads [cccccc]", "roads [bbbbbb]",
    ]  # fmt: skip
    elsewhere = record(OTHER, dataset="other")
    assert labels(record(ONE), elsewhere) == ["roads", "roads"]


def test_the_label_is_of_the_split_that_differs() -> None:
    new = {**ONE, "train": "dddddd" * 2}
    assert labels(record(ONE), record(new)) == ["roads [aaa111]", "roads [dddddd]"]


def test_old_records_of_folders_are_marked_and_stay_apart_from_new_ones() -> None:
    old, new = identity.with_identity([record(), record(ONE)])
    assert old.flags == [identity.BY_NAMES]
    assert new.flags == []
    assert labels(old, new) == ["roads [contents unknown]", "roads [bbbbbb]"]
    assert identity.content_key(old) != identity.content_key(new)
    official = record(dataset="aid")
    assert identity.with_identity([official]) == [official]


def test_old_records_of_folders_with_other_file_names_stay_apart() -> None:
    splits = {"test": {"sha256": "7" * 64}, "train": {"sha256": "6" * 64}}
    other = record(used={"sensors": ["hr"], "splits": splits})
    assert labels(record(), other) == ["roads [555555]", "roads [777777]"]
    assert identity.content_key(record()) != identity.content_key(other)


@pytest.mark.parametrize("changes", [{"data": "demo"}, {"status": "failed", "scores": {}}])
def test_simulated_data_and_what_did_not_run_need_no_content(changes: dict[str, Any]) -> None:
    plain = record(**changes)
    assert identity.with_identity([plain]) == [plain]
    assert labels(plain, record(ONE, **changes)) == ["roads", "roads"]


def test_other_splits_and_options_are_no_other_content() -> None:
    """They are other recipes, with rows of their own."""
    recipe = {**record().recipe, "train": "trainval"}
    assert labels(record(ONE), record({**ONE, "train": "9" * 12}, recipe=recipe)) == ["roads"] * 2
    recipe = {**record().recipe, "options": ["dates=weekly"]}
    assert labels(record(ONE), record(OTHER, recipe=recipe)) == ["roads"] * 2


def test_it_can_be_repeated_on_any_part() -> None:
    both = identity.with_identity([record(ONE), record(OTHER)])
    assert identity.with_identity(both) == both
    assert identity.with_identity(both[:1]) == [record(ONE)]


def test_versions_of_reader_and_metric_are_text() -> None:
    cards = {"cards": {"model": 3, "dataset": 2, "task": 1}}
    assert identity.card_versions(record(used=cards)) == "dataset 2, task 1"
    cards["cards"]["protocol"] = 2
    assert identity.card_versions(record(used=cards)) == "dataset 2, task 1, protocol 2"
    assert identity.card_versions(record()) == ""
