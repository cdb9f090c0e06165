"""Recipes for iSAID: SkySense's own, and the one behind RVSA's rows."""

from __future__ import annotations

from skybench.core import Recipe, SourcedRecipe

from . import agrees, differs, standardised, unknown

BASE = "segmentation/configs/_base_"
FILE = (
    "segmentation/configs/swin_transformer_v2/"
    "upernet_swinv2_huge_patch4_window8_896x896_80k_isaid.py"
)
SKYSENSE = "Bili-Sakura/SkySense@107d4e0"  # a copy of the official repository
SCHEDULE = f"{BASE}/schedules/schedule_80k.py"
DATA = f"{BASE}/datasets/isaid.py"
HEAD = f"{BASE}/models/upernet_swin.py"
DECAY = "segmentation/mmcv_custom/layer_decay_optimizer_constructor.py:27-45, 158-205"
MMSEG_LOSS = (
    "kang-wu/SkySensePlusPlus@cb0c6b7:finetune/mmseg/models/losses/cross_entropy_loss.py:58-65"
)

OFFICIAL = SourcedRecipe(
    name="official",
    kind="official",
    recipe=Recipe(
        "finetune",
        val="",
        iterations=80_000,
        batch=16,
        lr=6e-5,
        weight_decay=0.01,
        width=512,
        schedule="poly",
        warm_up=1500,
        layer_decay=0.9,
        drop_path=0.2,
        loss="all-pixels",
        precision="tf32",
        state="last",
        augment=("resize_crop=0.5,2,0.75", "flip", "photometric"),
    ),
    repository=SKYSENSE,
    file=FILE,
    rows=("skysense",),
    about="no training log is public",
    fields={
        "split": agrees(f"{DATA}:27-40", "train and val; labels of test are withheld"),
        "size": agrees(f"{DATA}:18-19", "896 px, as the tiles are"),
        "tile": agrees(
            "kang-wu/SkySensePlusPlus@cb0c6b7:finetune/tools/dataset_converters/isaid.py",
            "896 px with an overlap of 384; padded with 0, masks with 255",
        ),
        "length": agrees(f"{SCHEDULE}:7", "37.7 passes of 33,978 tiles"),
        "batch": agrees(f"{FILE}:64-65", "2 on each of 8 GPUs (run_train.sh:2), here together"),
        "optimizer": agrees(f"{FILE}:39-43", "AdamW, betas .9 and .999"),
        "lr": agrees(f"{FILE}:39-43"),
        "weight_decay": agrees(f"{FILE}:39-43", "not on biases, norms and positions (:175-181)"),
        "schedule": agrees(f"{FILE}:55-62", "the same to 7e-4 of the rate"),
        "warm_up": agrees(f"{FILE}:55-62"),
        "layer_decay": agrees(DECAY),
        "drop_path": agrees(f"{FILE}:17"),
        "precision": agrees(f"{FILE}:5", "enable_tf32, applied in segmentation/tools/train.py:120"),
        "clip": agrees(f"{SCHEDULE}:3", "none"),
        "augment": agrees(f"{DATA}:18-21"),
        "mixing": agrees(f"{DATA}:18-21", "none"),
        "head": agrees(
            HEAD,
            "UPerHead 512 with pools 1 2 3 6 and dropout .1, FCN 256 on stage 3 with weight .4",
        ),
        "features": standardised(HEAD),
        "loss": agrees(
            MMSEG_LOSS, "the mean over all pixels of the batch; those without a label add nothing"
        ),
        "state": unknown(
            "evaluated every 8,000 steps, and no best one is kept; of which state the number is, "
            "is not said: the last here",
            f"{SCHEDULE}:8-9",
        ),
        "views": agrees(f"{DATA}:27-40", "whole tiles, one scale, no mirror image"),
        "metric": agrees(f"{DATA}:33-35", "mIoU of 16 classes with the background"),
    },
)

RVSA_FILE = (
    "Semantic Segmentation/configs/vit_base_win/"
    "upernet_vit_base_win_rvsa_v3_wsz7_896x896_160k_isaid_dpr10_lr6e5_lrd90_ps16.py"
)
RVSA_LOG = (
    "Semantic Segmentation/logs/"
    "upernet_vit_base_win_rvsa_v3_wsz7_896x896_160k_isaid_dpr10_lr6e5_lrd90_ps16.log.json"
)
RVSA_MODEL = "Semantic Segmentation/configs/_base_/models/upernet_vit_base_win.py"
RVSA_REPOSITORY = "ViTAE-Transformer/Remote-Sensing-RVSA@ef153d7"
BY_DEFAULT_TF32 = (
    "nothing is set; on the A100s of the log, PyTorch 1.9 multiplies matrices in TF32 by default"
)

RVSA = SourcedRecipe(
    name="rvsa",
    kind="own source",
    recipe=Recipe(
        "finetune",
        val="",
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
        augment=("flip", "photometric"),
        views=("flip",),
    ),
    repository=RVSA_REPOSITORY,
    file=RVSA_FILE,
    rows=("rvsa",),
    about="the four variants of the row share it; 64.49 is ViTAE-B+RVSA(diamond)",
    fields={
        "split": differs(
            f"{RVSA_FILE}:57-68",
            "tiles of PFSegNets, of which val has 11,533 to 11,536, here mmsegmentation's 11,644",
        ),
        "size": agrees(f"{RVSA_FILE}:14"),
        "tile": differs(f"{RVSA_FILE}:7", "896 px too, cut by PFSegNets' rule"),
        "length": agrees(f"{RVSA_LOG}:1", "37.7 passes, as SkySense's 80,000 steps of 16"),
        "batch": agrees(f"{RVSA_LOG}:1", "2 (:55) on each of gpu_ids range(0, 4)"),
        "optimizer": agrees(f"{RVSA_FILE}:77"),
        "lr": agrees(f"{RVSA_FILE}:77"),
        "weight_decay": agrees(f"{RVSA_FILE}:77"),
        "schedule": agrees(f"{RVSA_FILE}:85-89"),
        "warm_up": agrees(f"{RVSA_FILE}:87"),
        "layer_decay": agrees(f"{RVSA_FILE}:78-83"),
        "drop_path": agrees(f"{RVSA_FILE}:99"),
        "precision": agrees(f"{RVSA_LOG}:1", BY_DEFAULT_TF32),
        "clip": agrees(f"{RVSA_FILE}:91", "none"),
        "augment": agrees(
            f"{RVSA_FILE}:14-17", "a crop of 896 px takes these tiles whole, and nothing is scaled"
        ),
        "mixing": agrees(f"{RVSA_FILE}:11-22", "none"),
        "head": agrees(f"{RVSA_MODEL}:18-40", "UPerHead 512 and FCN 256, as SkySense's"),
        "features": standardised(f"{RVSA_MODEL}:18-40"),
        "loss": agrees(MMSEG_LOSS, "mmsegmentation's default, the mean over all pixels"),
        "state": agrees(f"{RVSA_LOG}", "the README's numbers stand in the last line of the logs"),
        "views": agrees(f"{RVSA_FILE}:23-38", "whole tiles and their mirror images"),
        "metric": agrees(f"{RVSA_FILE}:112", "mIoU of 16 classes with the background"),
    },
)

RECIPES = (OFFICIAL, RVSA)
