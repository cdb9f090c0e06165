"""The recipe for PASTIS-MM: SkySense++'s for crops in Sentinel-2 series of Germany."""

from __future__ import annotations

from skybench.core import Recipe, SourcedRecipe

from . import agrees, differs, standardised, unknown
from .dynamic_earth import MMSEG_LOSS, REPOSITORY, SCRIPT

FILE = "finetune/configs/germany.py"

GERMANY = SourcedRecipe(
    name="germany",
    kind="substitute",
    recipe=Recipe(
        "finetune",
        iterations=20_000,
        batch=16,
        lr=1e-4,
        weight_decay=0.01,
        width=512,
        schedule="linear",
        warm_up=2000,
        layer_decay=1.0,
        loss="all-pixels",
        validate=22,
        state="last",
        augment=("flip",),
    ),
    repository=REPOSITORY,
    file=FILE,
    about=(
        "by SkySense's authors, for crops in Sentinel-2 series of another country; SkySense's own "
        "for PASTIS-MM is not public, nor are its images of 0.3 m"
    ),
    fields={
        "split": unknown(
            "another data set, scored on its val (:285); the folds and which of them SkySense "
            "scores are not said: the first rotation here"
        ),
        "size": differs(
            f"{FILE}:1-4",
            "patches of 128 px, there of 24 px, in each of which the "
            "series sees less of the neighbourhood",
        ),
        "tile": differs(f"{FILE}:1-4", "128 px, the whole patch; 24 px there"),
        "length": agrees(f"{FILE}:325", "20,000 steps; 220 passes here"),
        "batch": agrees(SCRIPT, "2 (finetune/configs/germany.py:329) on each of 8 GPUs"),
        "optimizer": agrees(f"{FILE}:240-251"),
        "lr": agrees(f"{FILE}:245"),
        "weight_decay": agrees(f"{FILE}:245-250", "not on norms and positions"),
        "schedule": agrees(f"{FILE}:253-264", "PolyLR begins after the warm-up"),
        "warm_up": agrees(f"{FILE}:254-256"),
        "layer_decay": agrees(f"{FILE}:246-250", "one rate for all layers"),
        "drop_path": differs(
            f"{FILE}:103-104, 194",
            "none in the backbone too, but dropout .1 in it and drop path .3 in the fusion there",
        ),
        "precision": agrees(f"{FILE}:240-251", "no autocast; README names PyTorch 1.13"),
        "clip": agrees(f"{FILE}:240-251", "none"),
        "augment": agrees(f"{FILE}:336-342", "a flip"),
        "mixing": agrees(f"{FILE}:336-342", "none"),
        "head": differs(
            f"{FILE}:84-96, 165-235",
            "UPerHead 512 too, but on 30 dates that a transformer fuses at each pixel; here on "
            "each model's own features of twelve dates; FCN 256 on the last map, here the last "
            "but one",
        ),
        "features": standardised(f"{FILE}:192-235"),
        "loss": agrees(MMSEG_LOSS, "mmsegmentation's default, the mean over all pixels"),
        "state": unknown(
            "scored on validation every 2,000 steps, 22 epochs here, and the best mIoU is kept; "
            "which is printed is not said: the last here, and the best is recorded beside it",
            f"{FILE}:42-47, 327",
        ),
        "views": agrees(f"{FILE}:236", "whole patches"),
        "metric": unknown(
            "18 classes without label 0 there (:94, :184, :292, :339), and PASTIS-MM has 18 in "
            "SkySense++'s README: probably SkySense's too, but unproven; utae-paps scores 19"
        ),
    },
)

RECIPES = (GERMANY,)
