"""Facts about DynamicEarthNet that its three data sets share; light enough for `skybench list`."""

from __future__ import annotations

from skybench.core import (
    DB,
    IGNORE,
    REFLECTANCE,
    Column,
    DemoSetup,
    Option,
    Sensor,
    Setup,
    SourcedRecipe,
    Target,
)
from skybench.core.sensors import L2A

# The 75 cubes and their splits. The official lists (dynnet_training_splits/*.txt of
# github:aysim/dynnet) are not in the distribution and could not be opened. Training cubes are the
# 55 folders of labels.zip, as its users list them; the 10 of validation are those of the challenge
# (EarthVision 2021), and the other 10 of the 75 are the test cubes. Repositories that name single
# cubes of val (1973_3709_13) and test (1286_2921_13) agree, as do the quads that dynnet#10 names.
# Where the official lists lie below the root, the reader compares them with these.
TRAIN = (
    *("1311_3077_13", "1417_3281_13", "1487_3335_13", "1700_3100_13", "2006_3280_13"),
    *("2029_3764_13", "2065_3647_13", "2235_3403_13", "2415_3082_13", "2459_4406_13"),
    *("2470_5030_13", "2528_4620_13", "2624_4314_13", "2697_3715_13", "2832_4366_13"),
    *("2850_4139_13", "3002_4273_13", "3998_3016_13", "4127_2991_13", "4169_3944_13"),
    *("4223_3246_13", "4240_3972_13", "4254_2915_13", "4397_4302_13", "4421_3800_13"),
    *("4426_3835_13", "4622_3159_13", "4768_4131_13", "4780_3377_13", "4791_3920_13"),
    *("4806_3588_13", "4838_3506_13", "4856_4087_13", "4881_3344_13", "5111_4560_13"),
    *("5125_4049_13", "5863_3800_13", "5926_3715_13", "5989_3554_13", "6204_3495_13"),
    *("6381_3681_13", "6466_3380_13", "6468_3360_13", "6475_3361_13", "6688_3456_13"),
    *("6730_3430_13", "6752_3115_13", "6810_3478_13", "6813_3313_13", "6824_4117_13"),
    *("7026_3201_13", "7312_3008_13", "7367_5050_13", "7513_4968_13", "8077_5007_13"),
)
VAL = (
    *("1973_3709_13", "2569_4513_13", "2789_4694_13", "4062_3943_13", "4666_2369_13"),
    *("5830_3834_13", "6353_3661_13", "6678_3579_13", "6761_3129_13", "7517_4908_13"),
)
TEST = (
    *("1286_2921_13", "1330_3107_13", "2196_3885_13", "3830_3914_13", "4523_4210_13"),
    *("4553_3325_13", "5195_3388_13", "5754_3601_13", "5912_3937_13", "6752_3104_13"),
)
CUBES = {"train": TRAIN, "val": VAL, "test": TEST}
LATER = ("1417_3281_13", "2235_3403_13")  # came after dynnet's experiments (its README)
UNSEEN = "1417_3281_13"  # mediaTUM has no Planet images of it (GEO-Bench-2, dynamic_earthnet.py)
MONTHS = tuple(f"{year}-{month:02}" for year in (2018, 2019) for month in range(1, 13))
MOST_GAPS = 62  # cube-months without Sentinel images (torchgeo#2527); more are a broken download

CLASSES = ("impervious", "agriculture", "forest", "wetlands", "soil", "water")  # then snow & ice
WEEKLY = (1, 5, 10, 15, 20, 25)  # github:aysim/dynnet@2966457:data/utae_dynamicen.py
SIDE = 1024  # of the labels and of Planet's images
QUARTER = 4  # Sentinel images are read at a quarter of the label's side: 12 m, near their own 10 m
SPLITS = {name: len(cubes) * len(MONTHS) for name, cubes in CUBES.items()}  # labels

PLANET = Sensor("hr", ("blue", "green", "red", "nir"), 3.0, REFLECTANCE, "Planet")
S2 = Sensor(
    "s2",
    L2A,
    12.0,
    REFLECTANCE,
    "Sentinel-2",
)
S1 = Sensor("s1", ("vv", "vh"), 12.0, DB, "Sentinel-1")

# Names for orders of the 12 bands: by number, or as they are grouped by resolution.
ORDERS = {
    "l2a": S2.bands,
    "by_resolution": (
        *("blue", "green", "red", "nir", "rededge071", "rededge075", "rededge078", "nir08"),
        *("swir16", "swir22", "coastal", "nir09"),
    ),
}

