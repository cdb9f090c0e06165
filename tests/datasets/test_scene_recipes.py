"""The recipes of detection and classification have the numbers of their sources."""

from __future__ import annotations

from itertools import chain

import pytest

from skybench.core import Recipe, registry

PAIRS = {
    "dior": "horizontal_detection",
    "dior_r": "oriented_detection",
    "fair1m": "oriented_detection",
    "aid": "scene_classification",
    "resisc45": "scene_classification",
    "ben_s2": "scene_classification",
    "ben_mm": "multimodal_classification",
    "fmow_s2": "scene_classification",
    "eurosat": "scene_classification",
}
SOURCED = {
    f"{dataset}:{recipe.name}": recipe
    for dataset, task in PAIRS.items()
    for recipe in registry.dataset(dataset).CARD.setup(task).sourced
}


def recipe(name: str) -> Recipe:
    return SOURCED[name].recipe


@pytest.mark.parametrize(
    ("dataset", "names"),
    [
        ("dior", "official mtp"),
        ("dior_r", "mtp rvsa"),
        ("fair1m", "mtp"),
        ("aid", "rvsa-320 rvsa mtp selectivemae"),
        ("resisc45", "mtp-320 mtp rvsa"),
        ("ben_s2", "ours gfm seco ssl4eo"),
        ("ben_mm", "ours"),
        ("fmow_s2", "satmae"),
        ("eurosat", "mtp"),
    ],
)
def test_the_default_comes_first(dataset: str, names: str) -> None:
    card = registry.dataset(dataset).CARD
    setup = card.setup(PAIRS[dataset])
    assert [s.name for s in setup.sourced] == names.split()
    default = setup.recipe("finetune", Recipe("finetune"))
    assert default.name == names.split()[0]
    assert all(s.recipe.protocol == "finetune" for s in setup.sourced)


# base rate x batch / samples that it is for, as the scripts scale it
@pytest.mark.parametrize(
    ("name", "base", "samples"),
    [
        ("aid:rvsa-320", 1e-3, 256),
        ("resisc45:rvsa", 1e-3, 256),
        ("aid:selectivemae", 1e-3, 256),
        ("fmow_s2:satmae", 2e-4, 256),
        ("ben_s2:gfm", 1e-4, 512),
        ("ben_s2:ours", 1e-4, 512),
    ],
)
def test_rates_are_scaled_by_the_batch(name: str, base: float, samples: int) -> None:
    assert recipe(name).lr == pytest.approx(base * recipe(name).batch / samples)


@pytest.mark.parametrize("name", SOURCED)
def test_nothing_is_chosen_on_the_images_that_are_scored(name: str) -> None:
    assert recipe(name).state == "last"
    assert recipe(name).val in ("", "val")
    scored = {c.test for c in SOURCED[name].columns}
    assert recipe(name).val not in scored


def test_gradients_are_clipped_where_a_source_does_so() -> None:
    clipped = {name: s.recipe.clip for name, s in SOURCED.items() if s.recipe.clip}
    gfm = dict.fromkeys(("ben_s2:ours", "ben_s2:gfm", "ben_mm:ours"), 5.0)
    assert clipped == {"dior_r:rvsa": 35.0, **gfm}


def test_images_are_mixed_where_a_source_does_so() -> None:
    mixed = {n: (s.recipe.mixup, s.recipe.cutmix) for n, s in SOURCED.items() if s.recipe.mixup}
    names = ("aid:rvsa-320", "aid:rvsa", "aid:selectivemae", "resisc45:rvsa", "fmow_s2:satmae")
    assert mixed == dict.fromkeys((*names, "ben_s2:gfm"), (0.8, 1.0))
    assert {n for n, s in SOURCED.items() if s.recipe.smoothing == 0.1} == {*names}


def test_mtp_s_batches_are_those_of_its_logs() -> None:
    """Steps of an epoch: 2,932 on 11,725 images of DIOR, 99 on 6,300 of RESISC45, 254 on EuroSAT's.

    FAIR1M's 10,468 are as many tiles times the GPUs.
    """
    for name, images, steps in (
        ("dior:mtp", 11_725, 2_932),
        ("dior_r:mtp", 11_725, 2_932),
        ("dior_r:rvsa", 11_725, 5_863),
        ("resisc45:mtp", 6_300, 99),
        ("eurosat:mtp", 16_200, 254),
        ("fair1m:mtp", 41_872, 10_468),
    ):
        assert recipe(name).steps(images) == steps * recipe(name).epochs


def test_the_authors_sizes_and_cuts() -> None:
    """SkySense's sizes stand in the defaults, where test images are seen whole."""
    assert {(recipe(f"{d}:{n}").size, recipe(f"{d}:{n}").test_crop)
            for d, n in (("aid", "rvsa"), ("aid", "mtp"), ("resisc45", "mtp"), ("resisc45", "rvsa"),
                         ("ben_s2", "ssl4eo"))} == {(224, 224 / 256)}  # fmt: skip
    assert {
        (recipe(n).size, recipe(n).test_crop) for n in ("aid:rvsa-320", "resisc45:mtp-320")
    } == {(320, 0.0)}
    assert round(recipe("fmow_s2:satmae").test_crop * 109, 9) == 96


def test_columns_of_secos_lists() -> None:
    """RGB for the rows that were made so, all bands for SSL4EO's; on SeCo's val, never the test."""
    found: dict[str, list[tuple[str, str, tuple[str, ...]]]] = {}
    card = registry.dataset("ben_s2").CARD
    task = card.setup("scene_classification")
    for sourced in task.sourced[1:]:
        made = task.expand(sourced.stated(), False)
        assert {(r.val, r.test) for r in made} == {("", "seco_val")}
        assert {r.train for r in made} | {"seco_val"} <= {*card.splits}
        found[sourced.name] = [(r.label, r.train, r.options) for r in made]
    rgb = [
        ("RGB, SeCo val, 10 %", "seco_train10", ("bands=rgb",)),
        ("RGB, SeCo val, 100 %", "seco_train", ("bands=rgb",)),
    ]
    assert found == {
        "gfm": rgb,
        "seco": rgb,
        "ssl4eo": [("SeCo val, 10 %", "seco_train10", ()), ("SeCo val, 100 %", "seco_train", ())],
    }


def test_published_rows_belong_to_models_that_are_known() -> None:
    for name, sourced in SOURCED.items():
        assert {*sourced.rows} <= {*registry.names("baselines")}, name
        assert not sourced.rows or sourced.kind != "ours"


def test_a_row_has_one_recipe_on_a_data_set() -> None:
    for dataset in PAIRS:
        own = [s for n, s in SOURCED.items() if n.startswith(f"{dataset}:")]
        rows = [*chain.from_iterable(s.rows for s in own)]
        assert len(rows) == len({*rows})
