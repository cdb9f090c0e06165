"""What AID and RESISC45 share: the published split lists and the setup."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from skybench.core import Column, DatasetCard, Setup, SourcedRecipe
from skybench.data.split_lists import SplitList

from .._recipes.aerial_scenes import SIZE

if TYPE_CHECKING:
    from skybench.core.dataset import Samples

# The folders are named in that repository's README; the path of each file could not be opened and
# is unverified. A wrong path or file cannot do harm: the content is checked by fingerprint.
URL = (
    "https://raw.githubusercontent.com/MiliLab/SelectiveMAE/"
    "52702107cb61157f90f08e1df564c63ef27c244d/Classification/"
)


class Ratio(NamedTuple):
    """The published lists of a training ratio, of tag 0."""

    percent: str
    tag: str  # of the file names
    train: str  # sha256 of the sorted file names in the list
    test: str


def setup(recipes: tuple[SourcedRecipe, ...], *percents: str) -> Setup:
    """Return the setup of scene classification: papers report two training ratios."""
    columns = tuple(Column(f"train{p}", "", f"test{p}", f"{p} %") for p in percents)
    return Setup(columns=columns, size=SIZE, sourced=recipes)


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
