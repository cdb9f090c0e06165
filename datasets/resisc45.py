"""NWPU-RESISC45: aerial scene classification, 45 classes.

torchgeo's class knows only the 60/20/20 split of Neumann et al. 2019; the papers compared here
train on 10 and 20 % of each class, so the folder is read here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from skybench.core import UINT8, DatasetCard, Sensor, Target

from ._readers import aerial_scenes
from ._recipes.aerial_scenes import RESISC45

if TYPE_CHECKING:
    from skybench.core.dataset import Samples

CLASSES = (
    *("airplane", "airport", "baseball_diamond", "basketball_court", "beach", "bridge"),
    *("chaparral", "church", "circular_farmland", "cloud", "commercial_area"),
    *("dense_residential", "desert", "forest", "freeway", "golf_course", "ground_track_field"),
    *("harbor", "industrial_area", "intersection", "island", "lake", "meadow"),
    *("medium_residential", "mobile_home_park", "mountain", "overpass", "palace", "parking_lot"),
    *("railway", "railway_station", "rectangular_farmland", "river", "roundabout", "runway"),
    *("sea_ice", "ship", "snowberg", "sparse_residential", "stadium", "storage_tank"),
    *("tennis_court", "terrace", "thermal_power_station", "wetland"),
)

CARD = DatasetCard(
    name="resisc45",
    title="NWPU-RESISC45",
    about="Aerial images of 45 kinds of place, 700 a class, 256 x 256 pixels, from Google Earth.",
    tasks=("scene_classification",),
    sensors=(Sensor("hr", ("red", "green", "blue"), 0.0, UINT8),),
    classes=CLASSES,
    target=Target("class"),
    metric="Overall accuracy (top-1); `aa`, the mean of the classes' accuracies, beside it.",
    setups={"scene_classification": aerial_scenes.setup(RESISC45, "10", "20")},
    image_sides=(256,),
    splits={"train10": 3150, "test10": 28350, "train20": 6300, "test20": 25200},
    source=(
        "Cheng et al. 2017, arXiv:1703.00121; tag-0 lists of github:MiliLab/SelectiveMAE@5270210"
    ),
    licence="CC-BY-NC-4.0 according to torchgeo; do not pass it on",
    obtain=(
        "fetch NWPU-RESISC45.zip (Hugging Face isaaccorley/resisc45, md5 "
        "75206b2e16446591afa88e2628744886), unpack it into resisc45/, then "
        "`skybench data splits resisc45` for the split lists."
    ),
    layout=(
        "resisc45/\n"
        "  NWPU-RESISC45/airplane/airplane_001.jpg   45 class folders of 700 JPEGs, 256 x 256\n"
        "  NWPU-RESISC45/wetland/wetland_700.jpg\n"
        "  splits/train_labels_19_0.txt   optional: also valid_…, and …_28_0 for 20 %\n"
    ),
    caveats=(
        "class ids of the published lists follow a folder listing, not the alphabet; only their "
        "file names are read",
        "the split of torchgeo (60/20/20) is another one; its numbers do not compare",
        "RVSA's script keeps the best epoch by accuracy on the test images; MTP prints the last",
        "the resolution is mixed, 0.2 to 30 m",
    ),
)

LISTS = aerial_scenes.split_lists(
    CARD,
    "NWPU-RESISC45",
    aerial_scenes.Ratio(
        *("10", "19_0"),
        "c8ffcb4e981f0e5b6728493311329fcea77ef80699d69b2e2cf611a092ab8982",
        "2cf07c0d14b2b3aa837ec3f9cfed2ecc044e00393d6ae9f91d14f923dbbf1730",
    ),
    aerial_scenes.Ratio(
        *("20", "28_0"),
        "550f42dd5c00c344d6505b11e65fd59e83d174934eae0415d847f333353960b6",
        "0bd511ba3921a95865fe24c94c9af19cb82443be2c5a2598f65657251fdfa6c6",
    ),
)


def open(root: Path, split: str, tile: int = 0) -> Samples:
    """Open a split: images uint8 [1, 3, 256, 256] with their class id; `tile` must be 0.

    split: train10, test10, train20, test20; train and test mean 10 %.
    """
    from ._readers import layout

    layout.require_whole_images(CARD, tile)
    return aerial_scenes.open_ratio(CARD, root, split, "NWPU-RESISC45", LISTS)


def peer(root: Path, scratch: Path) -> tuple[Samples, Any]:
    """Return training samples and torchgeo's class on the same files, for `skybench bench data`."""
    from torchgeo.datasets import RESISC45

    train = open(root, "train10")
    (scratch / "NWPU-RESISC45").symlink_to(train.files[0].parents[1].resolve())
    (scratch / "resisc45-train.txt").write_text("".join(f"{key}\n" for key in train.keys))
    return train, RESISC45(scratch, "train")


def write_demo(root: Path, seed: int = 0) -> None:
    """Write eight of the classes, 40 simulated images of 96 x 96 pixels each (4 train at 10 %)."""
    from skybench.data import simulation

    from ._demo import scenes

    classes = {
        "airplane": scenes.planes,
        "beach": scenes.coast,
        "dense_residential": scenes.town,
        "forest": scenes.forest,
        "harbor": scenes.harbor,
        "rectangular_farmland": scenes.fields,
        "river": scenes.river,
        "storage_tank": scenes.tanks,
    }
    folder = root / "NWPU-RESISC45"
    simulation.write_scenes(folder, classes, 40, 96, lambda c, n: f"{c}_{n:03d}.jpg", seed + 1)
    simulation.write_marker(root, CARD.name, seed)
