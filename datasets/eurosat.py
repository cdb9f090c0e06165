"""EuroSAT, RGB edition: land use in Sentinel-2 chips, 10 classes.

torchgeo's class reads the 13-band edition; the chips of this one are display images.
"""

from __future__ import annotations

import csv
import hashlib
import io
from pathlib import Path
from typing import TYPE_CHECKING

from skybench.core import S2_DISPLAY, DataError, DatasetCard, Sensor, Setup, Target

from ._recipes.eurosat import RECIPES

if TYPE_CHECKING:
    from skybench.core.dataset import Samples

    from ._readers import images

CARD = DatasetCard(
    name="eurosat",
    title="EuroSAT RGB",
    about="Sentinel-2 chips of 64 x 64 pixels, 10 kinds of land cover, as 8-bit RGB.",
    tasks=("scene_classification",),
    sensors=(Sensor("s2", ("red", "green", "blue"), 10.0, S2_DISPLAY),),
    classes=(
        *("AnnualCrop", "Forest", "HerbaceousVegetation", "Highway", "Industrial", "Pasture"),
        *("PermanentCrop", "Residential", "River", "SeaLake"),
    ),
    target=Target("class"),
    metric="Overall accuracy (top-1).",
    setups={"scene_classification": Setup(sourced=RECIPES)},
    image_sides=(64,),
    splits={"train": 16200, "val": 5400, "test": 5400},
    source="Helber et al. 2019, github:phelber/EuroSAT; sizes of the parts: torchgeo's lists",
    licence="MIT; contains modified Copernicus Sentinel data",
    obtain="fetch EuroSAT_RGB.zip from zenodo.org/records/7711810 and unpack it into eurosat/.",
    layout=(
        "eurosat/\n"
        "  EuroSAT/2750/AnnualCrop/AnnualCrop_1.jpg   10 class folders, 27,000 JPEGs of 64 x 64\n"
        "  (2750/ or the class folders may also lie directly in eurosat/)\n"
        "  labels.csv              optional: path,class,class_id,split\n"
        "  eurosat-train.txt       optional: with -val and -test, torchgeo's lists\n"
    ),
    caveats=(
        "there is no split by the authors: 60/20/20 lists of torchgeo, a labels.csv in the folder "
        "or a rule of ours; the record says which",
        "level-1C reflectance 0 to 2750 was stretched to 0..255 and stored as JPEG",
        "neighbouring chips may lie in different parts: scores are higher than on new regions",
    ),
)

# md5 of torchgeo's lists. Source: torchgeo 0.8.1 datasets/eurosat.py, EuroSAT.split_md5s.
MD5 = {
    "train": "908f142e73d6acdf3f482c5e80d851b1",
    "val": "95de90f2aa998f70a3b2416bfe0687b4",
    "test": "7ae5ab94471417b6e315763121e67c5f",
}


def open(root: Path, split: str, tile: int = 0) -> Samples:
    """Open a split: images uint8 [1, 3, 64, 64] with their class id; `tile` must be 0.

    split: train, val, test; from labels.csv, else torchgeo's lists, else stratified 60/20/20.
    """
    from ._readers import images, layout

    layout.require_whole_images(CARD, tile)
    name = layout.resolve_split(CARD, split)
    folders = images.scan_class_folders(CARD, root, ("EuroSAT/2750", "EuroSAT_RGB", "2750"))
    for folder in (root, folders.tree):
        if (folder / "labels.csv").is_file():
            keys = _from_csv(folder / "labels.csv", folders, name)
            return images.split_from_list(folders, keys, name, "labels.csv of the folder")
    lists = {part: root / f"eurosat-{part}.txt" for part in MD5}
    if all(path.is_file() for path in lists.values()):
        data = lists[name].read_bytes()
        genuine = hashlib.md5(data, usedforsecurity=False).hexdigest() == MD5[name]
        source = "official list: torchgeo" if genuine else f"{lists[name].name} of the folder"
        try:
            names = data.decode().split()
        except UnicodeDecodeError as error:
            raise _not_text(lists[name], error) from error
        return images.split_from_list(folders, names, name, source)
    return images.split_60_20_20(folders, name)


def _from_csv(path: Path, folders: images.ClassFolders, split: str) -> list[str]:
    """Return the file names of a split. Raises DataError if the table contradicts the folders."""
    try:
        text = path.read_text(encoding="utf-8-sig")  # spreadsheets leave a mark at the beginning
    except UnicodeDecodeError as error:
        raise _not_text(path, error) from error
    table = csv.DictReader(io.StringIO(text, newline=""))
    lacking = {"path", "class", "split"} - set(table.fieldnames or ())
    if lacking:
        raise DataError(f"{path} has no column {', '.join(sorted(lacking))}")
    rows = list(table)
    for row in rows:
        if Path(row["path"]).parent.name != row["class"]:
            raise DataError(f"{path} calls {row['path']} a {row['class']}; its folder says else")
    seen: set[str] = set()
    for row in rows:
        if row["path"] in seen:
            raise DataError(f"{path} names {row['path']} twice")
        seen.add(row["path"])
    return [Path(row["path"]).name for row in rows if row["split"] == split]


def _not_text(path: Path, error: UnicodeDecodeError) -> DataError:
    return DataError(f"{path} cannot be read ({error}); expected UTF-8. Save it so, or remove it.")


def write_demo(root: Path, seed: int = 0) -> None:
    """Write seven of the classes, 30 simulated chips of 64 x 64 pixels each."""
    from skybench.data import simulation

    from ._demo import scenes

    classes = {
        "AnnualCrop": scenes.fields,
        "Forest": scenes.forest,
        "Highway": scenes.road,
        "Industrial": scenes.factories,
        "Residential": scenes.town,
        "River": scenes.river,
        "SeaLake": scenes.open_water,
    }
    folder = root / "EuroSAT" / "2750"
    simulation.write_scenes(folder, classes, 30, 64, lambda c, n: f"{c}_{n}.jpg", seed + 2)
    simulation.write_marker(root, CARD.name, seed)
