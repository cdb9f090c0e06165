"""Recipes for OSCD: MTP's, and SeCo's, in which the encoder is not trained."""

from __future__ import annotations

from skybench.core import Recipe, SourcedRecipe

from . import agrees, differs, standardised, unknown
from .levir_cd import BY_EPOCH, MTP_AUGMENT, MTP_REPOSITORY, NO_RELEASE

FILE = "RS_Tasks_Finetune/Change_Detection/configs/mtp/oscd/rvsa-l-unet-96-mae-mtp_oscd_rgb.py"
SECO_FILE = "main_oscd.py"
DATA = "datasets/oscd_datamodule.py"
READER = "datasets/oscd_dataset.py"

MTP = SourcedRecipe(
    name="mtp",
    kind="substitute",
    recipe=Recipe(
        "finetune",
        val="",
        epochs=100,
        batch=32,
        lr=6e-5,
        weight_decay=0.05,
        head="unet-mtp",
        width=512,
        schedule="cosine",
        warm_up=5 / 100,
        layer_decay=0.9,
        drop_path=0.3,
        loss="all-pixels",
        state="last",
        augment=MTP_AUGMENT,
    ),
    repository=MTP_REPOSITORY,
    file=FILE,
    rows=("mtp",),
    about=(
        "SkySense's supplement names a UNet and 96 px (unverified); whether its encoder was "
        "trained is not known"
    ),
    fields={
        "split": agrees(f"{FILE}:58-96", "14 cities to train and 10 to test"),
        "size": agrees(f"{FILE}:26-29", "tiles of 96 px are enlarged to 224 px"),
        "tile": agrees(f"{FILE}:24", "96 px: 26 steps of 32 an epoch make 827 tiles"),
        "length": agrees(f"{FILE}:138", "100 epochs of 26 steps"),
        "batch": agrees(f"{FILE}:59", "4 on each of 8 GPUs: 26 steps an epoch in the log"),
        "optimizer": agrees(f"{FILE}:105-108"),
        "lr": agrees(f"{FILE}:107"),
        "weight_decay": agrees(f"{FILE}:107"),
        "schedule": differs(f"{FILE}:128-134", BY_EPOCH),
        "warm_up": agrees(f"{FILE}:118-126", "5 epochs"),
        "layer_decay": agrees(f"{FILE}:108-113"),
        "drop_path": agrees(f"{FILE}:174", ".3 for ViT-L"),
        "precision": unknown(NO_RELEASE, f"{FILE}:105-113"),
        "clip": agrees(f"{FILE}:105-113", "none"),
        "augment": agrees(f"{FILE}:31-39", "a crop of 224 px takes the tiles whole"),
        "mixing": agrees(f"{FILE}:27-41", "none"),
        "head": agrees(f"{FILE}:189-210", "UNet 512-256-128-64 on the difference, dropout .1"),
        "features": standardised(f"{FILE}:189-192"),
        "loss": agrees(f"{FILE}:209-210", "the mean over all pixels"),
        "state": agrees(
            "RS_Tasks_Finetune/Change_Detection/logs/oscd",
            "55.92, 53.36 and 55.61 are epoch 100, the last; the best epoch on the test cities has "
            "58.35, 53.36 and 57.73",
        ),
        "views": agrees(f"{FILE}:51-56", "whole tiles"),
        "metric": differs(
            f"{FILE}:98-99", "one count over 385 tiles too, but with the padded edges, here without"
        ),
    },
)

SECO = SourcedRecipe(
    name="seco",
    kind="own source",
    recipe=Recipe(
        "frozen",
        val="",
        size=96,
        epochs=100,
        max_steps=2_500,
        batch=32,
        lr=1e-3,
        optimizer="adam",
        weight_decay=1e-4,
        width=256,
        schedule="exponential=0.95",
        state="last",
        augment=("flip", "quarter"),
    ),
    repository="ServiceNow/seasonal-contrast@8285173",
    file=SECO_FILE,
    rows=("seco", "ssl4eo"),
    usual=False,
    about=(
        "the encoder is not trained, in the rows of those who copy the script neither, as "
        "SSL4EO-S12 (zhu-xlab/SSL4EO-S12@44399c4:src/benchmark/transfer_change_detection/"
        "main_oscd.py)"
    ),
    fields={
        "split": agrees(f"{DATA}:62-73", "14 cities to train, 10 to test"),
        "size": agrees(f"{SECO_FILE}:84", "96 px"),
        "tile": agrees(
            f"{READER}:ChangeDetectionDataset", "96 px, padded at the right and lower edge"
        ),
        "length": agrees(
            f"{SECO_FILE}:107", "100 epochs of 25 steps, for the incomplete batch is dropped"
        ),
        "batch": agrees(f"{DATA}:75-83"),
        "optimizer": agrees(f"{SECO_FILE}:73", "Adam, of the head alone (:72)"),
        "lr": agrees(f"{SECO_FILE}:73"),
        "weight_decay": differs(
            f"{SECO_FILE}:73", "in the gradient too; there also of biases and norms"
        ),
        "schedule": differs(
            f"{SECO_FILE}:74", "x .95 every 25 steps there, every 26 here: .0063 at the end, .0073"
        ),
        "warm_up": agrees(f"{SECO_FILE}:71-75", "none"),
        "layer_decay": agrees(f"{SECO_FILE}:72", "the encoder is not trained"),
        "drop_path": agrees(f"{SECO_FILE}:72", "none"),
        "precision": agrees(f"{SECO_FILE}:107", "float32"),
        "clip": agrees(f"{SECO_FILE}:107", "none"),
        "augment": agrees(f"{DATA}:10-25, 65", "flips left to right and quarter turns"),
        "mixing": agrees(f"{DATA}:65", "none"),
        "head": differs(
            "models/segmentation.py:UNet",
            "a UNet on |first - second| too, there of 256-128-64-64 channels with nearest "
            "upsampling and dropout .3, here of 256 in all levels",
        ),
        "features": differs(
            f"{SECO_FILE}:71-75",
            "the encoder's batch normalisation is in training mode there and adapts to OSCD; here "
            "it is not, and features are standardised before the head",
        ),
        "loss": differs(
            f"{SECO_FILE}:24",
            "binary cross-entropy of one logit, the same as of two classes here, but with the "
            "padded pixels as unchanged",
        ),
        "state": unknown(
            "the last epoch's checkpoint is kept, F1 is logged every epoch; which is printed is "
            "not said: the last here",
            f"{SECO_FILE}:106",
        ),
        "views": agrees(f"{DATA}:68-73", "whole tiles"),
        "metric": differs(
            f"{SECO_FILE}:48-57",
            "a mean over shuffled batches of 32 of the test cities, which is `f1_batch` here, "
            "beside F1 of one count; the shuffle alone moves it by sd .44",
        ),
    },
)

RECIPES = (MTP, SECO)
