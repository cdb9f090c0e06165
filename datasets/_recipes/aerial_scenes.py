"""Recipes of AID and RESISC45: RVSA's own for both, and MTP's for RESISC45."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from skybench.core import FieldSource, Recipe, SourcedRecipe

from . import agrees, differs, standardised, unknown
from .eurosat import MTP, SCENES, TRAINING, mtp_fields

SIZE = 320  # of SkySense's scene classification (arXiv 2312.10115, supplement, unverified)
SHOWN = 224 / 256  # of the side of a test image, in the authors' recipes
LARGER = "224 px; 320 px are SkySense's (supplement, unverified)"

RVSA = "ViTAE-Transformer/Remote-Sensing-RVSA@ef153d7"
SCRIPT = "MAEPretrain_SceneClassification/main_finetune.py"
LISTS = "MAEPretrain_SceneClassification/util/datasets.py"
NETWORK = "MAEPretrain_SceneClassification/vit_win_rvsa.py"

RVSA_320 = Recipe(
    "finetune",
    val="",
    size=SIZE,
    epochs=200,
    batch=64,
    lr=2.5e-4,
    weight_decay=0.05,
    schedule="cosine=1e-6",
    warm_up=5 / 200,
    layer_decay=0.75,
    drop_path=0.1,
    state="last",
    augment=("resized_crop", "flip", "randaugment=2,9,0.5", "erase=0.25"),
    mixup=0.8,
    cutmix=1.0,
    smoothing=0.1,
)
RVSA_FIELDS: Mapping[str, FieldSource] = {
    "split": agrees(f"{LISTS}:133-199", "the lists of tag 0; papers average several runs"),
    "size": agrees(f"{SCRIPT}:54"),
    "tile": agrees(f"{LISTS}:133-199", "whole images"),
    "length": agrees("Readme.md:236-243"),
    "batch": agrees(f"{SCRIPT}:44", "over all GPUs together"),
    "optimizer": agrees(f"{SCRIPT}:44-170", "AdamW"),
    "lr": agrees(f"{SCRIPT}:68", "0.001 for 256 images"),
    "weight_decay": agrees(f"{SCRIPT}:63"),
    "schedule": agrees(f"{SCRIPT}:73"),
    "warm_up": agrees(f"{SCRIPT}:76"),
    "layer_decay": agrees(f"{SCRIPT}:70"),
    "drop_path": agrees(f"{SCRIPT}:156"),
    "precision": differs(
        "MAEPretrain_SceneClassification/engine_finetune.py",
        "fp16 by autocast; float32 here, which hardly moves the score",
    ),
    "clip": agrees(f"{SCRIPT}:61", "none"),
    "augment": agrees(f"{SCRIPT}:80-92", "bicubic there, bilinear here"),
    "mixing": agrees(f"{SCRIPT}:98-109", "one of both in every batch"),
    "head": agrees(NETWORK, "a linear classifier"),
    "features": standardised(NETWORK),
    "loss": agrees(f"{SCRIPT}:84"),
    "state": differs(
        f"{SCRIPT}:384-403",
        "the epoch with the highest accuracy on the test list is kept (that its score is the "
        "printed one is unverified); the last here, the highest by --set state=best-on-test, which "
        "marks the record",
    ),
    "views": agrees(f"{LISTS}:133-199", "224 px cut from 256"),
    "metric": agrees(f"{SCRIPT}:384-403", "top-1"),
}


def rvsa(**changes: FieldSource) -> Mapping[str, FieldSource]:
    """Return what RVSA's sources say, but for the aspects given."""
    return {**RVSA_FIELDS, **changes}


