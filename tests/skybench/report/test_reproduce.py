from __future__ import annotations

import dataclasses
import shlex
from dataclasses import replace

import pytest

from skybench.core import Record, UsageError, registry
from skybench.plan.former_recipes import FORMER
from skybench.plan.named_recipes import check_asked
from skybench.report import reproduce

RECORD = Record(
    "gfm", "scene_classification", "aid", {"protocol": "linear", "label": "20 %"}, "measured",
    "real", "ab" * 32, {"oa": 90.0}, used={"sensors": ["hr"], "variant": "full"},
)  # fmt: skip


def test_a_record_is_picked_by_the_first_digits() -> None:
    assert reproduce.pick_record([RECORD], "AB") is RECORD
    with pytest.raises(UsageError, match="several fingerprints"):
        reproduce.pick_record([RECORD, replace(RECORD, model="rcf")], "ab")


def test_of_copies_of_a_record_the_newest_is_picked() -> None:
    newer = replace(RECORD, made="2026-02-01T00:00:00+00:00")
    older = replace(RECORD, made="2026-01-01T00:00:00+00:00")
    assert reproduce.pick_record([newer, older], "ab") is newer


def test_a_recipe_is_compared_with_that_of_fine_tuning(monkeypatch: pytest.MonkeyPatch) -> None:
    assert reproduce.recipe_differences(RECORD)["protocol"].startswith("linear, ")
    task = registry.task("scene_classification")
    frozen = {"linear": task.protocol("linear")}
    monkeypatch.setattr(registry, "task", lambda name: replace(task, protocols=frozen))
    expected = {"protocol": "linear, the paper's is fine-tuning"}
    assert reproduce.recipe_differences(RECORD) == expected


def test_the_command_names_ones_own_folder_where_the_record_does() -> None:
    own = replace(RECORD, dataset="folder")
    assert "--dataset folder:PATH " in reproduce.run_command(own)
    named = replace(own, used={**own.used, "folder": "/data/my city/skybench.toml"})
    assert "--dataset 'folder:/data/my city/skybench.toml' " in reproduce.run_command(named)
    demo = replace(own, data="demo")
    assert "--dataset folder " in reproduce.run_command(demo)
    assert "--data demo" in reproduce.run_command(demo)
    simulated = replace(named, data="demo")  # a demo folder that was named by its path
    assert "--data demo" not in reproduce.run_command(simulated)


def of_recipe(model: str, dataset: str, task: str, name: str = "", **changes: object) -> Record:
    """A record as a run writes it, of the usual recipe of fine-tuning, with the name of another."""
    recipe = registry.task(task).recipes(registry.dataset(dataset).CARD, "finetune", False)[0]
    stated = dataclasses.asdict(recipe) | {"name": name or recipe.name} | changes
    return replace(
        RECORD, model=model, dataset=dataset, task=task,
        recipe={n: list(v) if isinstance(v, tuple) else v for n, v in stated.items()},
    )  # fmt: skip


def test_the_recipe_of_the_rows_own_source_is_named_first_then_the_usual_one() -> None:
    aid, classification = registry.dataset("aid").CARD, "scene_classification"
    source, usual = "aid:rvsa", f"aid:{aid.setup(classification).sourced[0].name}"
    first, second = reproduce.row_recipes(of_recipe("rvsa", "aid", classification))
    assert (first["recipe"], second["recipe"]) == (source, usual)
    assert first["made"] == "the published row of rvsa"
    assert second["made"] == "no row of this model"
    assert first["nearness"].startswith("own source: ")
    assert "main_finetune.py" in first["nearness"]
    assert first["differs"]["size"].startswith("320, the recipe of its source: 224")
    assert second["differs"] == {}
    assert shlex.split(first["command"])[-2:] == ["--recipe", source]


def test_a_model_without_a_recipe_of_its_own_has_the_usual_one() -> None:
    (only,) = reproduce.row_recipes(of_recipe("tov", "isaid", "semantic_segmentation"))
    assert only["recipe"] == "isaid:official"
    assert only["nearness"].startswith("official: ")
    (own,) = reproduce.row_recipes(of_recipe("skysense", "isaid", "semantic_segmentation"))
    assert own["made"] == "the published row of skysense"
    assert reproduce.row_recipes(of_recipe("tov", "folder", "semantic_segmentation")) == []


def test_every_recipe_that_made_a_row_is_named_so_that_run_takes_it() -> None:
    asked = []
    for name in registry.names("datasets"):
        card = registry.dataset(name).CARD
        for task in card.tasks:
            for model in {m for s in card.setup(task).sourced for m in s.rows}:
                found = reproduce.row_recipes(of_recipe(model, name, task))
                assert found[0]["made"] == f"the published row of {model}"
                asked += [row["recipe"] for row in found]
    assert {"aid:rvsa", "isaid:official", "dior:official"} <= {*asked}
    check_asked(asked, [registry.task(n) for n in registry.names("tasks")])


def test_the_command_names_the_recipe_that_is_not_the_usual_one() -> None:
    usual = of_recipe("rvsa", "aid", "scene_classification")
    assert "--recipe" not in reproduce.run_command(usual)
    other = of_recipe("rvsa", "aid", "scene_classification", "rvsa")
    assert "--recipe aid:rvsa" in reproduce.run_command(other)
    probe = of_recipe("rvsa", "isaid", "semantic_segmentation", "pangaea", protocol="frozen")
    assert "--protocol frozen" in reproduce.run_command(probe)
    assert "--recipe frozen:pangaea" in reproduce.run_command(probe)


def test_a_former_recipe_is_called_so_with_what_has_changed() -> None:
    old = of_recipe("rvsa", "isaid", "semantic_segmentation", batch=7, clip=35.0)
    shown = reproduce.reproduction(replace(old, used={**old.used, "overridden": ["clip"]}))
    assert FORMER in shown["flags"]
    assert shown["changed since"] == {"batch": "7, the paper's recipe: 16"}
    assert "--set clip=35.0 --set batch=7" in shown["command"]
    present = reproduce.reproduction(of_recipe("rvsa", "isaid", "semantic_segmentation"))
    assert "changed since" not in present
    assert present["flags"] == []


def test_a_published_score_comes_with_its_conditions() -> None:
    shown = reproduce.reproduction(of_recipe("satmae", "fmow_s2", "scene_classification"))
    (first, *_) = shown["paper"]
    assert "epoch 7 of 30" in first["conditions"]
    assert not first["comparable"] or first["value"] == 63.84
