"""FAIR1M: oriented detection of 37 fine classes in large satellite images.

torchgeo's class reads whole images without tiles or scales; the tiles are cut here.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from xml.etree import ElementTree

from skybench.core import (
    UINT8,
    Column,
    DatasetCard,
    DemoSetup,
    Option,
    Sensor,
    Setup,
    Target,
    UsageError,
)
from skybench.data.split_lists import MissingFilesError

from ._recipes.fair1m import RECIPES

if TYPE_CHECKING:
    from skybench.core.dataset import Samples

    from ._readers import boxes

CLASSES = (
    *("Passenger Ship", "Motorboat", "Fishing Boat", "Tugboat", "other-ship", "Engineering Ship"),
    *("Liquid Cargo Ship", "Dry Cargo Ship", "Warship", "Small Car", "Bus", "Cargo Truck"),
    *("Dump Truck", "other-vehicle", "Van", "Trailer", "Tractor", "Excavator", "Truck Tractor"),
    *("Boeing737", "Boeing747", "Boeing777", "Boeing787", "ARJ21", "C919", "A220", "A321", "A330"),
    *("A350", "other-airplane", "Baseball Field", "Basketball Court", "Football Field"),
    *("Tennis Court", "Roundabout", "Intersection", "Bridge"),
)
DEMO = ("Dry Cargo Ship", "Small Car", "Cargo Truck", "Boeing737", "Boeing747", "Tennis Court")

# scales -> rates and overlap of tiles of 1024; github:open-mmlab/mmrotate split_configs
# ss_train.json and ms_train.json
CUTS = {"single": ((1.0,), 200), "multi": ((0.5, 1.0, 1.5), 500)}
PARTS = {
    "train": ("train/part1", "train/part2"),
    "val": ("validation",),
    "trainval": ("train/part1", "train/part2", "validation"),
    "test": ("test",),
}

CARD = DatasetCard(
    name="fair1m",
    title="FAIR1M",
    about=(
        "Over 40,000 satellite images of 1,000 to 10,000 pixels with more than a million oriented "
        "boxes of 37 fine classes of aircraft, ships, vehicles, courts and roads (edition 2.0)."
    ),
    tasks=("oriented_detection",),
    sensors=(Sensor("hr", ("red", "green", "blue"), 0.0, UINT8),),
    classes=CLASSES,
    target=Target("boxes"),
    setups={
        "oriented_detection": Setup(
            columns=(Column("train", test="val"),),  # the labels of test are withheld
            tile=1024,
            sourced=RECIPES,
            merge_tiles=True,
            demo=DemoSetup(tile=160, epochs=3),
        )
    },
    metric=(
        "Mean AP over 37 classes at a rotated IoU of 0.5: in papers by the server, on the test "
        "images; here on the validation images, with the 11-point AP of DIOR-R. An object "
        "annotated twice is found once, as in mmrotate; `ap50_voc07_doubles` counts a hit for "
        "each, and the record says how many there are."
    ),
    splits={"train": 0, "val": 0, "trainval": 0, "test": 0},  # tiles; their number is not published
    source=(
        "Sun et al. 2022, doi:10.1016/j.isprsjprs.2021.12.004; class order as in torchgeo's "
        "FAIR1M; tiles as in github:open-mmlab/mmrotate tools/data/dota/split"
    ),
    licence="CC-BY-NC-SA-3.0 according to torchgeo; given after registration: do not pass it on",
    obtain=(
        "register at gaofen-challenge.com/benchmark, get the archives by the link to Google "
        "Drive and unpack each in its folder below fair1m/ as shown."
    ),
    layout=(
        "fair1m/\n"
        "  train/part1/images/0.tif       train/part1/labelXml/0.xml       also part2\n"
        "  validation/images/0.tif        validation/labelXml/0.xml        edition 2.0\n"
        "  test/images/0.tif              without labels\n"
    ),
    tile=1024,
    unlabelled=("test",),
    caveats=(
        "papers train on train and validation and have the server score the test images, of "
        "which nobody has the labels; here train to val unless told otherwise: `--set "
        "train=trainval --set test=test` predicts them, and `skybench export` writes the files",
        "editions 1.0 and 2.0 share the training images; 2.0 adds validation and more test images, "
        "and its server is another: MTP's numbers are of 2.0, which SkySense's are of is unknown",
        "ids follow the release's groups as in torchgeo; those of MTP are alphabetical",
        "an object belongs to a tile with 70 % of its area; tiles overlap, so one may be in two",
        "torchgeo has one checksum for two archives (labels of validation, test2): one is wrong",
        "the numbers of images that are quoted (16,488, 8,287 and 18,021) are unverified",
        "edges of scaled windows differ from mmrotate's: it scales by OpenCV, without averaging",
    ),
    options={
        "scales": Option(
            "single: windows of 1024 pixels, 200 shared; multi: windows of 2048, 1024 and 682 "
            "pixels brought to 1024, 500 shared, as the best published numbers are made",
            tuple(CUTS),
        )
    },
)


def open(root: Path, split: str, tile: int = 0, **options: str) -> Samples:
    """Open a split: tiles uint8 [1, 3, 1024, 1024] with Boxes.

    Keys are <part>-<image>_<scale>_<y>_<x>.
    split: train, val, trainval, test (without boxes); tile: another side, with an overlap in
    proportion. Opening reads the header of each image. Raises MissingFilesError.
    """
    from dataclasses import replace

    from skybench.core.dataset import Split
    from skybench.data import simulation

    from ._readers import box_tiles, boxes, layout

    name = layout.resolve_split(CARD, split)
    scales = layout.resolve_options(CARD, options)["scales"]
    tree = layout.locate_tree(
        CARD, root, ("FAIR1M", "fair1m"), lambda p: (p / PARTS[name][0] / "images").is_dir()
    )
    items = [item for part in PARTS[name] for item in _items(tree, part, name != "test")]
    simulated = simulation.is_demo(root, tree, tree.parent)
    rates, overlap = CUTS[scales]
    side = tile or CARD.tile
    cut = box_tiles.Tiling(side, side * overlap // CARD.tile, rates)
    split_of = Split(name, f"rule: the folders {', '.join(PARTS[name])}", "", simulated)
    card = replace(CARD, classes=DEMO) if simulated else CARD
    return box_tiles.BoxTiles(card, split_of, items, cut, boxes.read_fair1m)


def _items(tree: Path, part: str, labelled: bool) -> list[boxes.AnnotatedImage]:
    from skybench.data import once

    from ._readers import boxes, layout

    images, labels = tree / part / "images", tree / part / "labelXml"
    for folder in (images, labels) if labelled else (images,):
        if not folder.is_dir():
            raise layout.layout_error(CARD, tree, f"there is no folder {folder}")
    listed = once.list_folder(labels).every if labelled else ()
    names = {n.removesuffix(".xml") for n in listed if n.endswith(".xml") and n[0] != "."}
    paths = [p for p in layout.images_in(images) if p.suffix == ".tif"]
    lone = {path.stem for path in paths} ^ names if labelled else set()
    if lone:
        raise MissingFilesError(
            f"{CARD.title} in {tree}",
            (
                f"{part}/labelXml/{s}.xml" if s not in names else f"{part}/images/{s}.tif"
                for s in lone
            ),
        )
    short = part.rsplit("/", 1)[-1]
    return [
        boxes.AnnotatedImage(f"{short}-{p.stem}", p, labels / f"{p.stem}.xml" if labelled else None)
        for p in paths
    ]


class Detection(NamedTuple):
    """A detected object of an image."""

    name: str  # of CLASSES
    score: float  # 0 to 1
    corners: Sequence[tuple[float, float]]  # four, (x, y) in pixels of the image, in turn


def write_results(folder: Path, detections: Mapping[str, Iterable[Detection]]) -> list[Path]:
    """Write <folder>/<image>.xml for each image, as the server expects; return the paths.

    detections: by image name without suffix ("17", or "test-17" as in keys); images without
    detections must be included. Raises UsageError for an invalid class, score or box.
    Source: github:ViTAE-Transformer/MTP scripts/dota_submit_txt_to_fair1m_xml.py (the elements).
    """
    folder.mkdir(parents=True, exist_ok=True)
    written = []
    for key, found in detections.items():
        image = key.removeprefix("test-")
        root = ElementTree.Element("annotation")
        _add(root, "source", {"filename": f"{image}.tif", "origin": "GF2/GF3"})
        about = {"version": "1.0", "provider": "skybench", "author": "skybench"}
        _add(root, "research", {**about, "pluginname": "FAIR1M", "pluginclass": "object detection"})
        objects = ElementTree.SubElement(root, "objects")
        for detection in found:
            _add_object(objects, image, detection)
        ElementTree.indent(root)
        path = folder / f"{image}.xml"
        ElementTree.ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
        written.append(path)
    return written


def _add(parent: ElementTree.Element, tag: str, texts: Mapping[str, str]) -> ElementTree.Element:
    element = ElementTree.SubElement(parent, tag)
    for name, text in texts.items():
        ElementTree.SubElement(element, name).text = text
    return element


def _add_object(objects: ElementTree.Element, image: str, detection: Detection) -> None:
    name, score, corners = detection
    values = [value for point in corners for value in point]
    if name not in CLASSES or not 0 <= score <= 1 or len(corners) != 4:
        raise UsageError(
            f"image {image}: expected a class of FAIR1M, a score from 0 to 1 and 4 corners, but "
            f"got {name!r}, {score} and {len(corners)}"
        )
    if not all(math.isfinite(value) for value in values):
        raise UsageError(f"image {image}: a box has the corners {corners}")
    kind = {"coordinate": "pixel", "type": "rectangle", "description": "None"}
    element = _add(objects, "object", kind)
    _add(element, "possibleresult", {"name": name, "probability": f"{score:.6f}"})
    points = ElementTree.SubElement(element, "points")
    for x, y in (*corners, corners[0]):
        ElementTree.SubElement(points, "point").text = f"{x:.6f},{y:.6f}"


def peer(root: Path, scratch: Path) -> tuple[Samples, Any]:
    """Return training samples and torchgeo's class on the same files, for `skybench bench data`."""
    from torchgeo.datasets import FAIR1M

    theirs = FAIR1M(root, "train")
    return open(root, "train", theirs[0]["image"].shape[-1]), theirs  # whole images, for both


