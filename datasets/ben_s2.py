"""BigEarthNet-S2: land cover in Sentinel-2 patches, several classes each.

torchgeo's class opens each band through GDAL, which is many times slower, and gives neither dates
nor places.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from skybench.core import Column, DatasetCard, DemoSetup, Setup

from ._readers import bigearthnet as facts
from ._recipes.bigearthnet import BEN_S2, SIZE

if TYPE_CHECKING:
    from skybench.core.dataset import Samples

WHOLE = Column(label="100 %")

CARD = DatasetCard(
    name="ben_s2",
    title="BigEarthNet-S2",
    about=(
        "590,326 Sentinel-2 patches of 1.2 km from ten European countries, June 2017 to May 2018, "
        "with the land cover classes of CORINE that they hold."
    ),
    tasks=("scene_classification",),
    sensors=(facts.S2,),
    classes=facts.CLASSES_19,
    images=facts.IMAGES,
    target=facts.TARGET,
    metric=facts.METRIC,
    setups={
        "scene_classification": Setup(
            columns=(Column("train10", label="10 %"), WHOLE),
            size=SIZE,
            sourced=BEN_S2,
            demo=DemoSetup(columns=(WHOLE,)),
        )
    },
    splits={**facts.SPLITS, **facts.SECO},
    source=facts.SOURCE,
    licence=facts.LICENCE,
    obtain=(
        "`skybench data download ben_s2` (66 GB), or unpack BigEarthNet-S2-v1.0.tar.gz of "
        "zenodo.org/records/12687186 into ben_s2/; then `skybench data splits ben_s2` for the "
        "split lists. ben_s2/ may be a link to ben_mm/."
    ),
    layout=(
        "ben_s2/\n"
        "  BigEarthNet-v1.0/S2A_MSIL2A_20170613T101031_87_48/     590,326 folders\n"
        "    S2A_MSIL2A_20170613T101031_87_48_B01.tif             B01 to B12 and B8A, not B10\n"
        "    S2A_MSIL2A_20170613T101031_87_48_labels_metadata.json\n"
        "  splits/train.csv                                       optional: also val, test\n"
    ),
    caveats=(
        *facts.CAVEATS,
        "every published number whose script is public is scored on SeCo's val, none on the "
        "official test; those of SeCo, CACo and GFM were made in RGB, though tables say Sentinel-2",
    ),
    options={**facts.OPTIONS, "bands": facts.BANDS_OPTION},
    multilabel=True,
)

LISTS = facts.LISTS
REMOTES = (facts.S2_REMOTE,)


def open(root: Path, split: str, tile: int = 0, **options: str) -> Samples:
    """Open a split: images int32 [1, 12, 120, 120] with their classes, uint8 [19] or [43].

    With bands=rgb they are red, green and blue, [1, 3, 120, 120], in the same unit.
    split: train, val, test, train10, and with SeCo's lists seco_train, seco_train10, seco_val;
    `tile` must be 0.
    """
    from ._readers import bigearthnet_read, layout

    layout.require_whole_images(CARD, tile)
    return bigearthnet_read.open_bigearthnet(CARD, root, split, options)


def splits(root: Path) -> list[str]:
    """Return the splits that a folder can have: those of SeCo where it has a list of them."""
    from ._readers import bigearthnet_splits

    listed = bigearthnet_splits.has_seco_lists(root)
    return [name for name in CARD.splits if listed or name not in facts.SECO]


def peer(root: Path, scratch: Path) -> tuple[Samples, Any]:
    """Return training samples and torchgeo's class on the same files, for `skybench bench data`."""
    from ._readers import bigearthnet_read

    ours = bigearthnet_read.open_bigearthnet(CARD, root, "train", {})
    return ours, bigearthnet_read.torchgeo_class(ours, scratch, "s2")


def write_demo(root: Path, seed: int = 0) -> None:
    """Write 99 simulated patches of 48 x 48 pixels with one to three of six classes each."""
    from skybench.data import simulation

    from ._demo import bigearthnet

    bigearthnet.write_bigearthnet(root, CARD.sensors, seed)
    simulation.write_marker(root, CARD.name, seed)
