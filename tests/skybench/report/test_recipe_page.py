from __future__ import annotations

import pytest

from skybench.core.sourced_recipe import ASPECTS
from skybench.plan import recipe_text
from skybench.report.recipe_page import recipe_page, table


@pytest.fixture(scope="module")
def page() -> str:
    return recipe_page()


def test_cells_of_a_table_may_hold_bars() -> None:
    assert table(("a", "b"), [(1, "x|y")]) == ["| a | b |", "| --- | --- |", "| 1 | x\\|y |", ""]


def test_every_recipe_by_name_has_its_section(page: str) -> None:
    for task, card in recipe_text.task_datasets():
        place = card.name if len(card.tasks) == 1 else f"{task.name}/{card.name}"
        for sourced in card.setup(task.name).sourced:
            assert f"### `{place}:{sourced.name}`\n" in page
            assert page.count(f"| `{place}:{sourced.name}` |") == 1


def test_a_section_has_value_verdict_and_place_of_every_aspect(page: str) -> None:
    section = page.partition("### `isaid:official`\n")[2].partition("\n### ")[0]
    assert "Official: Bili-Sakura/SkySense@107d4e0:segmentation/configs/" in section
    for aspect in ASPECTS:
        assert section.count(f"\n| {aspect} | ") == 1
    assert "| lr | 6e-05 | agrees | segmentation/configs/swin_transformer_v2/" in section
    assert "| precision | tf32 | agrees |" in section


def test_recipes_of_a_protocol_are_told_too(page: str) -> None:
    assert "### `frozen:pangaea`\n" in page


def test_what_was_false_is_not_said_any_more(page: str) -> None:
    for phrase in ("no source that was seen says otherwise", "2 images on each of 8 GPUs (one on"):
        assert phrase not in page
