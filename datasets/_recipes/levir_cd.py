"""Recipes for LEVIR-CD: BIT with a transformer backbone, MTP's UNet, and BIT's first ones."""

from __future__ import annotations

from dataclasses import replace

from skybench.core import Column, Recipe, SourcedRecipe

from . import agrees, differs, standardised, unknown

CMID = "NJU-LHRS/official-CMID@3c343db"
FILE = "ChangeDetection/train.py"
NETWORK = "ChangeDetection/models/networks.py"
RSP = "ViTAE-Transformer/ViTAE-Transformer-Remote-Sensing@1b10162"  # where CMID's code comes from
RSP_DATA = f"{RSP}:Change Detection/utils/transforms.py"
RSP_LOSS = f"{RSP}:Change Detection/utils/helpers.py:get_criterion"
BIT_BACKBONE = (
    "BIT on the third of four levels, as there; the Swin there also has dropout .3 in its blocks"
)
KEPT = (
    "there every epoch is kept whose precision, recall or F1 on validation, each a mean over "
    "batches, exceeds that of the last one kept, and which is printed is not said; here the epoch "
    "with the best F1 of one count"
)

BIT = SourcedRecipe(
    name="bit",
    kind="substitute",
    recipe=Recipe(
        "finetune",
        epochs=200,
        batch=8,
        lr=6e-5,
        weight_decay=0.01,
        head="bit",
        width=32,
        schedule="poly",
        layer_decay=1.0,
        drop_path=0.3,
        validate=1,
        state="best-on-val",
        augment=("flip", "vflip", "quarter"),
    ),
    repository=CMID,
    file=FILE,
    rows=("rsp", "cmid"),
    about=(
        "BIT under a transformer, which SkySense's supplement names as its head (unverified), by "
        "CMID after RSP, which has the same numbers (ViTAE-Transformer/RSP@1c934b3)"
    ),
    fields={
        "split": agrees(f"{FILE}:60-64", "train, val and test in tiles of 256 px"),
        "size": agrees("ChangeDetection/metadata.json:2", "256 px"),
        "tile": agrees("ChangeDetection/metadata.json:2", "256 px side by side"),
        "length": agrees(f"{FILE}:240", "200 epochs"),
        "batch": agrees(f"{FILE}:241", "8 on one GPU"),
        "optimizer": agrees(f"{FILE}:78"),
        "lr": agrees(f"{FILE}:78"),
        "weight_decay": differs(
            f"{FILE}:78", "of all parameters there, here not of biases, norms and positions"
        ),
        "schedule": differs(f"{FILE}:31-35", "falls after each epoch there, here at each step"),
        "warm_up": agrees(f"{FILE}:31-35", "none"),
        "layer_decay": agrees(f"{FILE}:78", "one rate for all layers"),
        "drop_path": agrees(f"{NETWORK}:Backbone", "of the Swin backbones"),
        "precision": unknown("no autocast; neither PyTorch's release nor the GPU is said"),
        "clip": agrees(f"{FILE}:119-122", "none: the line that clips is a comment"),
        "augment": agrees(f"{RSP_DATA}:train_transforms", "flips, and quarter turns by chance"),
        "mixing": agrees(f"{RSP_DATA}:train_transforms", "none"),
        "head": agrees(f"{NETWORK}:BASE_Transformer", BIT_BACKBONE),
        "features": standardised(f"{NETWORK}:Backbone"),
        "loss": agrees(RSP_LOSS, "cross-entropy of two classes, which is called bce there"),
        "state": differs(f"{FILE}:202-225", KEPT),
        "views": agrees("ChangeDetection/eval.py:17-30", "whole tiles"),
        "metric": differs(
            "ChangeDetection/eval.py:7-9",
            "the paper's is a mean over batches by that comment; here one count, as in eval.py",
        ),
    },
)

BIT_RESNET = replace(
    BIT,
    name="bit-resnet",
    recipe=replace(BIT.recipe, lr=2e-3, optimizer="sgd=0.99", weight_decay=5e-4, drop_path=0.0),
    rows=(),
    about="the same authors' for ResNet backbones; RSP's has a rate of .001",
    fields={
        **BIT.fields,
        "optimizer": agrees(f"{FILE}:74", "SGD with momentum .99"),
        "lr": agrees(f"{FILE}:74"),
        "weight_decay": differs(
            f"{FILE}:74", "of all parameters there, here not of biases, norms and positions"
        ),
        "layer_decay": agrees(f"{FILE}:74", "one rate for all layers"),
        "drop_path": agrees(f"{NETWORK}:Backbone", "none in the ResNets"),
        "head": agrees(f"{NETWORK}:BASE_Transformer", "BIT on the third of four levels"),
    },
)

BIT_CD = "justchenhao/BIT_CD@adcd7ae"
SCRIPT = "scripts/run_cd.sh"
TRAINER = (
    "le05280/BIT_CD_TIF@298bbb4:BIT_CD_TIFF/models/trainer.py"  # a copy; the first is not read
)

