"""The setups of a user's own folder, by task; light enough for `skybench list`."""

from __future__ import annotations

from skybench.core import Recipe, Setup

CLASSIFICATION = Setup(
    size=224,
    recipes={
        "finetune": Recipe(
            "finetune",
            val="",
            epochs=50,
            batch=32,
            lr=6e-5,
            weight_decay=0.05,
            schedule="cosine",
            warm_up=0.05,
            layer_decay=0.9,
            drop_path=0.1,
            augment=("resized_crop=0.3,1", "flip", "vflip"),
            source="ours: for images of your own; rates and schedule after MTP's for RESISC45, "
            "fewer epochs, milder augmentation",
        )
    },
)
SEGMENTATION = Setup(
    recipes={
        "finetune": Recipe(
            "finetune",
            val="",
            epochs=50,
            batch=8,
            lr=6e-5,
            weight_decay=0.01,
            width=512,
            schedule="poly",
            warm_up=0.05,
            layer_decay=0.9,
            drop_path=0.1,
            augment=("resize_crop=0.5,2,0.75", "flip", "vflip", "photometric"),
            source="ours: for images of your own; rates, schedule and augmentation after "
            "SkySense's for iSAID, for 50 epochs",
        )
    },
)
CHANGE = Setup(
    recipes={
        "finetune": Recipe(
            "finetune",
            val="",
            epochs=100,
            batch=8,
            lr=6e-5,
            weight_decay=0.05,
            width=256,
            schedule="cosine",
            warm_up=0.05,
            layer_decay=0.9,
            drop_path=0.1,
            augment=("rotflip=20", "exchange=0.5", "photometric=10,0.8,1.2,0.8,1.2,10"),
            source="ours: for pairs of your own; rates and augmentation after MTP's for LEVIR-CD",
        )
    },
)
DETECTION = Setup(
    recipes={
        "finetune": Recipe(
            "finetune",
            val="",
            epochs=12,
            batch=8,
            lr=1e-4,
            weight_decay=0.05,
            width=256,
            schedule="step",
            warm_up=0.1,
            layer_decay=0.9,
            drop_path=0.1,
            augment=("flip", "vflip"),
            source="ours: for images of your own; rates and epochs after SkySense's for DIOR",
        )
    },
    merge_tiles=True,
)
SETUPS = {
    "scene_classification": CLASSIFICATION,
    "semantic_segmentation": SEGMENTATION,
    "change_detection": CHANGE,
    "horizontal_detection": DETECTION,
    "oriented_detection": DETECTION,
}
