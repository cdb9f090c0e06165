from __future__ import annotations

from dataclasses import replace

import pytest

from skybench.core import (
    REFLECTANCE,
    UINT8,
    CannotRun,
    DatasetCard,
    Option,
    Recipe,
    Sensor,
    UsageError,
    registry,
)
from skybench.plan.planner import Planner
from skybench.plan.request import (
    Request,
    check_request,
    chosen_sensors,
    override_recipe,
    with_options,
)

PLANET = Sensor("hr", ("red",), 3.0, REFLECTANCE, "Planet")
S2 = Sensor("s2", ("red",), 10.0, REFLECTANCE)
CARD = DatasetCard(
    "toy", "Toy", (), (PLANET, S2), ("a", "b"), {}, "ours", "none", "nothing", "none",
    options={"dates": Option("which", ("single", "weekly")), "bands": Option("unknown", ("",))},
)  # fmt: skip


def test_sensors_are_asked_for_by_name_or_title() -> None:
    assert chosen_sensors(CARD, ()) == (PLANET, S2)
    assert chosen_sensors(CARD, ("Planet",)) == chosen_sensors(CARD, ("hr",)) == (PLANET,)
    assert chosen_sensors(CARD, ("s2", "planet")) == (PLANET, S2)
    with pytest.raises(CannotRun, match=r"no sensor \['s1'\]; it has hr \(Planet\), s2"):
        chosen_sensors(CARD, ("s1", "s2"))


def test_options_reach_the_datasets_that_have_them_and_mark_the_recipe() -> None:
    base = Recipe("linear", options=("dates=weekly",))
    assert with_options(base, CARD, {}) == (base, ())
    single, changed = with_options(base, CARD, {"dates": "single", "other": "x"})
    assert (single.options, changed) == (("dates=single",), ("dates",))
    same, changed = with_options(base, CARD, {"dates": "weekly"})
    assert (same.options, changed) == (("dates=weekly",), ())
    default, changed = with_options(Recipe("linear"), CARD, {"dates": "single"})
    assert (default.options, changed) == (("dates=single",), ())
    # What has no default must be stated; that changes no recipe.
    stated, changed = with_options(Recipe("linear"), CARD, {"bands": "red,nir"})
    assert (stated.options, changed) == (("bands=red,nir",), ())


def test_an_option_that_no_dataset_has_is_refused() -> None:
    check_request(Request(options={"s2_bands": "l2a"}))
    with pytest.raises(UsageError, match=r"No option of a dataset 's2_band'.*'s2_bands'"):
        check_request(Request(options={"s2_band": "l2a"}))


def test_a_demo_states_what_a_user_must_state_of_real_data() -> None:
    request = Request(
        models=["rcf"], tasks=["semantic_segmentation"], datasets=["dyna_s2"], data="demo"
    )
    (cell,) = Planner(request).cells()
    assert cell.status == "planned"
    wrong = replace(request, options={"cubes": "54"})
    with pytest.raises(UsageError, match=r"no cubes=54\. Known: 55, 53"):
        Planner(wrong).cells()


def test_cells_that_read_alike_share_one_extraction() -> None:
    request = Request(models=["rcf"], tasks=["scene_classification"], datasets=["aid"], data="demo")
    few, many = Planner(request).cells()
    assert set(few.pool) == set(many.pool) == {"train20", "test20", "train50", "test50"}
    assert few.fingerprint != many.fingerprint
    assert few.splits["train"] is few.pool["train20"]


def test_the_paper_rows_are_chosen_by_sensors() -> None:
    for sensors, found in ((("planet",), {"hr"}), (("Planet", "s2"), {"hr", "s2"})):
        request = Request(
            models=["rcf"], tasks=["multimodal_segmentation"], datasets=["dyna_mm"],
            data="demo", sensors=sensors,
        )  # fmt: skip
        (cell,) = Planner(request).cells()
        assert {f.sensor for f in cell.found.values()} == found
        assert set(cell.recipe.sensors) == found
    assert registry.load("datasets", "dyna_mm").CARD.sensors[0].unit != UINT8


def test_words_of_a_recipe_can_be_set_and_others_are_refused() -> None:
    def changed(**values: str) -> Recipe:
        return override_recipe(Recipe("finetune"), Request(overrides=values))[0]

    assert changed(precision="bf16", schedule="step").precision == "bf16"
    with pytest.raises(UsageError, match=r"No precision 'int4' of a recipe. Known: float32, bf16"):
        changed(precision="int4")
    for wrong in ("-1", "nan", "inf"):
        with pytest.raises(UsageError, match="not to be negative"):
            changed(drop_path=wrong)


def test_augmentations_and_views_are_words_with_spaces_between() -> None:
    def changed(**values: str) -> Recipe:
        return override_recipe(Recipe("finetune", augment=("erase",)), Request(overrides=values))[0]

    assert changed(augment="flip resize_crop=0.5,2").augment == ("flip", "resize_crop=0.5,2")
    assert changed(augment="").augment == ()
    assert changed(views="window=64,32 flip").views == ("window=64,32", "flip")
    for name in ("augment", "views"):
        with pytest.raises(UsageError, match="flap"):
            changed(**{name: "flip flap"})


def test_epochs_count_where_a_recipe_has_steps() -> None:
    steps = Recipe("finetune", iterations=80_000)
    recipe, changed = override_recipe(steps, Request(overrides={"epochs": "5"}))
    assert (recipe.epochs, recipe.iterations) == (5, 0)
    assert changed == ("epochs", "iterations")
    kept, _ = override_recipe(steps, Request(overrides={"epochs": "5", "iterations": "9"}))
    assert kept.iterations == 9
