"""fMoW-Sentinel: the use of places in Sentinel-2 composites, 62 classes.

torchgeo 0.8.1 has no class for it.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from skybench.core import (
    REFLECTANCE,
    Column,
    DatasetCard,
    DemoSetup,
    Option,
    Sensor,
    Setup,
    Target,
)
from skybench.core.sensors import L1C

from ._recipes.fmow_s2 import RECIPES

if TYPE_CHECKING:
    from skybench.core.dataset import Samples

# The 63 categories of fMoW but for false_detection. Source: SatMAE@b182634 util/datasets.py.
CLASSES = (
    *("airport", "airport_hangar", "airport_terminal", "amusement_park", "aquaculture"),
    *("archaeological_site", "barn", "border_checkpoint", "burial_site", "car_dealership"),
    *("construction_site", "crop_field", "dam", "debris_or_rubble", "educational_institution"),
    *("electric_substation", "factory_or_powerplant", "fire_station", "flooded_road", "fountain"),
    *("gas_station", "golf_course", "ground_transportation_station", "helipad", "hospital"),
    *("impoverished_settlement", "interchange", "lake_or_pond", "lighthouse", "military_facility"),
    *("multi-unit_residential", "nuclear_powerplant", "office_building", "oil_or_gas_facility"),
    *("park", "parking_lot_or_garage", "place_of_worship", "police_station", "port", "prison"),
    *("race_track", "railway_bridge", "recreational_facility", "road_bridge", "runway"),
    *("shipyard", "shopping_mall", "single-unit_residential", "smokestack", "solar_farm"),
    *("space_facility", "stadium", "storage_tank", "surface_mine", "swimming_pool", "toll_booth"),
    *("tower", "tunnel_opening", "waste_disposal", "water_treatment_facility", "wind_farm", "zoo"),
)
DROPPED = ("coastal", "nir09", "cirrus")  # by SatMAE: --dropped_bands 0 9 10

CARD = DatasetCard(
    name="fmow_s2",
    title="fMoW-Sentinel",
    about=(
        "882,779 Sentinel-2 images, composites of 90 days, of 82,012 places of the Functional Map "
        "of the World, each with the use of the place."
    ),
    tasks=("scene_classification",),
    sensors=(Sensor("s2", L1C, 10.0, REFLECTANCE),),
    classes=CLASSES,
    images="fmow",
    target=Target("class"),
    metric="Top-1 and top-5 accuracy; papers train on train and report val.",
    setups={
        "scene_classification": Setup(
            columns=(Column("train", "", "val"),),  # val is the test set, as SatMAE has it
            size=96,  # of SkySense's input (arXiv 2312.10115, supplement, unverified)
            sourced=RECIPES,
            demo=DemoSetup(size=32),
        )
    },
    splits={"train": 712_874, "val": 84_939, "test": 84_966},
    source=(
        "Cong et al. 2022 (SatMAE), arXiv:2207.08051; purl.stanford.edu/vg497cb6002; "
        "github:sustainlab-group/SatMAE@b182634"
    ),
    licence=(
        "fMoW Challenge Public License (places and labels), Copernicus Sentinel data terms "
        "(pixels): do not pass it on"
    ),
    obtain=(
        "get fmow-sentinel.tar.gz (77 GB) and the three CSV files (221 MB) from "
        "purl.stanford.edu/vg497cb6002, without a form, and unpack into fmow_s2/."
    ),
    layout=(
        "fmow_s2/\n"
        "  train.csv, val.csv, test_gt.csv   category, location_id, image_id, timestamp, polygon\n"
        "  fmow-sentinel/train/airport/airport_0/airport_0_6.tif   13 bands; location 0, image 6\n"
        "  fmow-sentinel/test_gt/zoo/zoo_12/zoo_12_100.tif\n"
        "  (the CSV files may also lie in fmow-sentinel/)\n"
    ),
    caveats=(
        "SatMAE's published number is of epoch 7 of 30, chosen by accuracy on val, the images that "
        "are scored",
        "images differ in size, some 45 pixels a side; SatMAE enlarges them to 96",
        "the column image_path of some copies is wrong and not read: the path follows from "
        "category, location_id and image_id; copies without polygon have no coordinates",
        "image_id of 100 and more are dates that were added; their label is that of the place",
        "the images of one place share its label, and location_id counts anew in each split: the "
        "key begins with the split",
        "named surface reflectance in the paper, but it has band 10, which only level 1C has",
        "opening reads the CSV file and looks for some 200 images; other missing ones show when "
        "they are read",
    ),
    options={
        "dropped": Option(
            "bands that are left out: none, or coastal, nir09 and cirrus as SatMAE does",
            ("none", "satmae"),
        )
    },
)


def open(root: Path, split: str, tile: int = 0, **options: str) -> Samples:
    """Open a split: images [1, 13, H, W] of varying size with their class id.

    With dropped=satmae they have 10 bands.
    split: train, val, test (test_gt.csv); uint16 is given as int32; `tile` must be 0.
    """
    from ._readers import fmow, layout

    layout.require_whole_images(CARD, tile)
    name = layout.resolve_split(CARD, split, {"test_gt": "test"})
    dropped = layout.resolve_options(CARD, options)["dropped"]
    return fmow.open_fmow(CARD, root, name, DROPPED if dropped == "satmae" else ())


def write_demo(root: Path, seed: int = 0) -> None:
    """Write 48 training, 32 validation and 24 test images of eight classes, 28 to 44 pixels."""
    from skybench.data import simulation

    from ._demo import fmow

    fmow.write_fmow(root, L1C, seed)
    simulation.write_marker(root, CARD.name, seed)
