"""What DIOR and DIOR-R share: images, split lists, classes, evaluation."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from skybench.core import Column, DataError, DatasetCard, Setup, SourcedRecipe

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
CAVEATS = (
    "ids follow SkySense, MTP and mmrotate; torchgeo puts dam before the expressways",
    "torchgeo's copy has another layout, class names without hyphens and no boxes of test",
    "papers train on trainval and test on test; val is for choices",
    "boxes without an area or wholly outside the image are left out; MTP's COCO file keeps them, "
    "and an evaluation with it counts them as missed",
)


def detection_setup(recipes: tuple[SourcedRecipe, ...]) -> Setup:
    """Return the setup of the papers: trainval to test, images at their full size."""
    return Setup(columns=(Column("trainval"),), size=800, sourced=recipes)


def official_layout(name: str, annotations: str) -> str:
    """Return the official folder tree, for messages and documentation."""
    return (
        f"{name}/\n"
        "  JPEGImages-trainval/00001.jpg          11,725 images, 800 x 800\n"
        "  JPEGImages-test/11726.jpg              11,738 images\n"
        f"  Annotations/{annotations}/00001.xml\n"
        "  ImageSets/Main/train.txt               also val.txt, test.txt: 00001, one a line\n"
    )


def open_dior(
    card: DatasetCard, root: Path, split: str, annotations: str, objects: boxes.Reader
) -> Samples:
    """Open a split of the released lists; `annotations`: the folder below Annotations/."""
    from dataclasses import replace

    from skybench.core.dataset import Split
    from skybench.data import simulation
    from skybench.data.split_lists import MissingFilesError

    from . import boxes, layout

    name = layout.resolve_split(card, split)
    tree = layout.locate_tree(
        card, root, ("DIOR", "DIOR-R", "dior"), lambda p: (p / "ImageSets" / "Main").is_dir()
    )
    items = [item for part in LISTS[name] for item in _listed(card, tree, part, annotations)]
    lists = " and ".join(f"{part}.txt" for part in LISTS[name])
    if len({item.key for item in items}) < len(items):
        raise DataError(f"{lists} of {tree} name an image twice; get the lists again")
    names = {folder: _names(tree / folder) for folder in {i.image.parent.name for i in items}}
    names[annotations] = _names(tree / "Annotations" / annotations)
    missing = [
        path for path in boxes.annotated_files(items) if path.name not in names[path.parent.name]
    ]
    if missing:
        where = [path.relative_to(tree).as_posix() for path in missing]
        raise MissingFilesError(f"{card.title} in {tree}", where)
    simulated = simulation.is_demo(root, tree, tree.parent)
    split_of = Split(name, f"official list: ImageSets/Main/{lists} of the folder", "", simulated)
    card = replace(card, classes=DEMO) if simulated else card
    return boxes.BoxImages(card, split_of, sorted(items), objects)


def _names(folder: Path) -> set[str]:
    from skybench.data import once

    return {*once.list_folder(folder).every} if folder.is_dir() else set()


def _listed(
    card: DatasetCard, tree: Path, part: str, annotations: str
) -> list[boxes.AnnotatedImage]:
    """Return the images of a list. Raises DataError for a missing or unreadable list."""
    from skybench.data import split_lists

    from . import boxes, causes, layout

    path = tree / "ImageSets" / "Main" / f"{part}.txt"
    try:
        numbers = split_lists.parse_list(path.read_bytes())
    except split_lists.LIST_ERRORS as error:
        raise layout.layout_error(
            card, tree, f"{path} cannot be read ({causes.cause_of(error)})"
        ) from error
    images = tree / ("JPEGImages-test" if part == "test" else "JPEGImages-trainval")
    labels = tree / "Annotations" / annotations
    return [boxes.AnnotatedImage(n, images / f"{n}.jpg", labels / f"{n}.xml") for n in numbers]
