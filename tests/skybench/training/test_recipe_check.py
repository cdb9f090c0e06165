"""Settings that heads have; see skybench.training.recipe_check."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from skybench.core import Recipe, UsageError
from skybench.training.recipe_check import (
    HeadSettings,
    check_optimizer,
    check_rates,
    check_settings,
)

KNOWN = HeadSettings(("upernet", "fpn"), ("all-pixels",), ("smoothing", "test_crop", "augment"))
RATED = Recipe("linear", epochs=20, rates=("1e-1", "1e-3"))


@pytest.mark.parametrize("name", ["", "adam", "sgd=0", "sgd=0.99"])
def test_optimizers_of_recipes_are_known(name: str) -> None:
    check_optimizer(name)


@pytest.mark.parametrize(("name", "message"), [
    ("adm", "Did you mean 'adam'. Known: adam, sgd=MOMENTUM"),
    ("adamw", "Known: adam"),
    ("sgd", "'sgd' was given, expected sgd=MOMENTUM"),
    ("sgd=1", "below 1"),
    ("sgd=much", "expected sgd=MOMENTUM"),
    ("adam=0.9", "expected adam without a value"),
])  # fmt: skip
def test_other_optimizers_are_refused(name: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        check_optimizer(name)


@pytest.mark.parametrize(("settings", "message"), [
    ({"head": "fnp"}, "No head 'fnp'. Did you mean 'fpn'. Known: upernet, fpn. .* linear masks"),
    ({"loss": "softmargin"}, "No loss 'softmargin'. Known: all-pixels"),
    ({"mixup": 0.8}, "mixup was given for linear masks, which has no mixup"),
    ({"cutmix": 1.0}, "has no CutMix"),
    ({"dropout": 0.2}, "has no dropout before the classifier"),
    ({"smoothing": 1.5}, "smoothing to be a share, 0 to 1, but got 1.5"),
    ({"test_crop": 224.0}, "test_crop to be a share, 0 to 1, but got 224"),
    ({"schedule": "polly"}, "Did you mean 'poly'"),
    ({"schedule": "cosine=1e-3", "lr": 1e-4}, "ends above the learning rate, 0.0001"),
    ({"optimizer": "lion"}, "No optimizer 'lion'"),
])  # fmt: skip
def test_settings_that_a_head_does_not_have_are_refused(
    settings: dict[str, Any], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        check_settings(Recipe("linear", **settings), KNOWN, "linear masks")


def test_settings_that_a_head_has_are_accepted() -> None:
    recipe = Recipe(
        "linear", head="fpn", loss="all-pixels", smoothing=0.1, test_crop=0.875, augment=("flip",)
    )
    check_settings(recipe, KNOWN, "linear masks")
    check_settings(Recipe("linear"), HeadSettings(), "linear masks")
    with pytest.raises(UsageError, match="Known: none"):
        check_settings(recipe, HeadSettings(), "linear masks")


def test_checks_need_no_torch() -> None:
    code = "import sys, skybench.training.recipe_check as r; r.check_optimizer('adam'); "
    code += "sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-P", "-c", code], check=False).returncode == 0


@pytest.mark.parametrize("rate", ["0", "-1e-3", "nan", "inf", "fast", ""])
def test_a_rate_must_be_a_positive_number(rate: str) -> None:
    with pytest.raises(UsageError, match="positive number"):
        check_rates(replace(RATED, rates=("1e-3", rate)), trains_backbone=False)


def test_rates_of_a_trained_backbone_are_refused() -> None:
    check_rates(RATED, trains_backbone=False)
    check_rates(replace(RATED, rates=()), trains_backbone=True)
    with pytest.raises(UsageError, match="frozen backbone"):
        check_rates(RATED, trains_backbone=True)


def test_rates_of_a_head_that_is_not_trained_step_by_step_are_refused() -> None:
    with pytest.raises(UsageError, match="no learning rate"):
        check_rates(Recipe("knn", rates=("1e-3",)), trains_backbone=False)
