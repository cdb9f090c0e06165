"""OSCD: urban change between two Sentinel-2 images of 24 cities.

torchgeo's class reads whole cities of the resampled images, in no fixed order and without their
dates as numbers; the tiles of the literature are cut here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from skybench.core import (
    IGNORE,
    REFLECTANCE,
    UINT8,
    DatasetCard,
    DemoSetup,
    Option,
    Sensor,
    Setup,
    Target,
)
from skybench.core.sensors import L1C
from skybench.data.download import Remote

from ._recipes import oscd as recipes

if TYPE_CHECKING:
    from skybench.core.dataset import Samples

# 14 cities to train, 10 to test: train.txt and test.txt of the release.
CITIES = {
    "train": (
        *("abudhabi", "aguasclaras", "beihai", "beirut", "bercy", "bordeaux", "cupertino"),
        *("hongkong", "mumbai", "nantes", "paris", "pisa", "rennes", "saclay_e"),
    ),
    "test": (
        *("brasilia", "chongqing", "dubai", "lasvegas", "milano", "montpellier", "norcia", "rio"),
        *("saclay_w", "valencia"),
    ),
}
DEMO = {"train": CITIES["train"][:3], "test": CITIES["test"][:2]}
FOLDER = "Onera Satellite Change Detection dataset - "
IMAGES = f"{FOLDER}Images"

RGB = Sensor("hr", ("red", "green", "blue"), 10.0, UINT8, title="RGB of Sentinel-2")
S2 = Sensor(
    "s2",
    L1C,
    10.0,
    REFLECTANCE,
    title="Sentinel-2",
)

CARD = DatasetCard(
    name="oscd",
    title="OSCD",
    about=(
        "24 cities in two Sentinel-2 images (level 1C) of 2015 to 2018 each, with the buildings "
        "and roads that were built between."
    ),
    tasks=("change_detection",),
    sensors=(RGB, S2),  # an opened split has one of them, see the option
    classes=("unchanged", "changed"),
    target=Target("mask", IGNORE),
    setups={
        "change_detection": Setup(
            # tiles of 96 px are enlarged; MTP's rvsa-l-unet-96-mae-mtp_oscd_rgb.py
            size=224,
            sourced=recipes.RECIPES,
            demo=DemoSetup(tile=96),
        )
    },
    metric=(
        "F1 of the changed pixels from one count over all test tiles; the mean over batches of "
        "32 tiles, as SeCo computes it, beside it as `f1_batch`."
    ),
    splits={"train": 827, "test": 385},  # tiles of 96, from the 24 sizes; as MTP counts them
    source=(
        "Caye Daudt et al. 2018, arXiv:1810.08468; tiles and colours as in "
        "github:ServiceNow/seasonal-contrast@411e37e datasets/oscd_dataset.py"
    ),
    licence=(
        "images: modified Copernicus data; labels: CC-BY-NC-SA by the release's README (torchgeo "
        "lists CC-BY-4.0 for all)"
    ),
    obtain=(
        "`skybench data download oscd`, or get the three archives by the links on "
        "rcdaudt.github.io/oscd and unpack them into oscd/."
    ),
    layout=(
        "oscd/\n"
        f"  {IMAGES}/abudhabi/imgs_1/…_B02.tif       24 cities; also imgs_2\n"
        f"  {IMAGES}/abudhabi/imgs_1_rect/B02.tif    also imgs_2_rect\n"
        f"  {IMAGES}/abudhabi/dates.txt              and, of some, abudhabi.geojson\n"
        f"  {FOLDER}Train Labels/abudhabi/cm/cm.png\n"
        f"  {FOLDER}Test Labels/brasilia/cm/cm.png\n"
    ),
    tile=96,
    caveats=(
        "papers of the SeCo line read the RGB bands of imgs_1 and imgs_2, stretched by fixed "
        "quantiles: the default; the second image is not registered there, in imgs_2_rect it is",
        "tiles at the right and lower edge are padded; SeCo counts the padding as unchanged, here "
        "it is not scored",
        "SeCo and followers do not train the encoder (--recipe oscd:seco), report on the test "
        "cities, and average F1 over shuffled batches, which alone moves it by sd .44",
        "MTP's printed numbers are of the last epoch; its best on the test cities are up to 2.4 "
        "points higher",
        "2.3 % of the training pixels and 5.2 % of the test pixels changed",
        "--set tile=1280 gives whole cities, padded to 1280 x 1280",
    ),
    options={
        "bands": Option(
            "rgb: red, green and blue of imgs_1 and imgs_2 as bytes, by SeCo's quantiles; 13: all "
            "bands of imgs_1_rect and imgs_2_rect as reflectance",
            ("rgb", "13"),
        )
    },
)

# Addresses and checksums: torchgeo 0.8.1 OSCD.
REMOTES = tuple(
    Remote(
        f"https://partage.{host}/index.php/s/{key}/download", f"{FOLDER}{what}.zip", f"md5:{md5}"
    )
    for host, key, what, md5 in (
        ("imt.fr", "gKRaWgRnLMfwMGo", "Images", "c50d4a2941da64e03a47ac4dec63d915"),
        (
            *("mines-telecom.fr", "2D6n03k58ygBSpu", "Train Labels"),
            "4d2965af8170c705ebad3d6ee71b6990",
        ),
        ("imt.fr", "gpStKn4Mpgfnr63", "Test Labels", "8177d437793c522653c442aa4e66c617"),
    )
)


def open(root: Path, split: str, tile: int = 0, **options: str) -> Samples:
    """Open a split: tiles of 96 x 96 with masks uint8 [96, 96], 1 where changed, 255 where padded.

    Images uint8 [2, 3, 96, 96] of sensor "hr", or with bands=13 int32 [2, 13, 96, 96] of "s2";
    days, longitude and latitude are known. split: train, test; tile: another side, also without
    overlap. Raises MissingFilesError.
    """
    from dataclasses import replace

    from skybench.core.dataset import Split
    from skybench.data import simulation

    from ._readers import layout, oscd, pairs

    name = layout.resolve_split(CARD, split)
    tree = layout.locate_tree(CARD, root, ("OSCD", "oscd"), lambda p: (p / IMAGES).is_dir())
    simulated = simulation.is_demo(root, tree, tree.parent)
    rgb = layout.resolve_options(CARD, options)["bands"] == "rgb"
    labels = tree / f"{FOLDER}{name.capitalize()} Labels"
    cities = (DEMO if simulated else CITIES)[name]
    city_pairs = oscd.city_pairs(CARD.title, (tree / IMAGES, labels), cities, rgb)
    split_of = Split(name, "official: 14 training and 10 test cities", "", simulated)
    card = replace(CARD, sensors=(RGB if rgb else S2,))
    decode = oscd.read_stretched_rgb if rgb else oscd.read_reflectance
    cut = (tile or CARD.tile, oscd.SLACK if rgb else 0)
    samples = pairs.PairTiles(card, split_of, city_pairs, decode, cut)
    places = (tree / IMAGES / city / n for city in cities for n in ("dates.txt", f"{city}.geojson"))
    samples.files += tuple(path for path in places if path.is_file())
    return samples


def peer(root: Path, scratch: Path) -> tuple[Samples, Any]:
    """Return training samples and torchgeo's class on the same files, for `skybench bench data`."""
    from torchgeo.datasets import OSCD

    theirs = OSCD(root, "train")
    side = max(theirs[0]["image"].shape[-2:])  # whole images, for both
    return open(root, "train", side, bands="13"), theirs


def write_demo(root: Path, seed: int = 0) -> None:
    """Write three training and two test cities of 120 to 150 pixels a side, all 13 bands."""
    from skybench.data import simulation

    from ._demo import oscd

    for part, cities in DEMO.items():
        for number, city in enumerate(cities):
            labels = root / f"{FOLDER}{part.capitalize()} Labels" / city / "cm"
            rng = simulation.rng_of(seed, "oscd", city)
            folder = root / IMAGES / city
            oscd.write_city(folder, labels, (144 - 12 * number, 150), rng)
            if number or part == "test":
                oscd.write_place(folder, 10.0 * number, 45.0)
    simulation.write_marker(root, CARD.name, seed)
