"""Recipes for ISPRS Potsdam: CMID's, the nearest to SkySense's, and the one behind RVSA's rows."""

from __future__ import annotations

from skybench.core import Recipe, SourcedRecipe

from . import agrees, differs, standardised, unknown
from .isaid import BY_DEFAULT_TF32, MMSEG_LOSS, RVSA_MODEL, RVSA_REPOSITORY

CMID_FILE = "SemanticSegmentation/config/CMID-Swin-B_config.py"
CMID_READER = "SemanticSegmentation/mmseg/datasets/pipelines/loading.py"
CONVERTER = "open-mmlab/mmsegmentation@50546da:tools/dataset_converters/potsdam.py"

CMID = SourcedRecipe(
    name="cmid",
    kind="substitute",
    recipe=Recipe(
        "finetune",
        val="",
        epochs=50,
        batch=8,
        lr=6e-5,
        weight_decay=0.01,
        width=512,
        schedule="cosine=1e-6",
        warm_up=100,
        layer_decay=1.0,
        drop_path=0.3,
        loss="all-pixels",
        state="last",
        augment=("resize_crop=0.5,2,0.75", "flip", "photometric"),
    ),
    repository="NJU-LHRS/official-CMID@3c343db",
    file=CMID_FILE,
    rows=("cmid",),
    about=(
        "a Swin Transformer under UPerNet that prints mF1, as SkySense; UPerNet and 512 px are "
        "what its supplement names (unverified), and nothing else of its own is known"
    ),
    fields={
        "split": agrees(f"{CONVERTER}:main", "24 images to train and 14 to test"),
        "size": agrees(f"{CMID_FILE}:83"),
        "tile": agrees(
            f"{CONVERTER}:clip_big_image", "512 px side by side, the last at the edge: 144"
        ),
        "length": agrees(f"{CMID_FILE}:180", "432 steps an epoch, 21,600 in all"),
        "batch": agrees(f"{CMID_FILE}:135", "8 on one GPU (:182)"),
        "optimizer": agrees(f"{CMID_FILE}:158-161"),
        "lr": agrees(f"{CMID_FILE}:160"),
        "weight_decay": agrees(f"{CMID_FILE}:162-168", "not on norms and positions"),
        "schedule": agrees(f"{CMID_FILE}:170-175", "to 1e-6"),
        "warm_up": agrees(f"{CMID_FILE}:172-173"),
        "layer_decay": agrees(f"{CMID_FILE}:158-168", "one rate for all layers"),
        "drop_path": agrees(f"{CMID_FILE}:24"),
        "precision": unknown("neither PyTorch's release nor the GPU is said", f"{CMID_FILE}:182"),
        "clip": agrees(f"{CMID_FILE}:156", "none"),
        "augment": agrees(f"{CMID_FILE}:83-86"),
        "mixing": agrees(f"{CMID_FILE}:77-95", "none"),
        "head": differs(
            f"{CMID_FILE}:29-55",
            "the same UPerHead 512 and FCN 256, but with a sixth output that no label has",
        ),
        "features": standardised(f"{CMID_FILE}:29-55"),
        "loss": agrees(MMSEG_LOSS, "mmsegmentation's default, the mean over all pixels"),
        "state": unknown(
            "scored on the test images every 5 epochs; of which epoch the number is, is not said: "
            "the last here",
            f"{CMID_FILE}:177-179",
        ),
        "views": agrees(f"{CMID_FILE}:115-133", "whole tiles, no mirror image"),
        "metric": agrees(
            f"{CMID_FILE}:178-179",
            f"mFscore of 5 classes; clutter and boundaries are not scored ({CMID_READER})",
        ),
    },
)

NAME = "upernet_vit_base_win_rvsa_v3_512x512_160k_potsdam_rgb_dpr10_lr6e5_lrd90_ps16_class5_ignore5"
RVSA_FILE = f"Semantic Segmentation/configs/vit_base_win/{NAME}.py"
RVSA_LOG = f"Semantic Segmentation/logs/{NAME}.log.json"

RVSA = SourcedRecipe(
    name="rvsa",
    kind="own source",
    recipe=Recipe(
        "finetune",
        val="",
        size=512,
        tile=600,
        options=("overlap=half",),
        iterations=160_000,
        batch=8,
        lr=6e-5,
        weight_decay=0.05,
        width=512,
        schedule="poly",
        warm_up=1500,
        layer_decay=0.9,
        drop_path=0.1,
        loss="all-pixels",
        precision="tf32",
        state="last",
        augment=("resize_crop=0.5,2,0.75", "flip", "photometric"),
    ),
    repository=RVSA_REPOSITORY,
    file=RVSA_FILE,
    rows=("rvsa",),
    about=(
        "the README prints OA (90.60, 90.77, 91.22, 91.15); mF1 stands in the same lines of the "
        "logs: 90.05, 90.24, 90.64, 90.61"
    ),
    fields={
        "split": agrees(f"{RVSA_FILE}:59-70", "24 images to train, 14 in val, which is printed"),
        "size": agrees(f"{RVSA_FILE}:14", "tiles of 600 px are seen at 512 px"),
        "tile": agrees(
            f"{RVSA_LOG}:1",
            "1,083 steps an epoch of 8 make 8,664 tiles, 19 x 19 an image: 600 px every 300 px",
        ),
        "length": agrees(f"{RVSA_LOG}:1", "148 passes"),
        "batch": agrees(f"{RVSA_LOG}:1", "2 (:57) on each of gpu_ids range(0, 4)"),
        "optimizer": agrees(f"{RVSA_FILE}:79"),
        "lr": agrees(f"{RVSA_FILE}:79"),
        "weight_decay": agrees(f"{RVSA_FILE}:79"),
        "schedule": agrees(f"{RVSA_FILE}:87-91"),
        "warm_up": agrees(f"{RVSA_FILE}:89"),
        "layer_decay": agrees(f"{RVSA_FILE}:80-85"),
        "drop_path": agrees(f"{RVSA_FILE}:101"),
        "precision": agrees(f"{RVSA_LOG}:1", BY_DEFAULT_TF32),
        "clip": agrees(f"{RVSA_FILE}:93", "none"),
        "augment": agrees(f"{RVSA_FILE}:14-17"),
        "mixing": agrees(f"{RVSA_FILE}:11-22", "none"),
        "head": agrees(f"{RVSA_MODEL}:18-40", "UPerHead 512 and FCN 256, 5 classes"),
        "features": standardised(f"{RVSA_MODEL}:18-40"),
        "loss": agrees(MMSEG_LOSS, "mmsegmentation's default, the mean over all pixels"),
        "state": agrees(RVSA_LOG, "the README's numbers are those of the last evaluation"),
        "views": agrees(
            f"{RVSA_FILE}:24-39",
            "the 5,054 tiles of val whole; the sliding window of the configuration is not printed",
        ),
        "metric": differs(
            f"{RVSA_FILE}:113-115",
            "OA is printed, here mF1 comes first and OA beside it; clutter is not scored, whether "
            "boundaries are is not said",
        ),
    },
)

RECIPES = (CMID, RVSA)
