"""A user's own folder of images or time series, with one class each or with masks.

Nothing but a folder is needed for classes; masks need a skybench.toml with the class names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from skybench.core import IGNORE, UINT8, DataError, DatasetCard, Sensor, Target
from skybench.data import once

from ._readers import folder_setups

if TYPE_CHECKING:
    from skybench.core.dataset import Samples

    from ._readers import coco_masks, folder
    from ._readers.annotated_folder import AnnotatedFolder

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
        "Your own images: one class each, masks, boxes, pairs of dates with change masks, or "
        "series of dates."
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
    layout=folder_setups.LAYOUT,
    tile=512,
    user_data=True,
    caveats=("without groups in [splits], neighbouring images may fall into train and test",),
)


def open(root: Path, split: str, tile: int = 0) -> Samples:
    """Open a split: images [T, C, H, W] in the stored type with a class id, or tiles with masks.

    root: the folder, or a .toml that names it. Tiles are 512 pixels, or less where no image of
    any split is as large, or `tile`; without overlap. With boxes they overlap by a fifth, or by
    the longest object, and grow to twice its length, up to 1,024. Smaller images are padded with
    0, masks with 255.
    """
    from ._readers import folder, layout

    layout.require_present(CARD, root)
    about = folder.describe_folder(root)
    layout.require_present(CARD, about.root)
    samples = _opened(root, about, split, tile)
    samples.description += folder.label_settings(about)
    return samples


def _opened(root: Path, about: folder.FolderDescription, split: str, tile: int) -> Samples:
    from ._readers import coco_masks, folder_boxes, layout

    if coco_masks.has_regions(about):
        return _with_regions(about, _regions(root), split, tile)
    if folder_boxes.has_boxes(about):
        return _with_boxes(about, _annotations(root), split, tile)
    items = _items(root)
    if items[0].mask is None:
        layout.require_whole_images(CARD, tile)
        return _with_classes(root, about, split)
    return _with_masks(root, about, split, tile)


def splits(root: Path) -> list[str]:
    """Return the names of the splits that a folder has. Raises DataError."""
    from ._readers import coco_masks, folder, folder_boxes, folder_splits, layout

    layout.require_present(CARD, root)
    about = folder.describe_folder(root)
    layout.require_present(CARD, about.root)
    if coco_masks.has_regions(about):
        return folder_splits.split_names(about, _regions(root).items)
    if about.splits:
        return [*about.splits]
    if folder_boxes.has_boxes(about):
        found = _annotations(root)
        return [*folder_boxes.choose(about, found, "train", 0, CARD.tile).names]
    return folder_splits.split_names(about, _items(root))


@once.once_a_plan
def _items(root: Path) -> list[folder.FolderItem]:
    from ._readers import folder, folder_items, layout

    about = folder.describe_folder(root)
    items = folder_items.folder_items(about)
    if not items:
        found = f"{layout.names_in(about.root)}{folder_items.kinds_below(about.root)}"
        raise layout.layout_error(CARD, about.root, f"it holds {found}")
    return items


@once.once_a_plan
def _class_names(root: Path) -> dict[str, str]:
    """The class of each image, by key."""
    return {item.key: item.image.parent.name for item in _items(root)}


@once.once_a_plan
def _left_out(root: Path) -> tuple[str, ...]:
    """What the folder holds and no split has, as sentences."""
    from ._readers import folder, folder_items

    return tuple(folder_items.left_out(folder.describe_folder(root), _items(root)))


@once.once_a_plan
def _regions(root: Path) -> coco_masks.RegionFolder:
    from ._readers import coco_masks, folder

    return coco_masks.read_regions(folder.describe_folder(root))


@once.once_a_plan
def _annotations(root: Path) -> AnnotatedFolder:
    from ._readers import folder, folder_boxes

    return folder_boxes.read_annotations(folder.describe_folder(root))


def _with_classes(root: Path, about: folder.FolderDescription, split: str) -> Samples:
    from skybench.data import simulation

    from ._readers import class_folders, folder_splits, images

    items, names_of = _items(root), _class_names(root)
    found = sorted({*names_of.values()})
    classes = about.classes or tuple(found)
    if strange := set(found) - set(classes):
        raise DataError(
            f"{about.root} has a folder {min(strange)!r}; its skybench.toml knows the classes "
            f"{', '.join(classes)}"
        )
    chosen, source, names = folder_splits.split_members(about, items, split)
    card = _card(about, "scene_classification", classes, names)
    files = {item.key: item.image.relative_to(about.root) for item in chosen}
    labels = {item.key: classes.index(names_of[item.key]) for item in chosen}
    labelled = images.ClassFolders(about.root, card, files, labels, simulation.is_demo(about.root))
    samples = images.LabelledImages(labelled, [item.key for item in chosen], split, source)
    samples.notes += (*class_folders.absent(samples), *_left_out(root))
    return samples


def _with_masks(root: Path, about: folder.FolderDescription, split: str, tile: int) -> Samples:
    from skybench.core.dataset import Split
    from skybench.data import simulation

    from ._readers import folder_items, folder_splits, folder_tiles, mask_values

    items = _items(root)
    about = folder_items.with_pairs(about, items)
    if not about.classes:
        raise DataError(mask_values.without_classes(about, [i.mask for i in items if i.mask]))
    chosen, source, names = folder_splits.split_members(about, items, split)
    task = "change_detection" if about.change else "semantic_segmentation"
    card = _card(about, task, about.classes, names)
    if about.change:
        folder_items.require_two_dates(about, chosen)
    masks = [item.mask for item in items if item.mask is not None]
    legend = mask_values.legend_of(about, masks)
    mask_values.require_in_split(about, [item.mask for item in chosen if item.mask], legend)
    side = tile or folder_splits.tile_side(about, items, names, CARD.tile)
    split_of = Split(split, source, "", simulation.is_demo(about.root))
    tiles = folder_tiles.FolderTiles(replace(card, tile=side), split_of, chosen, side, legend)
    tiles.notes += _left_out(root)
    return tiles


def _with_regions(
    about: folder.FolderDescription, found: coco_masks.RegionFolder, split: str, tile: int
) -> Samples:
    from skybench.core.dataset import Split
    from skybench.data import simulation

    from ._readers import coco_masks, folder_splits

    chosen, source, names = folder_splits.split_members(about, found.items, split)
    side = tile or folder_splits.tile_side(about, found.items, names, CARD.tile)
    card = replace(_card(about, "semantic_segmentation", found.classes, names), tile=side)
    split_of = Split(split, source, "", simulation.is_demo(about.root))
    return coco_masks.RegionTiles(card, split_of, chosen, found)


def _with_boxes(
    about: folder.FolderDescription, found: AnnotatedFolder, split: str, tile: int
) -> Samples:
    from skybench.core.dataset import Split
    from skybench.data import simulation

    from ._readers import folder_boxes, own_box_tiles

    part = folder_boxes.choose(about, found, split, tile, CARD.tile)
    card = replace(
        _card(about, DETECTION[found.oriented], found.classes, part.names), tile=part.cut.side
    )
    split_of = Split(split, part.source, "", simulation.is_demo(about.root))
    return own_box_tiles.OwnBoxTiles(card, split_of, part, found)


def _card(
    about: folder.FolderDescription, task: str, classes: tuple[str, ...], names: Sequence[str]
) -> DatasetCard:
    title = f"folder {about.root.resolve().name}"
    return replace(
        CARD,
        title=title,
        tasks=(task,),
        classes=classes,
        target=TARGETS[task],
        sensors=about.sensors,
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
