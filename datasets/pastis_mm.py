"""PASTIS-R with PASTIS-HD's SPOT images: crops from series of Sentinel-2 and Sentinel-1.

torchgeo 0.8.1 reads one sensor at a time, without dates and without SPOT.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from skybench.core import (
    DB,
    IGNORE,
    REFLECTANCE,
    UINT8,
    Column,
    DatasetCard,
    DemoSetup,
    Option,
    Sensor,
    Setup,
    Target,
)
from skybench.core.sensors import S2_FINE
from skybench.data.download import Remote

from ._recipes import pastis_mm as recipes

if TYPE_CHECKING:
    from skybench.core.dataset import Samples

RADAR = ("vv", "vh", "vv_vh")  # the third is their difference in dB, as the NORM files show

# Training, validation and test folds. Source: github:VSainteuf/utae-paps, arXiv:2107.07933 sec. 4
ROTATIONS = {
    "": ((1, 2, 3), (4,), (5,)),
    "2": ((2, 3, 4), (5,), (1,)),
    "3": ((3, 4, 5), (1,), (2,)),
    "4": ((4, 5, 1), (2,), (3,)),
    "5": ((5, 1, 2), (3,), (4,)),
}

CARD = DatasetCard(
    name="pastis_mm",
    title="PASTIS-MM (PASTIS-R and PASTIS-HD)",
    about=(
        "2,433 patches of French farmland in the season of 2019, with the crop of every pixel. "
        "SkySense's PASTIS-MM adds images of 0.3 m that are not public; SPOT images of 1 m "
        "(PASTIS-HD) stand in for them."
    ),
    tasks=("multimodal_segmentation",),
    sensors=(
        Sensor("hr", ("red", "green", "blue"), 1.0, UINT8, "SPOT"),
        Sensor(
            "s2",
            S2_FINE,
            10.0,
            REFLECTANCE,
            "Sentinel-2",
        ),
        Sensor("s1a", RADAR, 10.0, DB, "Sentinel-1 ascending"),
        Sensor("s1d", RADAR, 10.0, DB, "Sentinel-1 descending"),
    ),
    classes=(
        *("background", "meadow", "soft_winter_wheat", "corn", "winter_barley"),
        *("winter_rapeseed", "spring_barley", "sunflower", "grapevine", "beet"),
        *("winter_triticale", "winter_durum_wheat", "fruits_vegetables_flowers", "potatoes"),
        *("leguminous_fodder", "soybeans", "orchard", "mixed_cereal", "sorghum"),
    ),
    target=Target("mask", IGNORE),
    metric=(
        "OA, with mIoU beside it, from one matrix over all pixels but void. utae-paps sums the "
        "matrices of the five folds; here each rotation is a split, and the first is the default."
    ),
    setups={
        # All acquisitions of a year differ in number between sensors, and models without time
        # cannot pair them; so twelve dates, the same for every sensor and every model. Ours.
        "multimodal_segmentation": Setup(
            # The first is probably SkySense's, see the recipe; 19 is what the option defaults to.
            columns=(
                Column(label="18 classes", options=("classes=18",)),
                Column(label="19 classes"),
            ),
            options=("dates=monthly",),
            sourced=recipes.RECIPES,
            main="oa",
            background="background",
            demo=DemoSetup(tile=32, columns=(Column(),)),
        )
    },
    # Folds 1 to 3, 4 and 5 hold 1455, 482 and 496 patches (README of GEO-Bench-2), 2 and 3 together
    # 968 (README of minhcreus/PASTIS-test); 0 where 2 or 3 alone would have to be known.
    plain=("s2", "s1a", "s1d"),
    image_sides=(128, 1280),  # Sentinel, SPOT
    shapes={"hr": (1, 1280), "s2": (12, 128), "s1a": (12, 128), "s1d": (12, 128)},  # monthly
    splits={
        **{"train": 1455, "val": 482, "test": 496, "train2": 1450, "val2": 496, "test2": 487},
        **{"train3": 0, "val3": 487, "test3": 0, "train4": 1465, "val4": 0, "test4": 0},
        **{"train5": 0, "val5": 0, "test5": 482},
    },
    source=(
        "Garnot & Landrieu 2021, arXiv:2107.07933; Garnot et al. 2022, arXiv:2112.07558; "
        "Astruc et al. 2024, arXiv:2404.08351 (PASTIS-HD)"
    ),
    licence="Etalab 2.0 (open licence: attribute)",
    obtain=(
        "get PASTIS-R.zip (54 GB) from zenodo.org/records/5735646 and unpack it into pastis_mm/; "
        "for the SPOT images also DATA_SPOT of huggingface.co/datasets/IGNF/PASTIS-HD, which goes "
        "into PASTIS-R/ or into PASTIS-HD/ beside it."
    ),
    layout=(
        "pastis_mm/\n"
        "  PASTIS-R/metadata.geojson             folds, dates and places of 2,433 patches\n"
        "  PASTIS-R/DATA_S2/S2_10000.npy         T x 10 x 128 x 128, int16\n"
        "  PASTIS-R/DATA_S1A/S1A_10000.npy       T x 3 x 128 x 128; also DATA_S1D/S1D_10000.npy\n"
        "  PASTIS-R/ANNOTATIONS/TARGET_10000.npy  3 x 128 x 128, the first is read\n"
        "  PASTIS-R/DATA_SPOT/PASTIS_SPOT6_RVB_1M00_2019/SPOT6_RVB_1M00_2019_10000.tif   optional\n"
    ),
    tile=128,
    caveats=(
        "a named substitute: SkySense's 85.9 OA is with 0.3 m images and not comparable",
        "without DATA_SPOT, DATA_S1A or DATA_S1D the set has the other sensors only",
        "a model's input s1 is given the ascending orbit, s1a",
        "void (19) has no class here: its pixels are in no loss and no matrix. utae-paps has a "
        "20th output for it, and leaves out row and column of void from the matrix, so that a "
        "labelled pixel that it predicts as void is not counted either; without such predictions "
        "both are equal",
        "utae-paps scores 19 classes with the background; SkySense++ counts 18 and leaves label 0 "
        "out for the crops of Germany, so that SkySense's 85.9 is probably of the 18 crops, which "
        "is not proven: both are columns. With --option classes=18 background and void are "
        "ignored in the truth, and background is no prediction, as with mmsegmentation's "
        "reduce_zero_label",
        "utae-paps and many foundation models report fold 5 alone, or the sum of five folds",
        "torchgeo's datamodule splits at random and ignores the folds, which lie apart on the map",
        "the date of the SPOT images (2019) is not given, so they have none here",
        "the paper's row of a single Sentinel-2 date does not say which; dates=single takes the "
        "acquisition nearest to 15 July 2019",
    ),
    options={
        "dates": Option(
            "acquisitions: all, the nearest to the 15th of each month from October 2018 to "
            "September 2019, or the nearest to 15 July 2019",
            ("all", "monthly", "single"),
        ),
        "classes": Option(
            "with the background as a class (utae-paps), or the 18 crops", ("19", "18")
        ),
    },
)

REMOTES = (
    Remote(  # md5 as in torchgeo 0.8.1, PASTIS.md5
        "https://zenodo.org/records/5735646/files/PASTIS-R.zip?download=1",
        "PASTIS-R.zip",
        "md5:4887513d6c2d2b07fa935d325bd53e09",
    ),
)


def open(root: Path, split: str, tile: int = 0, **options: str) -> Samples:
    """Open a split: patches with a mask uint8 [128, 128] and the sensors that the folder has.

    s2 int16 [T, 10, 128, 128], s1a and s1d float [T, 3, 128, 128], hr uint8 [1, 3, 1280, 1280].
    split: train, val, test, or those with 2 to 5 after them for the other rotations of the folds;
    tile: another side, cut without overlap.
    """
    from ._readers import pastis

    return pastis.open_pastis(CARD, ROTATIONS, root, split, tile, options)


def peer(root: Path, scratch: Path) -> tuple[Samples, Any]:
    """Return training samples and torchgeo's class on the same files, for `skybench bench data`."""
    from torchgeo.datasets import PASTIS

    return open(root, "train").only({"s2"}), PASTIS(root, (1, 2, 3), "s2")


def write_demo(root: Path, seed: int = 0) -> None:
    """Write three patches of 32 x 32 pixels in each fold, with six classes."""
    from ._demo import pastis

    pastis.write_pastis(CARD, root, seed)
