"""The setups of a user's own folder, by task; light enough for `skybench list`."""

from __future__ import annotations

from skybench.core import Recipe, Setup

# Fewest steps on small sets, where epochs are a few steps only: see docs/log.md, 2026-11-30. Heads
# on frozen feature maps have a larger floor of their own, on every data set.
MIN_STEPS = 200

CLASSIFICATION = Setup(
    min_steps=MIN_STEPS,
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
    min_steps=MIN_STEPS,
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
    min_steps=MIN_STEPS,
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
    min_steps=MIN_STEPS,
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

LAYOUT = """\
one class each    <class>/a.jpg            or train/<class>/a.jpg, val/… (valid/…), test/…
masks             images/a.jpg, masks/a.png (a_mask.png)   or <group>/images/…, images/train/…;
                  also img, image, img_dir, JPEGImages and mask, labels, gt, ann_dir, annotations,
                  SegmentationClass; other names by `images` and `masks`
pairs of dates    A/a.png, B/a.png, label/a.png; also before and after, pre and post, t1 and t2,
                  im1 and im2; needs no skybench.toml; days are unknown
series            a folder of dated files for a.jpg, as a/2019-07-15.tif
boxes             COCO's JSON (one, or one a split), YOLO's texts with data.yaml, VOC's or CVAT's
                  XML, DOTA's texts, CSV (file, x1, y1, x2, y2, class), GeoJSON on GeoTIFFs
lists of splits   train.txt, val.txt, test.txt in the folder, list/, splits/ or ImageSets/…
files             JPEG, PNG, TIFF, BMP, WebP, JPEG 2000; masks must not be JPEG. GeoTIFFs keep their
                  place; a mask must lie on its image (one that is flipped is turned)
skybench.toml     in the folder, or anywhere with `root`; needed for masks and other sensors:
  root = "."                            relative to this file
  exclude = ["tile8/image_part_003"]    keys or paths, also patterns
  images = "rgb"                        names of the folders of images and of masks;
  masks = "truth"                       or masks = "annotations.json": COCO's regions
  before = "2018"                       names of the folders of pairs
  after = "2020"
  classes = ["land", "road"]            masks hold ids 0, 1, …; 255, NaN and GDAL's nodata are
                                        left out. Masks of 0 and 255 need colours or numbers:
  [classes]                             masks hold colours, in RGB, a palette or grey,
  land = [132, 41, 246]
  [classes]                             or any numbers
  land = 10
  ignore = [[0, 0, 0]]                  colours, or numbers, that are left out as well
  change = true                         masks of what changed between two dates (of a series)
  boxes = "annotations.json"            where it is not found by itself: a file or a folder
  [splits]                              else train/val/test folders, else lists, else 60/20/20 %
  train = ["tile1", "tile2/images/*"]   groups, keys, paths or patterns
  [sensor]                              for images other than 8-bit RGB
  bands = ["red", "green", "blue", "nir"]
  gsd = 10.0
  unit = "reflectance x 1e4"
  scale = 0.0001                        stored * scale + offset is in this unit; else by the
  offset = 0.0                          file's own tags
  [sensor.s1]                           several sensors of one place, one folder each
  bands = ["vv", "vh"]
  folder = "s1"
"""