TRAINING = Option("training cubes: all 55, or the 53 that dynnet had", ("55", "53"))
DATES = Option(
    "Planet images of a month: the 1st, six (1st, 5th, 10th, 15th, 20th, 25th), or every day",
    ("single", "weekly", "daily"),
)
S2_BANDS = Option(
    "stored order of the 12 Sentinel-2 bands, not documented: 'l2a' (B01 to B12 without B10), "
    "'by_resolution' (B02 B03 B04 B08 B05 B06 B07 B8A B11 B12 B01 B09), or names with commas",
    ("",),
)
S1_BANDS = Option(
    "stored order of the 8 Sentinel-1 bands, not documented: names with commas, '_' for what is "
    "not read, as vv,vh,_,_,_,_,_,_",
    ("",),
)
S1_UNIT = Option("unit of the stored Sentinel-1 bands, not documented", ("dB", "linear"))

METRIC = "mIoU over 6 classes from one matrix over all months of a split; snow & ice is not scored."
SOURCE = (
    "Toker et al. 2022, arXiv:2203.12560; reading as in github:aysim/dynnet@2966457 "
    "(data/utae_dynamicen.py)"
)
LICENCE = "CC BY-SA 4.0 or CC BY 4.0, sources differ: attribute, and share alike"
OBTAIN = (
    "get the images and labels.zip from mediatum.ub.tum.de/1650201 (about 525 GB in all, zips by "
    "UTM zone) and the labels of val and test from mediatum.ub.tum.de/1738088; unpack all of them "
    "into one folder. dyna_pla/, dyna_s2/ and dyna_mm/ may be links to it."
)
PLANET_LAYOUT = (
    "  planet/10N/23E-188N/1311_3077_13/PF-SR/2018-01-01.tif   4 bands, 1024 x 1024, 730 days\n"
)
S2_LAYOUT = "  sentinel2/…/1311_3077_13/…2018-01….tif   12 bands; any name with the month\n"
S1_LAYOUT = "  sentinel1/…/1311_3077_13/…2018-01….tif   8 bands; any name with the month\n"
LABEL_LAYOUT = (
    "  labels/1311_3077_13_10N/Labels/Raster/10N-122W-40N-L3H-SR/"
    "10N-122W-40N-L3H-SR-2018_01_01.tif   7 bands\n"
    "  (folders of the archives in between, as planet.10N/ or labels/labels/, do no harm)\n"
)
TARGET = Target("mask", IGNORE)
IMAGES = "dynamicearthnet"
DEMO_TILE = 128  # pixels of the label
# Papers print both. Nothing is chosen on the cubes of val where these are scored.
BOTH = (Column(val="", test="val", label="val"), Column(test="test", label="test"))


def segmentation_setup(sourced: tuple[SourcedRecipe, ...]) -> Setup:
    """Return the setup of semantic segmentation, which papers report on val and on test."""
    return Setup(
        columns=BOTH,
        sourced=sourced,
        demo=DemoSetup(tile=DEMO_TILE, columns=(Column(),)),
    )


CAVEATS = (
    "labels.zip holds the 55 training cubes only; those of val and test are another record",
    "dynnet, and so the paper's numbers, trained on 53 cubes: --option cubes=53",
    "snow & ice is not scored; a pixel without any class is not scored here, while dynnet's reader "
    "makes it impervious; one with several classes is an error",
    "folders of some cubes are irregular (2235_3403_13-17N, 1417_3281_13_11N/Raster) and are read",
)
PLANET_CAVEATS = (
    f"mediaTUM has no Planet images of {UNSEEN}: where they are absent the cube is left out",
    "files hold blue, green, red, nir; dynnet's statistics are in the order red, green, blue, nir",
)
SENTINEL_CAVEATS = (
    "the order of the Sentinel bands is not documented and was asked for in vain (dynnet#10, "
    "DENETHOR#8), so the user must state it. The band means that GEO-Bench-2 computed (1092 1319 "
    "1380 2679 1731 2373 2630 2783 2307 1720 1004 3031) do not fit B01 to B12; they fit "
    "by_resolution, which is the order that SkySense's own loader expects in its ten bands",
    "months without a Sentinel composite (about 62) get the image of the month before, else after, "
    "with the day of that image, so that all three readers have the same samples; composites have "
    "no date of their own: the 15th of the month is given",
    "layout and names of the Sentinel files are not documented: any TIFF below sentinel1 or "
    "sentinel2 whose path holds the cube and whose name holds the month is taken",
)
S1_CAVEATS = (
    "the unit of Sentinel-1 is not documented: dB is assumed, and values that are never below 0 "
    "are refused as linear power (--option s1_unit=linear)",
)
