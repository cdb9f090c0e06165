"""BigEarthNet-MM: land cover in pairs of a Sentinel-2 and a Sentinel-1 patch.

torchgeo's class rounds Sentinel-1 to whole decibels and gives VH before VV.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from skybench.core import DatasetCard, Setup

from ._readers import bigearthnet as facts
from ._recipes.bigearthnet import BEN_MM, SIZE

if TYPE_CHECKING:
    from skybench.core.dataset import Samples

CARD = DatasetCard(
    name="ben_mm",
    title="BigEarthNet-MM",
    about=(
        "590,326 pairs of a Sentinel-2 and a Sentinel-1 patch of 1.2 km from ten European "
        "countries, with the land cover classes of CORINE that they hold."
    ),
    tasks=("multimodal_classification",),
    sensors=(facts.S2, facts.S1),
    classes=facts.CLASSES_19,
    images=facts.IMAGES,
    target=facts.TARGET,
    metric=facts.METRIC,
    setups={"multimodal_classification": Setup(size=SIZE, sourced=BEN_MM)},
    splits=facts.SPLITS,
    source=facts.SOURCE,
    licence=facts.LICENCE,
    obtain=(
        "`skybench data download ben_mm` (66 and 55 GB), or unpack both archives of "
        "zenodo.org/records/12687186 into ben_mm/; then `skybench data splits ben_mm` for the "
        "split lists."
    ),
    layout=(
        "ben_mm/\n"
        "  BigEarthNet-v1.0/S2A_MSIL2A_20170613T101031_87_48/                  as in ben_s2\n"
        "  BigEarthNet-S1-v1.0/S1A_IW_GRDH_1SDV_20170613T165043_33UUP_87_48/   590,326 folders\n"
        "    S1A_IW_GRDH_1SDV_20170613T165043_33UUP_87_48_VV.tif               also VH\n"
        "    S1A_IW_GRDH_1SDV_20170613T165043_33UUP_87_48_labels_metadata.json\n"
        "  splits/train.csv              optional: also val, test; lines `S2 patch,S1 patch`\n"
    ),
    caveats=(
        *facts.CAVEATS,
        "pairs come from the lists where they have two columns, else from the names: the patch of "
        "the same tile, column and row that is nearest in date; each is checked when it is read",
        "the two sensors may have seen a place on different days; each has its own",
    ),
    options=facts.OPTIONS,
    multilabel=True,
)

LISTS = facts.LISTS
REMOTES = (facts.S2_REMOTE, facts.S1_REMOTE)


def open(root: Path, split: str, tile: int = 0, **options: str) -> Samples:
    """Open a split: pairs of a Sentinel-2 and a Sentinel-1 patch with their classes.

    s2: int32 [1, 12, 120, 120]; s1: float32 [1, 2, 120, 120] in dB; classes: uint8 [19] or [43].
    split: train, val, test, train10, and with SeCo's lists seco_train, seco_train10, seco_val;
    `tile` must be 0.
    """
    from ._readers import bigearthnet_read, layout

    layout.require_whole_images(CARD, tile)
    return bigearthnet_read.open_bigearthnet(CARD, root, split, options)


def peer(root: Path, scratch: Path) -> tuple[Samples, Any]:
    """Return training samples and torchgeo's class on the same files, for `skybench bench data`."""
    from ._readers import bigearthnet_read

    ours = bigearthnet_read.open_bigearthnet(CARD, root, "train", {})
    return ours, bigearthnet_read.torchgeo_class(ours, scratch, "all")


def write_demo(root: Path, seed: int = 0) -> None:
    """Write 99 simulated pairs of 48 x 48 pixels with one to three of six classes each."""
    from skybench.data import simulation

    from ._demo import bigearthnet

    bigearthnet.write_bigearthnet(root, CARD.sensors, seed)
    simulation.write_marker(root, CARD.name, seed)
