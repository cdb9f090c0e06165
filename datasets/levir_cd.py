"""LEVIR-CD: building change between two aerial images of 0.5 m.

torchgeo's class reads whole images of the flat layout only and knows no coordinates.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from skybench.core import IGNORE, UINT8, DatasetCard, Sensor, Setup, Target
from skybench.data.download import Remote
from skybench.data.split_lists import MissingFilesError

from ._recipes import levir_cd as recipes

if TYPE_CHECKING:
    from skybench.core.dataset import Samples

    from ._readers import georeference

FOLDERS = ("A", "B", "label")
PARTS = {"trainval": ("train", "val")}  # of splits that are several of the release's

# Where each of the 637 pairs lies; BSD-2-Clause, github:justchenhao/STANet.
COORDINATES = Remote(
    "https://raw.githubusercontent.com/justchenhao/STANet/"
    "6152d72f55df00a43d341580970be7a58c6b0cd5/LEVIR_CD_spatial_info/LEVIR_CD_name_coords.json",
    "LEVIR_CD_name_coords.json",
    "sha256:8c6f6d3159b0019a27e626256a662a0444a0bc29ccfcb87cbfe722d510815f39",
    62276,
    unpack=False,
)
COMPANIONS = (COORDINATES,)

CARD = DatasetCard(
    name="levir_cd",
    title="LEVIR-CD",
    about=(
        "637 pairs of images of 1024 x 1024 pixels from Google Earth, Texas, 2002 to 2018, with "
        "the buildings that were built or pulled down between."
    ),
    tasks=("change_detection",),
    sensors=(Sensor("hr", ("red", "green", "blue"), 0.5, UINT8),),
    classes=("unchanged", "changed"),
    target=Target("mask", IGNORE),
    setups={"change_detection": Setup(sourced=recipes.RECIPES)},
    metric=(
        "F1 of the changed pixels from one count over all test tiles; precision, recall and IoU "
        "beside it."
    ),
    image_sides=(1024,),
    # 16 tiles of 256 an image: 445, 64, 128
    splits={"train": 7120, "val": 1024, "test": 2048, "trainval": 8144},
    source="Chen and Shi 2020, doi:10.3390/rs12101662; tiles as in github:justchenhao/STANet",
    licence="none stated; imagery of Google Earth: use it for research, do not pass it on",
    obtain=(
        "follow the links on justchenhao.github.io/LEVIR and unpack train.zip, val.zip and "
        "test.zip into levir_cd/; `skybench data splits levir_cd` brings longitude and latitude."
    ),
    layout=(
        "levir_cd/\n"
        "  A/train_1.png  B/train_1.png  label/train_1.png     445 pairs; also val_, test_\n"
        "  LEVIR_CD_name_coords.json                           optional, also in splits/\n"
        "or\n"
        "levir_cd/\n"
        "  train/A/train_1.png  train/B/  train/label/         also val/, test/\n"
    ),
    tile=256,
    caveats=(
        "whole images instead of tiles change F1 by 0.4 to 1: --set tile=1024 gives whole images",
        "BIT's own script trains on train and val and takes the best epoch on the test set "
        "(--recipe levir_cd:bit-cd)",
        "the dates of the images are not published",
        "images are PNGs: without 5 GB for decoded tiles each costs both whole images and the mask",
    ),
)


def open(root: Path, split: str, tile: int = 0, **options: str) -> Samples:
    """Open a split: tiles uint8 [2, 3, 256, 256] with masks uint8 [256, 256], 1 where changed.

    split: train, val, test, or trainval, which is both; tile: another side, also without overlap;
    there are no options.
    Opening reads the headers of all images. Raises MissingFilesError.
    """
    from skybench.core.dataset import Split
    from skybench.data import simulation

    from ._readers import georeference, layout, pairs

    layout.resolve_options(CARD, options)
    name = layout.resolve_split(CARD, split)
    names = ("LEVIR-CD", "LEVIR CD", "levir_cd")
    parts = PARTS.get(name, (name,))
    tree = layout.locate_tree(CARD, root, names, lambda p: all(_folder(p, n) for n in parts))
    simulated = simulation.is_demo(root, tree, tree.parent)
    places = _places((tree, root), simulated)
    date_pairs = [
        pairs.DatePair(a.stem, ((a,), (b,)), mask, None, places.get(a.name, georeference.NOWHERE))
        for part in parts
        for a, b, mask in _files(tree, part)
    ]
    split_of = Split(name, "official: the folders or file names of the release", "", simulated)
    side = tile or CARD.tile
    samples = pairs.PairTiles(CARD, split_of, date_pairs, pairs.read_picture, (side, 0))
    samples.description = '"with places"' if places else ""
    return samples


def _folder(tree: Path, split: str) -> Path | None:
    """Return the folder with A, B and label of a split, in either layout."""
    for place in (tree / split, tree):
        if all((place / name).is_dir() for name in FOLDERS):
            return place
    return None


def _files(tree: Path, split: str) -> list[tuple[Path, ...]]:
    """Return images and mask of each pair. Raises MissingFilesError for unpaired files."""
    from fnmatch import fnmatch

    from ._readers import layout

    place = _folder(tree, split) or tree
    start = f"{split}_" if place == tree else ""
    found = [
        {p.name for p in layout.images_in(place / name) if fnmatch(p.name.lower(), f"{start}*.png")}
        for name in FOLDERS
    ]
    every = sorted(set.union(*found))
    missing = [
        (place / name / file).relative_to(tree).as_posix()
        for name, own in zip(FOLDERS, found, strict=True)
        for file in every
        if file not in own
    ]
    if missing:
        raise MissingFilesError(f"{CARD.title} in {tree}", missing)
    return [tuple(place / name / file for name in FOLDERS) for file in every]


def _places(folders: tuple[Path, ...], simulated: bool) -> dict[str, georeference.Extent]:
    """Return extents by file name; {} without the list. Raises DataError for an altered list."""
    import hashlib
    import json

    from skybench.core import DataError
    from skybench.data import split_lists

    from ._readers import georeference

    beside = [folder / p for folder in folders for p in (".", "splits")]
    candidates = (
        place / COORDINATES.filename for place in (*beside, split_lists.lists_folder(CARD.name))
    )
    path = next((path for path in candidates if path.is_file()), None)
    if path is None:
        return {}
    data = path.read_bytes()
    if not simulated and f"sha256:{hashlib.sha256(data).hexdigest()}" != COORDINATES.digest:
        raise DataError(
            f"{path} is not the published list of coordinates; remove it, or get it again from "
            f"{COORDINATES.url}"
        )
    boxes = json.loads(data).items()
    return {
        name: georeference.Extent(west, south, east, north)
        for name, (west, north, east, south) in boxes
    }


def peer(root: Path, scratch: Path) -> tuple[Samples, Any]:
    """Return training samples and torchgeo's class on the same files, for `skybench bench data`."""
    from torchgeo.datasets import LEVIRCD

    theirs = LEVIRCD(root, "train")
    return open(root, "train", theirs[0]["image"].shape[-1]), theirs  # whole images, for both


def write_demo(root: Path, seed: int = 0) -> None:
    """Write 14, 4 and 8 pairs of 128 x 128 pixels in the flat layout, with coordinates."""
    import json

    from PIL import Image

    from skybench.data import simulation

    from ._demo import growth

    for name in FOLDERS:
        (root / name).mkdir(parents=True, exist_ok=True)
    places: dict[str, list[float]] = {}
    for part, count in {"train": 14, "val": 4, "test": 8}.items():
        for number in range(1, count + 1):
            name = f"{part}_{number}.png"
            town = growth.grow_town(simulation.rng_of(seed, "levir_cd", name), (128, 128), (14, 22))
            Image.fromarray(town.before.display()).save(root / "A" / name)
            Image.fromarray(town.after.display()).save(root / "B" / name)
            Image.fromarray(town.changed * 255).save(root / "label" / name)
            west, north = -98 + 0.001 * len(places), 30.2
            places[name] = [west, north, west + 0.0007, north - 0.0006]
    (root / COORDINATES.filename).write_text(json.dumps(places), encoding="utf-8")
    simulation.write_marker(root, CARD.name, seed)