RVSA_OWN = SourcedRecipe(
    name="rvsa",
    kind="own source",
    recipe=replace(RVSA_320, size=224, test_crop=SHOWN),
    repository=RVSA,
    file=SCRIPT,
    rows=("rvsa",),
    about="its published scores are the best of four networks",
    fields=RVSA_FIELDS,
)
RVSA_LARGER = SourcedRecipe(
    name="rvsa-320",
    kind="substitute",
    recipe=RVSA_320,
    repository=RVSA,
    file=SCRIPT,
    about="complete, and made for AID and RESISC45; a linear classifier is also what SkySense's "
    "supplement names (unverified)",
    fields=rvsa(
        size=differs(f"{SCRIPT}:54", LARGER),
        views=differs(f"{LISTS}:133-199", "the centre of 7/8 of the side; whole here"),
    ),
)

SELECTIVE = "of SelectiveMAE's folder Classification no file was opened; as in RVSA's script here"
SELECTIVEMAE = SourcedRecipe(
    name="selectivemae",
    kind="own source",
    recipe=replace(RVSA_OWN.recipe, epochs=100, batch=1024, lr=4e-3, warm_up=5 / 100),
    repository="MiliLab/SelectiveMAE@5270210",
    file="README.md",
    about="the options of its command are those of RVSA's script; what the command leaves out is "
    "unknown",
    fields={
        **dict.fromkeys(RVSA_FIELDS, unknown(SELECTIVE)),
        "split": agrees("README.md", "its lists are the ones here"),
        **{
            name: agrees("README.md", "the command under Classification")
            for name in ("length", "batch", "weight_decay", "warm_up", "metric")
        },
        "lr": agrees("README.md", "0.001 for 256 images, if scaled as in RVSA's script"),
    },
)

FILE = f"{SCENES}/configs/mtp/resisc45/vit-rvsa-l-224-mae-mtp_nwpu28.py"
LOG = f"{SCENES}/logs/resisc45/rvsa-l-mae-mtp.json"
MTP_320 = replace(TRAINING, size=SIZE, epochs=200, warm_up=5 / 200)
MTP_FIELDS: Mapping[str, FieldSource] = {
    **mtp_fields(FILE),
    "split": unknown(
        "of RESISC45's 20 % alone; whether its list (…_28_mtp.txt) is that of tag 0 is not said",
        f"{FILE}:162, 175",
    ),
    "size": agrees(f"{FILE}:120"),
    "drop_path": agrees(f"{FILE}:197"),
    "head": agrees(f"{FILE}:212-219", "a linear classifier"),
    "features": standardised(f"{FILE}:212"),
    "loss": agrees(f"{FILE}:217"),
    "state": agrees(LOG, "95.88 at epoch 200, the last, as in the README"),
    "views": agrees(f"{FILE}:144-154", "224 px cut from 256"),
    "metric": agrees(f"{FILE}:182"),
}
MTP_OWN = SourcedRecipe(
    name="mtp",
    kind="own source",
    recipe=replace(MTP_320, size=224, test_crop=SHOWN),
    repository=MTP,
    file=FILE,
    rows=("mtp",),
    about="of ViT-L, for 20 % of RESISC45",
    fields=MTP_FIELDS,
)
MTP_LARGER = SourcedRecipe(
    name="mtp-320",
    kind="substitute",
    recipe=MTP_320,
    repository=MTP,
    file=FILE,
    about="of ViT-L, for 20 % of RESISC45",
    fields={
        **MTP_FIELDS,
        "size": differs(f"{FILE}:120", LARGER),
        "views": differs(f"{FILE}:144-154", "the centre of 7/8 of the side; whole here"),
    },
)

AID = (
    RVSA_LARGER,
    RVSA_OWN,
    replace(
        MTP_OWN,
        kind="substitute",
        rows=(),
        about="of ViT-L, for 20 % of RESISC45, not for AID",
        fields={
            **MTP_FIELDS,
            "split": differs(f"{FILE}:162, 175", "for RESISC45; AID has other lists"),
        },
    ),
    SELECTIVEMAE,
)
RESISC45 = (MTP_LARGER, MTP_OWN, RVSA_OWN)
