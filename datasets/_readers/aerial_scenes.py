"""What AID and RESISC45 share: the published split lists and the fine-tuning recipe."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from skybench.core import Column, DatasetCard, Recipe, Setup
from skybench.data.split_lists import SplitList

if TYPE_CHECKING:
    from skybench.core.dataset import Samples

# The folders are named in that repository's README; the path of each file could not be opened and
# is unverified. A wrong path or file cannot do harm: the content is checked by fingerprint.
URL = (
    "https://raw.githubusercontent.com/MiliLab/SelectiveMAE/"
    "52702107cb61157f90f08e1df564c63ef27c244d/Classification/"
)
SIZE = 320  # of SkySense's scene classification (arXiv 2312.10115, supplement, unverified)
# SkySense's own recipe is not public, but for head and size (supplement, unverified).
MTP = (
    "ViTAE-Transformer/MTP@d5e84ff RS_Tasks_Finetune/Scene_Classification/configs/mtp/resisc45/"
    "vit-rvsa-l-224-mae-mtp_nwpu28.py"
)
FINETUNE = Recipe(
    "finetune",
    val="",
    epochs=200,
    batch=64,
    lr=6e-5,
    weight_decay=0.05,
    schedule="cosine",
    warm_up=5 / 200,
    layer_decay=0.9,
    drop_path=0.3,
    augment=("resized_crop", "flip", "randaugment=2,9,0.5", "erase=0.25"),
    source=f"seen substitute: {MTP}, made for 20 %; 64 as 8 images on each of 8 GPUs, which its "
    "log's 99 steps an epoch confirm; differs: images of 320 px (SkySense's supplement, "
    "unverified), seen whole in tests, for its 224 px cut from 256",
)


class Ratio(NamedTuple):
    """The published lists of a training ratio, of tag 0."""

    percent: str
    tag: str  # of the file names
    train: str  # sha256 of the sorted file names in the list
    test: str


def setup(finetune: Recipe, *percents: str) -> Setup:
    """Return the setup of scene classification: papers report two training ratios."""
    columns = tuple(Column(f"train{p}", "", f"test{p}", f"{p} %") for p in percents)
    return Setup(columns=columns, size=SIZE, recipes={"finetune": finetune})


def split_lists(card: DatasetCard, folder: str, *ratios: Ratio) -> dict[str, SplitList]:
    """Return the published lists by split; folder: below `URL`."""
    files = {
        name: (file, sha256)
        for percent, tag, train, test in ratios
        for name, file, sha256 in (
            (f"train{percent}", f"train_labels_{tag}.txt", train),
            (f"test{percent}", f"valid_labels_{tag}.txt", test),
        )
    }
    return {
        split: SplitList(file, card.splits[split], sha256, f"{URL}{folder}/{file}")
        for split, (file, sha256) in files.items()
    }


def open_ratio(
    card: DatasetCard, root: Path, split: str, folder: str, lists: Mapping[str, SplitList]
) -> Samples:
    """Open a split; train and test mean the first ratio. folder: of the images below the root."""
    from . import images, layout

    aliases = dict(zip(("train", "test"), card.splits, strict=False))
    name = layout.resolve_split(card, split, aliases)
    tree = images.scan_class_folders(card, root, (folder, f"{folder}/{folder}"))
    return images.split_by_ratio(tree, root, name, lists)
