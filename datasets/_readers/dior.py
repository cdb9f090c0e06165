"""What DIOR and DIOR-R share: the images, the lists, the classes, the simulated scenes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from skybench.core import DataError, DatasetCard

if TYPE_CHECKING:
    from skybench.core.dataset import Samples

    from . import boxes

# The order of SkySense, MTP and mmrotate (datasets/dior.py); names in the files have capitals.
CLASSES = (
    *("airplane", "airport", "baseballfield", "basketballcourt", "bridge", "chimney"),
    *("expressway-service-area", "expressway-toll-station", "dam", "golffield"),
    *("groundtrackfield", "harbor", "overpass", "ship", "stadium", "storagetank"),
    *("tenniscourt", "trainstation", "vehicle", "windmill"),
)
DEMO = ("airplane", "ship", "storagetank", "tenniscourt", "vehicle")  # classes of simulated data
COUNTS = {"train": 5862, "val": 5863, "trainval": 11725, "test": 11738}
LISTS = {"train": ("train",), "val": ("val",), "trainval": ("train", "val"), "test": ("test",)}
LICENCE = "CC-BY-NC-4.0 according to torchgeo; imagery of Google Earth: do not pass it on"
LEADS = (
    "ids follow SkySense, MTP and mmrotate; torchgeo puts dam before the expressways",
    "torchgeo's copy has another layout, class names without hyphens and no boxes of test",
    "papers train on trainval and test on test; val is for choices",
    "boxes without an area or wholly outside the image are left out; MTP's COCO file keeps them, "
    "and an evaluation with it counts them as missed",
)


def layout(name: str, annotations: str) -> str:
    """The official tree."""
    return (
        f"{name}/\n"
        "  JPEGImages-trainval/00001.jpg          11,725 images, 800 x 800\n"
        "  JPEGImages-test/11726.jpg              11,738 images\n"
        f"  Annotations/{annotations}/00001.xml\n"
        "  ImageSets/Main/train.txt               also val.txt, test.txt: 00001, one a line\n"
    )


def open_split(
    card: DatasetCard, root: Path, split: str, annotations: str, objects: boxes.Reader
) -> Samples:
    """A split by the lists of the release; `annotations`: the folder below Annotations/."""
    from dataclasses import replace

    from skybench.core.dataset import Split
    from skybench.data import simulation
    from skybench.data.split_lists import MissingFilesError

    from . import boxes
    from . import layout as _layout

    name = _layout.choose(card, split)
    tree = _layout.locate(
        card, root, ("DIOR", "DIOR-R", "dior"), lambda p: (p / "ImageSets" / "Main").is_dir()
    )
    items = [item for part in LISTS[name] for item in _listed(card, tree, part, annotations)]
    lists = " and ".join(f"{part}.txt" for part in LISTS[name])
    if len({item.key for item in items}) < len(items):
        raise DataError(f"{lists} of {tree} name an image twice; get the lists again")
    names = {folder: _names(tree / folder) for folder in {i.image.parent.name for i in items}}
    names[annotations] = _names(tree / "Annotations" / annotations)
    missing = [path for path in boxes.files_of(items) if path.name not in names[path.parent.name]]
    if missing:
        where = [path.relative_to(tree).as_posix() for path in missing]
        raise MissingFilesError(f"{card.title} in {tree}", where)
    simulated = simulation.marked(root, tree, tree.parent)
    split_of = Split(name, f"official list: ImageSets/Main/{lists} of the folder", "", simulated)
    card = replace(card, classes=DEMO) if simulated else card
    return boxes.BoxImages(card, split_of, sorted(items), objects)


def _names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()} if folder.is_dir() else set()


def _listed(card: DatasetCard, tree: Path, part: str, annotations: str) -> list[boxes.Item]:
    """What a list names. Raises DataError for a list that is missing or broken."""
    from skybench.data import split_lists

    from . import boxes
    from . import layout as _layout

    path = tree / "ImageSets" / "Main" / f"{part}.txt"
    try:
        numbers = split_lists.parse(path.read_bytes())
    except split_lists.BROKEN as error:
        raise _layout.wrong(card, tree, f"{path} cannot be read ({error})") from error
    images = tree / ("JPEGImages-test" if part == "test" else "JPEGImages-trainval")
    labels = tree / "Annotations" / annotations
    return [boxes.Item(n, images / f"{n}.jpg", labels / f"{n}.xml") for n in numbers]
