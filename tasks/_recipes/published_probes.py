"""Protocols by which other benchmarks score frozen backbones on segmentation, by name.

Their numbers stand on other splits, inputs and feature levels; what is here is the training of the
head: `--recipe frozen:pangaea`, `frozen:torchgeo-bench`, `linear:torchgeo-bench`,
`linear:olmoearth`.
"""

from __future__ import annotations

from skybench.core import FieldSource, Recipe, SourcedRecipe

NOT_SAID = FieldSource("unknown", "", "the file that was seen does not say it")
FROZEN = FieldSource("unknown", "", "none: the backbone is frozen")
WHOLE = FieldSource("unknown", "", "whole images in one view here")


def agrees(at: str, note: str = "") -> FieldSource:
    """Return that the source has the same, in a file and its lines."""
    return FieldSource("agrees", at, note)


def differs(at: str, note: str) -> FieldSource:
    """Return that the source has something else, which the note tells."""
    return FieldSource("differs", at, note)


def other_data(at: str) -> FieldSource:
    """Return that splits, sizes and tiles are those of the data set here, not of the source."""
    return differs(at, "of the data set as it is here; theirs are other sets and sizes")


PANGAEA_TASK = "configs/task/segmentation.yaml"
PANGAEA_HEAD = "configs/decoder/seg_upernet.yaml"
PANGAEA_ADAMW = "configs/optimizer/adamw.yaml"
PANGAEA_STEPS = "configs/lr_scheduler/multi_step_lr.yaml"
PANGAEA = SourcedRecipe(
    name="pangaea",
    kind="own source",
    recipe=Recipe(
        "frozen",
        val="val",
        epochs=80,
        batch=8,
        lr=1e-4,
        weight_decay=0.05,
        schedule="multistep=0.6,0.9",
        width=512,
        validate=5,
        state="best-on-val",
    ),
    repository="VMarsocci/pangaea-bench@f20f3d3",
    file=PANGAEA_TASK,
    about="the head's training of PANGAEA's segmentation benchmark; normalisation of the images, "
    "levels of the backbone and sizes are those of the model here",
    fields={
        "split": other_data(PANGAEA_TASK),
        "size": other_data(PANGAEA_TASK),
        "tile": other_data(PANGAEA_TASK),
        "length": agrees(PANGAEA_TASK, "80 epochs"),
        "batch": agrees("configs/train.yaml", "8"),
        "optimizer": agrees(PANGAEA_ADAMW, "AdamW, betas .9 and .999"),
        "lr": agrees(PANGAEA_ADAMW),
        "weight_decay": agrees(PANGAEA_ADAMW),
        "schedule": agrees(PANGAEA_STEPS, "x 0.1 at 0.6 and 0.9 of all steps"),
        "warm_up": agrees(PANGAEA_STEPS, "none"),
        "layer_decay": FROZEN,
        "drop_path": FROZEN,
        "precision": agrees(PANGAEA_TASK, "fp32"),
        "clip": NOT_SAID,
        "augment": FieldSource("unknown", "", "none here; its preprocessing is an argument there"),
        "mixing": NOT_SAID,
        "head": differs(
            PANGAEA_HEAD,
            "UPerNet of 512 channels; with an FCN auxiliary head here",
        ),
        "features": differs(
            PANGAEA_HEAD,
            "standardised by the training data before the head; there as the backbone gives",
        ),
        "loss": FieldSource("unknown", "", "cross-entropy; its criterion is an argument there"),
        "state": agrees(PANGAEA_TASK, "the best of every 5 epochs on validation"),
        "views": WHOLE,
        "metric": NOT_SAID,
    },
    usual=False,
)