BIT_FIRST = replace(
    BIT,
    name="bit-cd",
    kind="own source",
    recipe=Recipe(
        "finetune",
        val="",
        epochs=200,
        batch=8,
        lr=0.01,
        optimizer="sgd=0.9",
        weight_decay=5e-4,
        head="bit",
        width=32,
        schedule="poly",
        layer_decay=1.0,
        state="last",
        augment=("flip", "vflip", "resize_crop=1,1.2"),
    ),
    repository=BIT_CD,
    file=SCRIPT,
    rows=(),
    columns=(Column(train="trainval", val=""),),
    about=(
        "BIT's own, with a ResNet-18; its state is chosen on the test set, which "
        "--set state=best-on-test does, marked as such"
    ),
    fields={
        "split": agrees(f"{SCRIPT}:17-18", "trains on train and val, scored on test"),
        "size": agrees(f"{SCRIPT}:7", "256 px"),
        "tile": agrees(f"{SCRIPT}:7", "256 px side by side"),
        "length": agrees(f"{SCRIPT}:10", "200 epochs"),
        "batch": agrees(f"{SCRIPT}:8", "8 on one GPU"),
        "optimizer": agrees(f"{TRAINER}:41-43", "SGD with momentum .9, in a copy of the trainer"),
        "lr": agrees(f"{SCRIPT}:9"),
        "weight_decay": differs(
            f"{TRAINER}:41-43", "of all parameters there, here not of biases and norms"
        ),
        "schedule": differs(
            f"{CMID}:{NETWORK}:get_scheduler", "falls after each epoch there, here at each step"
        ),
        "warm_up": agrees(f"{CMID}:{NETWORK}:get_scheduler", "none"),
        "layer_decay": agrees(f"{TRAINER}:41-43", "one rate for all layers"),
        "drop_path": agrees(f"{CMID}:{NETWORK}:Backbone", "none in the ResNets"),
        "precision": unknown("no autocast; neither PyTorch's release nor the GPU is said"),
        "clip": agrees(f"{TRAINER}:train_models", "none"),
        "augment": differs(
            "datasets/CD_dataset.py:ImageDataset",
            "blurs every image by up to a pixel, too, which has no name here",
        ),
        "mixing": agrees("datasets/CD_dataset.py:ImageDataset", "none"),
        "head": agrees(
            f"{CMID}:{NETWORK}:BASE_Transformer",
            "4 tokens, encoder of depth 1, decoder of depth 8; the ResNet-18 there ends at stage "
            "4 with a stride of 8",
        ),
        "features": standardised(f"{CMID}:{NETWORK}:Backbone"),
        "loss": agrees(f"{TRAINER}:68-73", "cross-entropy"),
        "state": differs(
            f"{SCRIPT}:18",
            "the epoch with the best mean F1 of both classes on the test set; the last here, for "
            "a choice on the test set is never a default",
        ),
        "views": agrees("datasets/CD_dataset.py:ImageDataset", "whole tiles"),
        "metric": agrees(f"{TRAINER}:_collect_epoch_states", "one count over all tiles"),
    },
)

MTP_FILE = "RS_Tasks_Finetune/Change_Detection/configs/mtp/levir/rvsa-l-unet-256-mae-mtp_levir.py"
MTP_REPOSITORY = "ViTAE-Transformer/MTP@d5e84ff"
MTP_AUGMENT = ("rotflip=20", "exchange=0.5", "photometric=10,0.8,1.2,0.8,1.2,10")
NO_RELEASE = "no autocast; neither PyTorch's release nor what it does by default is said"
BY_EPOCH = "falls after each epoch there, here at each step: at most .011 of the rate apart"

MTP = SourcedRecipe(
    name="mtp",
    kind="own source",
    recipe=Recipe(
        "finetune",
        epochs=150,
        batch=32,
        lr=6e-5,
        weight_decay=0.05,
        head="unet-mtp",
        width=512,
        schedule="cosine",
        warm_up=5 / 150,
        layer_decay=0.9,
        drop_path=0.3,
        loss="all-pixels",
        validate=30,
        state="last",
        augment=MTP_AUGMENT,
    ),
    repository=MTP_REPOSITORY,
    file=MTP_FILE,
    rows=("mtp",),
    about="the test log's 92.67 is the README's, and the best epoch on validation is the last",
    fields={
        "split": agrees(f"{MTP_FILE}:58-96", "train, val and test in tiles of 256 px"),
        "size": agrees(f"{MTP_FILE}:26"),
        "tile": agrees(f"{MTP_FILE}:24", "256 px; the test log has 2,048 tiles"),
        "length": agrees(f"{MTP_FILE}:138", "150 epochs of 223 steps"),
        "batch": agrees(f"{MTP_FILE}:59", "4 on each of 8 GPUs: 223 steps an epoch in the log"),
        "optimizer": agrees(f"{MTP_FILE}:105-108"),
        "lr": agrees(f"{MTP_FILE}:107"),
        "weight_decay": agrees(f"{MTP_FILE}:107"),
        "schedule": differs(f"{MTP_FILE}:128-134", BY_EPOCH),
        "warm_up": agrees(f"{MTP_FILE}:118-126", "5 epochs"),
        "layer_decay": agrees(f"{MTP_FILE}:108-113"),
        "drop_path": agrees(f"{MTP_FILE}:175", ".3 for ViT-L"),
        "precision": unknown(NO_RELEASE, f"{MTP_FILE}:105-113"),
        "clip": agrees(f"{MTP_FILE}:105-113", "none"),
        "augment": agrees(f"{MTP_FILE}:30-38", "a crop of 256 px takes the tiles whole"),
        "mixing": agrees(f"{MTP_FILE}:27-40", "none"),
        "head": agrees(f"{MTP_FILE}:190-211", "UNet 512-256-128-64 on the difference, dropout .1"),
        "features": standardised(f"{MTP_FILE}:190-193"),
        "loss": agrees(f"{MTP_FILE}:210-211", "the mean over all pixels"),
        "state": agrees(
            f"{MTP_FILE}:138, 145-146",
            "scored on val every 30 epochs; the last of 150 is the best and the one printed",
        ),
        "views": agrees(f"{MTP_FILE}:50-56", "whole tiles"),
        "metric": agrees(f"{MTP_FILE}:98-99", "F1 of `changed` from one count over all tiles"),
    },
)

RECIPES = (BIT, MTP, BIT_RESNET, BIT_FIRST)
