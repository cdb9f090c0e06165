"""Facts about BigEarthNet v1 that ben_s2 and ben_mm share; light enough for `skybench list`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import NamedTuple

from skybench.core import DB, REFLECTANCE, Option, Sensor, Target
from skybench.data.download import Remote
from skybench.data.split_lists import SplitList

S2_FOLDER, S1_FOLDER = "BigEarthNet-v1.0", "BigEarthNet-S1-v1.0"
SIDE = 120  # pixels of a patch at 10 m
DEMO_SIDE = 48


class BandFile(NamedTuple):
    """A Sentinel-2 band, which is stored in its own file."""

    suffix: str  # of the file name
    name: str
    step: int  # of its pixels, in pixels of 10 m


BANDS = (
    BandFile("B01", "coastal", 6),
    BandFile("B02", "blue", 1),
    BandFile("B03", "green", 1),
    BandFile("B04", "red", 1),
    BandFile("B05", "rededge071", 2),
    BandFile("B06", "rededge075", 2),
    BandFile("B07", "rededge078", 2),
    BandFile("B08", "nir", 1),
    BandFile("B8A", "nir08", 2),
    BandFile("B09", "nir09", 6),
    BandFile("B11", "swir16", 2),
    BandFile("B12", "swir22", 2),
)
POLARISATIONS = ("VV", "VH")
S2 = Sensor("s2", tuple(band.name for band in BANDS), 10.0, REFLECTANCE)
RGB = replace(S2, bands=("red", "green", "blue"))
S1 = Sensor("s1", tuple(p.lower() for p in POLARISATIONS), 10.0, DB)

# Which of the 43 classes each of the 19 takes in. Source: label_indices.json of
# git.tu-berlin.de/rsim/BigEarthNet-S2_19-classes_models, as in torchgeo 0.8.1 bigearthnet.py.
MIXED_FARMING = (
    "Land principally occupied by agriculture, with significant areas of natural vegetation"
)
GROUPS: Mapping[str, tuple[str, ...]] = {
    "Urban fabric": ("Continuous urban fabric", "Discontinuous urban fabric"),
    "Industrial or commercial units": ("Industrial or commercial units",),
    "Arable land": ("Non-irrigated arable land", "Permanently irrigated land", "Rice fields"),
    "Permanent crops": (
        *("Vineyards", "Fruit trees and berry plantations", "Olive groves"),
        "Annual crops associated with permanent crops",
    ),
    "Pastures": ("Pastures",),
    "Complex cultivation patterns": ("Complex cultivation patterns",),
    MIXED_FARMING: (MIXED_FARMING,),
    "Agro-forestry areas": ("Agro-forestry areas",),
    "Broad-leaved forest": ("Broad-leaved forest",),
    "Coniferous forest": ("Coniferous forest",),
    "Mixed forest": ("Mixed forest",),
    "Natural grassland and sparsely vegetated areas": (
        *("Natural grassland", "Sparsely vegetated areas"),
    ),
    "Moors, heathland and sclerophyllous vegetation": (
        *("Moors and heathland", "Sclerophyllous vegetation"),
    ),
    "Transitional woodland, shrub": ("Transitional woodland/shrub",),
    "Beaches, dunes, sands": ("Beaches, dunes, sands",),
    "Inland wetlands": ("Inland marshes", "Peatbogs"),
    "Coastal wetlands": ("Salt marshes", "Salines"),
    "Inland waters": ("Water courses", "Water bodies"),
    "Marine waters": ("Coastal lagoons", "Estuaries", "Sea and ocean"),
}
CLASSES_19 = tuple(GROUPS)
CLASSES_43 = (
    *("Continuous urban fabric", "Discontinuous urban fabric", "Industrial or commercial units"),
    *("Road and rail networks and associated land", "Port areas", "Airports"),
    *("Mineral extraction sites", "Dump sites", "Construction sites", "Green urban areas"),
    *("Sport and leisure facilities", "Non-irrigated arable land", "Permanently irrigated land"),
    *("Rice fields", "Vineyards", "Fruit trees and berry plantations", "Olive groves", "Pastures"),
    *("Annual crops associated with permanent crops", "Complex cultivation patterns"),
    *(MIXED_FARMING, "Agro-forestry areas", "Broad-leaved forest", "Coniferous forest"),
    *("Mixed forest", "Natural grassland", "Moors and heathland", "Sclerophyllous vegetation"),
    *("Transitional woodland/shrub", "Beaches, dunes, sands", "Bare rock"),
    *("Sparsely vegetated areas", "Burnt areas", "Inland marshes", "Peatbogs", "Salt marshes"),
    *("Salines", "Intertidal flats", "Water courses", "Water bodies", "Coastal lagoons"),
    *("Estuaries", "Sea and ocean"),
)
CLASSES = {"19": CLASSES_19, "43": CLASSES_43}
IDS: Mapping[int, Mapping[str, int]] = {  # number of classes -> label in the files -> class id
    19: {label: i for i, labels in enumerate(GROUPS.values()) for label in labels},
    43: {label: i for i, label in enumerate(CLASSES_43)},
}
OPTIONS = {"classes": Option("19 classes as in most papers, or the 43 of CORINE", ("19", "43"))}

BANDS_OPTION = Option(
    "all: the twelve bands; rgb: red, green and blue, as SeCo, CACo and GFM take them",
    ("all", "rgb"),
)

SPLITS = {"train": 269_695, "val": 123_723, "test": 125_866, "train10": 26_969}
# They need lists of the user; counts are unverified.
SECO = {"seco_train": 311_667, "seco_train10": 31_166, "seco_val": 103_944}

# Shipped by PyPI bigearthnet-common 2.8.0. The lists behind the URL, which torchgeo 0.8.1 uses
# (BigEarthNet.splits_metadata), are said to hold the same names, each with its Sentinel-1 patch.
RSIM = (
    "https://git.tu-berlin.de/rsim/BigEarthNet-MM_19-classes_models/-/raw/"
    "9a5be07346ab0884b2d9517475c27ef9db9b5104/splits/"
)
PACKAGE = "bigearthnet_common"
LISTS = {
    split: SplitList(
        *(f"{split}.csv", SPLITS[split], sha256),
        *(f"{RSIM}{split}.csv?inline=false", PACKAGE),
    )
    for split, sha256 in (
        ("train", "1eebaac70071e8e1da1df6cd389701e468ae6d1c1d84d77374676494be378ce0"),
        ("val", "b6b48ceb6e6cd106980b2c40930bb090cd29a02b0a9546a43a690081509d6547"),
        ("test", "6e32ee356b6dbfc14b767294066e0098e12094d1062c1eaa799d989cdd257fc4"),
    )
}
# What SeCo leaves out of its lists.
SPOILT = {
    what: SplitList(f"patches_with_{what}.csv", count, sha256, package=PACKAGE)
    for what, count, sha256 in (
        (
            *("seasonal_snow", 61_707),
            "7af48272acafe67390aaeaa283824d5fc25e9b4e8b1f8c19251ffabb60a9e53c",
        ),
        (
            *("cloud_and_shadow", 9_280),
            "4f3b41c4fbf9db005c1c043399db7279608b1d88ac4e7695607de73b8b4e8f27",
        ),
    )
}

ZENODO = "https://zenodo.org/records/12687186/files/"
# md5: torchgeo 0.8.1 BigEarthNet.metadata.
S2_REMOTE = Remote(
    f"{ZENODO}BigEarthNet-S2-v1.0.tar.gz",
    "BigEarthNet-S2-v1.0.tar.gz",
    "md5:5a64e9ce38deb036a435a7b59494924c",
)
S1_REMOTE = Remote(
    f"{ZENODO}BigEarthNet-S1-v1.0.tar.gz",
    "BigEarthNet-S1-v1.0.tar.gz",
    "md5:94ced73440dea8c7b9645ee738c5a172",
)

TARGET = Target("classes")
IMAGES = "bigearthnet"

SOURCE = (
    "Sumbul et al. 2019, arXiv:1902.06148, and 2021, arXiv:2105.07921 (BigEarthNet-MM); lists of "
    "PyPI bigearthnet-common 2.8.0; SeCo: ServiceNow/seasonal-contrast@411e37e"
)
LICENCE = "CDLA-Permissive-1.0"
METRIC = (
    "Papers report mAP, those of the SeCo line over all labels at once (micro), SeCo itself batch "
    "by batch and on val. Here micro and macro, each once over the whole test split."
)
CAVEATS = (
    "without the official lists in splits/ the split is a rule of ours, and the record says so",
    "train10 is SeCo's draw of 10 %, with replacement: 26,969 samples, some of them several times "
    "(their keys end in #2, #3); drawn from the sorted official list, as no paper gives its draw",
    "seco_train, seco_train10 and seco_val are SeCo's lists less snow and cloud (their counts are "
    "unverified); they need bigearthnet-train.txt and -val.txt of SeCo in splits/",
    "bands of 20 and 60 m are brought to 10 m bilinearly and rounded, as GDAL and torchgeo do",
    "opening lists names only; the files of some 200 patches are looked for, the others are "
    "missed when they are read",
    "a patch may have none of the 19 classes where the split is not the official one (57 do)",
    "labels with 43 classes: every patch of the 19-class lists is kept",
    "version 2 (reBEN) has other patches, labels and splits and is not read",
)
