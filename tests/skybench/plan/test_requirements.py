"""What must hold before a cell can run."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from skybench.core import CannotRun, SkybenchError, registry
from skybench.plan import requirements
from skybench.plan.planner import Planner
from skybench.plan.request import Request
from skybench.runner.run_cells import run_cells

DEMO = Request(models=["rcf"], tasks=["scene_classification"], datasets=["eurosat"], data="demo")


def class_folder(root: Path) -> Path:
    """Two classes of six seeded images each."""
    for name, level in (("field", 40), ("water", 200)):
        (root / name).mkdir(parents=True)
        for i in range(6):
            Image.new("RGB", (32, 32), (level, level + i, 0)).save(root / name / f"{name}{i}.png")
    return root


@pytest.mark.parametrize("error", [KeyError(99), RuntimeError("broken"), MemoryError()])
def test_a_damaged_dataset_costs_its_own_cells(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin = registry.load("datasets", "folder")
    opened = plugin.open

    def breaking(root: Path, *given: Any, **named: Any) -> Any:
        if root.name == "bad":
            raise error
        return opened(root, *given, **named)

    monkeypatch.setattr(plugin, "open", breaking)
    good, bad = class_folder(tmp_path / "good"), class_folder(tmp_path / "bad")
    request = Request(
        models=["rcf"], tasks=["scene_classification"], variant="tiny", protocol="knn",
        datasets=[f"folder:{bad}", f"folder:{good}"], results=tmp_path / "runs",
    )  # fmt: skip
    first, second = run_cells(request)
    assert (first.status, second.status) == ("failed", "measured")
    assert str(bad) in first.note
    assert "cannot be opened" in first.note
    assert "KeyError(99)" not in first.note
    assert len([*(tmp_path / "runs").rglob("*.json")]) == 1
    with pytest.raises(SkybenchError, match="cannot be opened"):  # where nothing is left to run
        run_cells(replace(request, datasets=[f"folder:{bad}"]))


def test_keyboard_interrupts_pass(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(registry.load("datasets", "eurosat"), "open", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Planner(DEMO).cells()


def test_a_damaged_dataset_is_opened_once(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []

    def breaking(*given: Any, **_: Any) -> None:
        asked.append(given)
        raise ValueError("not a list")

    monkeypatch.setattr(registry.load("datasets", "eurosat"), "open", breaking)
    cells = Planner(replace(DEMO, models=["rcf", "image_stats", "imagenet"])).cells()
    assert {(c.status, c.lacks) for c in cells} == {("unavailable", "damaged")}
    assert len(asked) == 1


def test_absent_data_asked_for_by_name_end_the_run(tmp_path: Path) -> None:
    good = class_folder(tmp_path / "good")
    names = [f"folder:{good}", f"folder:{tmp_path / 'absent'}"]
    cells = Planner(replace(DEMO, data="", datasets=names)).cells()
    assert [c.lacks for c in cells] == ["", "data"]
    with pytest.raises(SkybenchError, match="absent"):
        requirements.require_available(cells, replace(DEMO, datasets=names))


def test_splits_and_combinations_that_cannot_be_are_refused() -> None:
    (cell,) = Planner(DEMO).cells()
    wrong = replace(cell, recipe=replace(cell.recipe, train="all"), overridden=("train",))
    with pytest.raises(CannotRun, match="no split 'all' for train"):
        requirements.require_splits(wrong, cell.splits["test"].card)
    requirements.require_splits(cell, cell.splits["test"].card)
    requirements.require_sense(cell)
    with pytest.raises(CannotRun, match="no protocol none"):
        requirements.require_sense(replace(cell, recipe=replace(cell.recipe, protocol="none")))


def test_states_where_there_are_none_to_choose_from_are_refused() -> None:
    (cell,) = Planner(DEMO).cells()
    card = cell.splits["test"].card
    best = replace(cell, recipe=replace(cell.recipe, state="best-on-test"))
    with pytest.raises(CannotRun, match="not trained in steps"):
        requirements.require_sense(best)
    requirements.require_sense(replace(cell, recipe=replace(cell.recipe, state="last")))
    requirements.require_splits(best, card)
    withheld = replace(card, unlabelled=(cell.recipe.test,))
    with pytest.raises(CannotRun, match="so not to choose on"):
        requirements.require_splits(best, withheld)
