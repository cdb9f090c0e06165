from __future__ import annotations

from dataclasses import replace

from skybench.core import UINT8, Column, DatasetCard, DemoSetup, Recipe, Sensor, Setup

LEARNED = Recipe("frozen", val="", epochs=20, batch=16)


def test_a_setup_without_facts_leaves_the_recipe_as_it_is() -> None:
    selecting = Recipe("knn")
    assert Setup().expand(LEARNED, False) == Setup().expand(LEARNED, True) == (LEARNED,)
    assert Setup().expand(selecting, False) == (selecting,)


def test_each_column_is_a_recipe_with_its_splits_and_label() -> None:
    setup = Setup(columns=(Column("train20", "", "test20", "20 %"), Column(label="all")))
    twenty, every = setup.expand(Recipe("knn"), False)
    assert (twenty.train, twenty.val, twenty.test, twenty.label) == (
        "train20",
        "",
        "test20",
        "20 %",
    )
    assert (every.train, every.val, every.test, every.label) == ("train", "val", "test", "all")


def test_validation_is_read_only_where_the_recipe_selects_on_it() -> None:
    (recipe,) = Setup(columns=(Column(val="dev"),)).expand(LEARNED, False)
    assert recipe.val == ""


def test_nothing_is_chosen_on_the_split_that_is_scored() -> None:
    scored = Setup(columns=(Column(val="val", test="val"),))
    watched = Recipe("frozen", validate=5)
    (recipe,) = scored.expand(watched, False)
    assert (recipe.val, recipe.test, recipe.validate) == ("", "val", 0)
    (recipe,) = scored.expand(replace(watched, state="best-on-val"), False)
    assert (recipe.val, recipe.validate) == ("", 5)  # a part of train is held out
    (recipe,) = Setup().expand(watched, False)
    assert (recipe.val, recipe.validate) == ("val", 5)


def test_sizes_of_a_recipe_come_before_those_of_the_setup() -> None:
    setup = Setup(size=320, tile=512, options=("bands=13",))
    (recipe,) = setup.expand(LEARNED, False)
    assert (recipe.size, recipe.tile, recipe.options) == (320, 512, ("bands=13",))
    own = Recipe("finetune", size=224, tile=256, options=("bands=rgb",))
    (recipe,) = setup.expand(own, False)
    assert (recipe.size, recipe.tile, recipe.options) == (224, 256, ("bands=rgb",))


def test_simulated_data_have_sizes_and_columns_of_their_own() -> None:
    demo = DemoSetup(size=32, tile=64, epochs=3, columns=(Column(test="val"),))
    setup = Setup(size=320, tile=512, columns=(Column(label="a"), Column(label="b")), demo=demo)
    (recipe,) = setup.expand(LEARNED, True)
    assert (recipe.size, recipe.tile, recipe.epochs, recipe.test) == (32, 64, 3, "val")
    plain, _ = Setup(size=320, columns=setup.columns).expand(LEARNED, True)
    assert (plain.size, plain.epochs, plain.label) == (0, 20, "a")


def test_a_card_without_a_setup_of_a_task_has_the_usual_one() -> None:
    sensor, own = Sensor("hr", ("red",), 0.5, UINT8), Setup(size=96)
    card = DatasetCard(
        name="toy", title="Toy", tasks=("a", "b"), sensors=(sensor,), classes=("x", "y"),
        splits={}, source="", licence="", obtain="", layout="", setups={"a": own},
    )  # fmt: skip
    assert card.setup("a") is own
    assert card.setup("b") == Setup()
