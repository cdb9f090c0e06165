"""A user's own folder of images or time series, with one class each or with masks.

Nothing but a folder is needed for classes; masks need a skybench.toml with the class names.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from skybench.core import IGNORE, UINT8, DataError, DatasetCard, Sensor, Target

from ._readers import folder_setups

if TYPE_CHECKING:
    from skybench.core.dataset import Samples

    from ._readers import folder

DETECTION = ("horizontal_detection", "oriented_detection")
TARGETS = {
    "scene_classification": Target("class"),
    "semantic_segmentation": Target("mask", IGNORE),
    "change_detection": Target("mask", IGNORE),
    **dict.fromkeys(DETECTION, Target("boxes")),
}

CARD = DatasetCard(
    name="folder",
    title="your folder",
    about=(
        "Your own images: one class each, masks, pairs of dates with change masks, or series of "
        "dates."
    ),
    tasks=("scene_classification", "semantic_segmentation", "change_detection", *DETECTION),
    sensors=(Sensor("hr", ("red", "green", "blue"), 0.0, UINT8),),
    classes=(),
    setups=folder_setups.SETUPS,
    metric="Overall accuracy; mean IoU; F1 of change.",
    splits={"train": 0, "val": 0, "test": 0},  # 0: nothing is published about them
    source="the user's",
    licence="the user's",
    obtain="it is yours: name it by --data, the folder itself or a .toml that describes it.",
    layout=(
        "one class each:   <class>/a.jpg          or train/<class>/a.jpg, val/…, test/…\n"
        "masks:            images/a.jpg, masks/a.png   or <group>/images/…, <group>/masks/…\n"
        "series:           a folder of dated files for a.jpg, as a/2019-07-15.tif\n"
        "skybench.toml     in the folder, or anywhere with `root`; needed for masks:\n"
        '  root = "."                            relative to this file\n'
        '  exclude = ["tile8/image_part_003"]    keys or paths, also patterns\n'
        "  ignore = [[0, 0, 0]]                  colours, or ids, of masks that are left out\n"
        '  classes = ["land", "road"]            masks hold ids; 255 is always left out\n'
        "  [classes]                             or masks hold colours\n"
        "  land = [132, 41, 246]\n"
        "  [splits]                              else train/val/test folders, else 60/20/20 %\n"
        '  train = ["tile1", "tile2/images/*"]   groups, keys, paths or patterns\n'
        "  change = true                         masks of what changed between two dates\n"
        '  boxes = "annotations.json"            COCO, upright; "split" of images is used;\n'
        "                                        they lie in the folder, images/ or <split>/; or\n"
        '  boxes = "labels"                      a folder with texts as of DOTA, one an image\n'
        "  [sensor]                              for images other than 8-bit RGB\n"
        '  bands = ["red", "green", "blue", "nir"]\n'
        "  gsd = 10.0\n"
        '  unit = "reflectance x 1e4"\n'
    ),
    tile=512,
    user_data=True,
    caveats=("without groups in [splits], neighbouring images may fall into train and test",),
)


def open(root: Path, split: str, tile: int = 0) -> Samples:
    """Open a split: images [T, C, H, W] in the stored type with a class id, or tiles with masks.

    root: the folder, or a .toml that names it. Tiles are 512 pixels, or less where no image of
    any split is as large, or `tile`; without overlap (with boxes they overlap by a fifth).
    Smaller images are padded with 0, masks with 255.
    """
    from ._readers import folder, layout

    layout.require_present(CARD, root)
    about = folder.describe_folder(root)
    layout.require_present(CARD, about.root)
    if about.boxes:
        return _with_boxes(about, split, tile)
    items = folder.folder_items(about)
    if not items:
        raise layout.layout_error(CARD, about.root, f"it holds {layout.names_in(about.root)}")
    if items[0].mask is None:
        layout.require_whole_images(CARD, tile)
        return _with_classes(about, items, split)
    return _with_masks(about, items, split, tile)


def _with_classes(
    about: folder.FolderDescription, items: list[folder.FolderItem], split: str
) -> Samples:
    from skybench.data import simulation

    from ._readers import folder, images

    found = sorted({item.image.parent.name for item in items})
    classes = about.classes or tuple(found)
    if strange := set(found) - set(classes):
        raise DataError(
            f"{about.root} has a folder {min(strange)!r}; its skybench.toml knows the classes "
            f"{', '.join(classes)}"
        )
    chosen, source, names = folder.split_members(about, items, split)
    card = _card(about, "scene_classification", classes, names)
    files = {item.key: item.image.relative_to(about.root) for item in items}
    labels = {item.key: classes.index(item.image.parent.name) for item in items}
    labelled = images.ClassFolders(about.root, card, files, labels, simulation.is_demo(about.root))
    return images.LabelledImages(labelled, [item.key for item in chosen], split, source)


def _with_masks(
    about: folder.FolderDescription, items: list[folder.FolderItem], split: str, tile: int
) -> Samples:
    from skybench.core.dataset import Split
    from skybench.data import simulation

    from ._readers import folder, raster, tiles

    if not about.classes:
        raise DataError(
            f"{about.root} has masks, but nothing names their classes; write a skybench.toml:\n"
            f"{CARD.layout}"
        )
    chosen, source, names = folder.split_members(about, items, split)
    task = "change_detection" if about.change else "semantic_segmentation"
    card = _card(about, task, about.classes, names)
    colours = [(c, i) for i, c in enumerate(about.colours)]
    colours += [(c, raster.IGNORE) for c in about.ignored_colours]
    legend = raster.Legend(len(about.classes), tuple(colours), about.ignored_ids)
    pairs = [tiles.ImageMask(i.key, i.image, i.mask) for i in chosen if i.mask is not None]
    if about.change:
        folder.require_two_dates(about, chosen)
    side = tile or folder.tile_side(about, items, names, CARD.tile)
    split_of = Split(split, source, "", simulation.is_demo(about.root))
    return tiles.MaskTiles(replace(card, tile=side), split_of, pairs, (side, side), legend)


def _with_boxes(about: folder.FolderDescription, split: str, tile: int) -> Samples:
    from skybench.core.dataset import Split
    from skybench.data import simulation

    from ._readers import box_tiles, boxes, folder, folder_boxes

    found = folder_boxes.read_annotations(about)
    chosen, source, names = folder.split_members(about, found.items, split)
    card = _card(about, DETECTION[found.oriented], found.classes, names)
    split_of = Split(split, source, "", simulation.is_demo(about.root))
    items = [boxes.AnnotatedImage(item.key, item.image, item.image) for item in chosen]
    side = tile or folder.tile_side(about, found.items, names, CARD.tile)
    cut = box_tiles.Tiling(side, side // 5, (1.0,))
    return box_tiles.BoxTiles(replace(card, tile=side), split_of, items, cut, found)


def _card(
    about: folder.FolderDescription, task: str, classes: tuple[str, ...], names: list[str]
) -> DatasetCard:
    title = f"folder {about.root.resolve().name}"
    return replace(
        CARD,
        title=title,
        tasks=(task,),
        classes=classes,
        target=TARGETS[task],
        sensors=(about.sensor,),
        splits=dict.fromkeys(names, 0),
        tile=0 if task == "scene_classification" else CARD.tile,
    )


def write_demo(root: Path, seed: int = 0) -> None:
    """Write four classes of 20 simulated images, 64 x 64 pixels each."""
    from skybench.data import simulation

    from ._demo import scenes

    classes = {
        "bare": scenes.bare,
        "fields": scenes.fields,
        "forest": scenes.forest,
        "town": scenes.town,
    }
    simulation.write_scenes(root, classes, 20, 64, lambda c, n: f"{c}_{n}.jpg", seed + 3)
    simulation.write_marker(root, CARD.name, seed)
