"""AID: aerial scene classification, 30 classes.

torchgeo 0.8.1 has no class for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from skybench.core import UINT8, DatasetCard, Sensor, Target

from ._readers import aerial_scenes
from ._recipes.aerial_scenes import AID

if TYPE_CHECKING:
    from skybench.core.dataset import Samples

CLASSES = (
    *("Airport", "BareLand", "BaseballField", "Beach", "Bridge", "Center", "Church", "Commercial"),
    *("DenseResidential", "Desert", "Farmland", "Forest", "Industrial", "Meadow"),
    *("MediumResidential", "Mountain", "Park", "Parking", "Playground", "Pond", "Port"),
    *("RailwayStation", "Resort", "River", "School", "SparseResidential", "Square", "Stadium"),
    *("StorageTanks", "Viaduct"),
)

CARD = DatasetCard(
    name="aid",
    title="AID",
    about=(
        "Aerial images of 30 kinds of place, from Google Earth, 600 x 600 pixels, 220 to 420 a "
        "class."
    ),
    tasks=("scene_classification",),
    sensors=(Sensor("hr", ("red", "green", "blue"), 0.0, UINT8),),
    classes=CLASSES,
    images="millionaid",
    target=Target("class"),
    metric=(
        "Overall accuracy (top-1), mean of repeats in the papers; `aa`, the mean of the "
        "classes' accuracies, beside it."
    ),
    setups={"scene_classification": aerial_scenes.setup(AID, "20", "50")},
    image_sides=(600,),
    splits={"train20": 2000, "test20": 8000, "train50": 5000, "test50": 5000},
    source="Xia et al. 2017, arXiv:1608.05167; tag-0 lists of github:MiliLab/SelectiveMAE@5270210",
    licence="none stated; imagery of Google Earth: use it for research, do not pass it on",
    obtain=(
        "follow the links on captain-whu.github.io/AID, unpack AID.zip into aid/, then "
        "`skybench data splits aid` for the split lists."
    ),
    layout=(
        "aid/\n"
        "  AID/Airport/airport_1.jpg      30 class folders, 10,000 JPEGs of 600 x 600\n"
        "  AID/Viaduct/viaduct_420.jpg\n"
        "  splits/train_labels_28_0.txt   optional: also valid_…, and …_55_0 for 50 %\n"
    ),
    caveats=(
        "class ids of the published lists follow a folder listing, not the alphabet; only their "
        "file names are read",
        "papers average five repeats; only the lists of tag 0 are public",
        "RVSA's script keeps the best epoch by accuracy on the test images: its numbers, which are "
        "taken to be of it, lie above those of a last epoch",
        "the resolution is mixed, 0.5 to 8 m",
        "Million-AID, by some of the same authors, is of Google Earth too; which images both have "
        "is not published, so models that were trained on it are flagged",
    ),
)

LISTS = aerial_scenes.split_lists(
    CARD,
    "AID",
    aerial_scenes.Ratio(
        *("20", "28_0"),
        "c9382933b25f87e13ad4ae9a46eee701d7dea71badc112771db9e8224b04dac5",
        "152b0b3c8581318857a18e8343448a08c4e1cf9fcfd213b7306f89dd6dad867e",
    ),
    aerial_scenes.Ratio(
        *("50", "55_0"),
        "e59c3ebce724994d269b1caced3610fcf06d698ffea372b6d7671e9bb1b446ec",
        "f3e1380c3ea42b0b9593836399e8b7e034534e31068056a4fd128885332d6998",
    ),
)


def open(root: Path, split: str, tile: int = 0) -> Samples:
    """Open a split: images uint8 [1, 3, 600, 600] with their class id; `tile` must be 0.

    split: train20, test20, train50, test50; train and test mean 20 %.
    """
    from ._readers import layout

    layout.require_whole_images(CARD, tile)
    return aerial_scenes.open_ratio(CARD, root, split, "AID", LISTS)


def write_demo(root: Path, seed: int = 0) -> None:
    """Write eight of the classes, 30 simulated images of 96 x 96 pixels each."""
    from skybench.data import simulation

    from ._demo import scenes

    classes = {
        "BareLand": scenes.bare,
        "Beach": scenes.coast,
        "DenseResidential": scenes.town,
        "Farmland": scenes.fields,
        "Forest": scenes.forest,
        "Parking": scenes.parking,
        "River": scenes.river,
        "StorageTanks": scenes.tanks,
    }
    simulation.write_scenes(
        root / "AID", classes, 30, 96, lambda c, n: f"{c.lower()}_{n}.jpg", seed
    )
    simulation.write_marker(root, CARD.name, seed)