BENCH_CONFIG = "torchgeo/torchgeo-bench@00d0b82:src/torchgeo_bench/conf/config.yaml"
BENCH_METHOD = "torchgeo/torchgeo-bench@1253522:METHODOLOGY.md"
BENCH_HEADS = "torchgeo/torchgeo-bench@241b178:src/torchgeo_bench/models/segmentation_heads.py"
BENCH_FIELDS = {
    "split": other_data(BENCH_METHOD),
    "size": differs(f"{BENCH_CONFIG}:22", "224 px there; as the data set says here"),
    "tile": other_data(BENCH_METHOD),
    "length": agrees(f"{BENCH_CONFIG}:45", "10 epochs"),
    "batch": agrees(f"{BENCH_CONFIG}:19", "64"),
    "optimizer": agrees(BENCH_METHOD, "AdamW"),
    "lr": agrees(f"{BENCH_CONFIG}:44"),
    "weight_decay": FieldSource("unknown", BENCH_METHOD, "not said; AdamW's default in torch"),
    "schedule": agrees(BENCH_METHOD, "CosineAnnealingLR to 1e-6; here by step"),
    "warm_up": agrees(BENCH_METHOD, "none"),
    "layer_decay": FROZEN,
    "drop_path": FROZEN,
    "precision": differs(BENCH_METHOD, "float16 features under autocast; float32 here"),
    "clip": NOT_SAID,
    "augment": agrees(BENCH_METHOD, "none: features are cached"),
    "mixing": agrees(BENCH_METHOD, "none"),
    "features": differs(
        BENCH_METHOD,
        "standardised by the training data once; batch normalisation of each level there",
    ),
    "loss": agrees(f"{BENCH_CONFIG}:46-48", "cross-entropy, 255 left out"),
    "state": agrees(BENCH_METHOD, "the last; nothing is chosen"),
    "views": WHOLE,
    "metric": agrees(BENCH_METHOD, "mIoU over all pixels of the test split"),
}
BENCH_RECIPE = Recipe(
    "frozen",
    val="",
    epochs=10,
    batch=64,
    lr=1e-3,
    weight_decay=0.01,
    schedule="cosine=1e-6",
    head="fpn",
    width=256,
    state="last",
)
TORCHGEO_FPN = SourcedRecipe(
    name="torchgeo-bench",
    kind="own source",
    recipe=BENCH_RECIPE,
    repository="torchgeo/torchgeo-bench@00d0b82",
    file="src/torchgeo_bench/conf/config.yaml",
    about="the default head of torchgeo-bench's segmentation; which layers are read is set for "
    "each model there, here the levels of the model's card",
    fields={
        **BENCH_FIELDS,
        "head": agrees(BENCH_HEADS, "256 channels, the levels concatenated"),
    },
    usual=False,
)
TORCHGEO_LINEAR = SourcedRecipe(
    name="torchgeo-bench",
    kind="own source",
    recipe=Recipe(
        "linear",
        val="",
        epochs=10,
        batch=64,
        lr=1e-3,
        weight_decay=0.01,
        schedule="cosine=1e-6",
        state="last",
    ),
    repository="torchgeo/torchgeo-bench@00d0b82",
    file="src/torchgeo_bench/conf/config.yaml",
    about="its head `linear`, trained as its FPN is; which layers are read is set for each model "
    "there, here the levels of the model's card",
    fields={
        **BENCH_FIELDS,
        "head": differs(
            BENCH_METHOD,
            "1x1 convolutions whose logits are added; weighted by learned scalars there",
        ),
    },
    usual=False,
)

OLMO_PROBE = "allenai/olmoearth_pretrain@05ac230:olmoearth_pretrain/evals/linear_probe.py"
OLMO_TASKS = "olmoearth_pretrain/internal/all_evals.py"
OLMO_SWEEP = "olmoearth_pretrain/internal/full_eval_sweep.py"
OLMO_RATES = ("1e-4", "5e-4", "1e-3", "5e-3", "1e-2", "5e-2", "1e-1", "5e-1")
OLMOEARTH = SourcedRecipe(
    name="olmoearth",
    kind="own source",
    recipe=Recipe(
        "linear",
        val="val",
        epochs=50,
        batch=8,
        lr=1e-3,
        rates=OLMO_RATES,
        weight_decay=0.01,
        schedule="cosine=1e-5",
        warm_up=0.1,
        precision="bf16",
        validate=5,
        state="best-on-val",
    ),
    repository="allenai/olmoearth_pretrain@0a8852ed",
    file=OLMO_SWEEP,
    about="OlmoEarth's linear probe on the patches of one level; it sweeps pooling and "
    "normalisation of the images too, which are the model's own here",
    fields={
        "split": other_data(OLMO_PROBE),
        "size": other_data(OLMO_PROBE),
        "tile": other_data(OLMO_PROBE),
        "length": agrees(OLMO_PROBE, "50 epochs"),
        "batch": differs(OLMO_TASKS, "8 to 128 by data set; 8 here"),
        "optimizer": agrees(OLMO_PROBE, "AdamW"),
        "lr": differs(
            f"{OLMO_SWEEP}:30",
            "the same eight rates, each trained to its end and chosen on validation; here by short "
            "trainings on held-out training data",
        ),
        "weight_decay": agrees(OLMO_PROBE, "AdamW's default in torch, 0.01"),
        "schedule": agrees(OLMO_PROBE, "cosine to 1e-5, by step"),
        "warm_up": agrees(OLMO_PROBE, "a tenth of the epochs"),
        "layer_decay": FROZEN,
        "drop_path": FROZEN,
        "precision": agrees(OLMO_PROBE, "bf16 autocast"),
        "clip": agrees(OLMO_PROBE, "none"),
        "augment": agrees(OLMO_PROBE, "none: embeddings are cached"),
        "mixing": agrees(OLMO_PROBE, "none"),
        "head": differs(
            OLMO_PROBE,
            "one linear layer gives each patch the logits of all its pixels there; a 1x1 "
            "convolution of every level, upsampled, here",
        ),
        "features": differs(OLMO_PROBE, "standardised by the training data; there as they are"),
        "loss": agrees(OLMO_PROBE, "cross-entropy over the labelled pixels"),
        "state": agrees(OLMO_SWEEP, "the best of every 5 epochs on validation"),
        "views": WHOLE,
        "metric": NOT_SAID,
    },
    usual=False,
)
PUBLISHED_PROBES = (PANGAEA, TORCHGEO_FPN, TORCHGEO_LINEAR, OLMOEARTH)
