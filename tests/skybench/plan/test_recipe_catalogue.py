from __future__ import annotations

import dataclasses
import json
import re
import subprocess
import sys

import pytest

from skybench.cli import catalogue
from skybench.core import Recipe, UsageError
from skybench.core.sourced_recipe import ASPECTS


def test_a_recipe_is_shown_field_by_field() -> None:
    shown = catalogue.plugin_facts("isaid:finetune")
    assert shown["name"] == "semantic_segmentation/isaid:official"
    assert shown["kind"] == "recipe"
    assert "UPerNet" in shown["head"]
    assert "IoU" in shown["metric"]
    assert shown["iterations"].startswith("80000 (")
    assert shown["lr"].startswith("6e-05 (")
    assert "1,500 steps, then falls in a straight line" in shown["schedule"]
    assert shown["source"].startswith("official: ")
    fields = {f.name for f in dataclasses.fields(Recipe)} - {"protocol", "label"}
    assert fields <= {*shown}


def test_every_field_says_its_source_and_verdict() -> None:
    shown = catalogue.plugin_facts("isaid:official")
    assert "agrees: Bili-Sakura/SkySense@107d4e0:" in shown["lr"]
    assert shown["precision"].startswith("tf32 (")
    for aspect, names in ASPECTS.items():
        for name in names or (aspect,):
            assert re.search("\\n(agrees|differs|unknown|ours)", shown[name]), name


def test_a_recipe_is_found_by_its_name_and_by_its_protocol() -> None:
    by_name, by_protocol = map(catalogue.plugin_facts, ("aid:rvsa", "aid:finetune"))
    assert by_name["name"] == "scene_classification/aid:rvsa"
    assert "rvsa" in by_name["made with it"]
    assert by_protocol["name"].startswith("scene_classification/aid:")
    assert catalogue.plugin_facts(by_protocol["name"]) == by_protocol


def test_columns_that_differ_are_shown_beside_each_other() -> None:
    shown = catalogue.plugin_facts("RESISC45:linear")
    assert shown["columns"] == "10 %, 20 %"
    assert shown["train"].startswith("10 %: train10; 20 %: train20 (")
    assert shown["size"].startswith("320 (")
    assert shown["source"].startswith("ours: ")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("isiad:finetune", "Did you mean 'isaid'"),
        ("isaid:fintune", "Did you mean 'finetune'"),
        ("isaid:", "No recipe of isaid or protocol of semantic_segmentation ''"),
        ("aid:", "Known: knn, linear, frozen, finetune, rvsa-320, rvsa"),
        ("semantic_segmentatoin/isaid:finetune", "Did you mean 'semantic_segmentation'"),
        ("change_detection/isaid:finetune", "No task of isaid 'change_detection'"),
        ("dyna_s2:frozen", "give change_detection/dyna_s2:frozen or semantic_segmentation/dyna_s2"),
    ],
)
def test_unknown_names_give_the_near_ones(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        catalogue.plugin_facts(name)


def test_the_list_names_each_recipe_as_it_is_shown() -> None:
    rows = catalogue.catalogue_rows("recipes")
    for row in (row for row in rows if row["dataset"]):
        shown = catalogue.plugin_facts(row["name"])
        assert shown["name"].rpartition("/")[2] == row["name"].rpartition("/")[2]
        assert shown["nearness"].startswith(row["source"])
    assert len({row["name"] for row in rows}) == len(rows)
    (isaid,) = (row for row in rows if row["dataset"] == "isaid" and row["usual"])
    assert (isaid["length"], isaid["batch"], isaid["tile"]) == ("80,000 steps", 16, 896)


def test_nothing_heavy_is_imported_to_show_a_recipe() -> None:
    code = (
        "import json, sys; from skybench.cli import catalogue; catalogue.catalogue_rows('recipes');"
        "catalogue.plugin_facts('dior:finetune'); print(json.dumps([*sys.modules]))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"torch", "numpy", "PIL", "rasterio", "timm"} & {*json.loads(done.stdout)}