def write_demo(root: Path, seed: int = 0) -> None:
    """Write 16 training, six validation and two test images of 256 x 256 pixels, six classes."""
    from PIL import Image

    from skybench.data import simulation

    from ._demo import sites

    kinds = {
        "Dry Cargo Ship": sites.ObjectKind("ship", (44, 12)),
        "Small Car": sites.ObjectKind("block", (16, 8)),
        "Cargo Truck": sites.ObjectKind("block", (32, 9)),
        "Boeing737": sites.ObjectKind("plane", (28, 26)),
        "Boeing747": sites.ObjectKind("plane", (46, 44)),
        "Tennis Court": sites.ObjectKind("court", (42, 21)),
    }
    parts = {"train/part1": 8, "train/part2": 8, "validation": 6, "test": 2}
    for part, count in parts.items():
        images, labels = root / part / "images", root / part / "labelXml"
        for folder in (images, labels)[: 1 if part == "test" else 2]:
            folder.mkdir(parents=True, exist_ok=True)
        for number in range(count):
            rng = simulation.rng_of(seed, "fair1m", part, number)
            canvas, placed = sites.draw_site(rng, (256, 256), kinds)
            picture = Image.fromarray(canvas.display())
            picture.save(images / f"{number}.tif", compression="tiff_adobe_deflate")
            if part != "test":
                found = [Detection(n, 1.0, c.tolist()) for n, c in placed]
                write_results(labels, {str(number): found})
    simulation.write_marker(root, CARD.name, seed)
