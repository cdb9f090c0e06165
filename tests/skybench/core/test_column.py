from __future__ import annotations

from skybench.core import Column, Recipe, Setup


def test_options_of_a_column_come_after_those_of_recipe_and_setup() -> None:
    columns = (Column(label="all"), Column(label="RGB", options=("bands=rgb",)))
    setup = Setup(columns=columns, options=("bands=all", "dates=single"))
    every, rgb = setup.expand(Recipe("knn"), False)
    assert every.options == ("bands=all", "dates=single")
    assert rgb.options == ("bands=rgb", "dates=single")


def test_a_column_without_validation_validates_on_nothing() -> None:
    setup = Setup(columns=(Column(test="val", val="", label="val"), Column(label="test")))
    recipe = Recipe("finetune", epochs=9, validate=3, state="last")
    on_val, on_test = setup.expand(recipe, False)
    assert (on_val.test, on_val.val, on_val.validate) == ("val", "", 0)
    assert (on_test.test, on_test.val, on_test.validate) == ("test", "val", 3)


def test_a_recipe_that_holds_out_keeps_its_validation() -> None:
    (recipe,) = Setup().expand(Recipe("finetune", val="", epochs=9, validate=3), False)
    assert recipe.validate == 3
