"""What a score rests on is told by contents: every file that is read, and every setting."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skybench.core import registry
from skybench.core.content import SAMPLED, ContentDigests
from skybench.core.dataset import Samples
from skybench.data import simulation
from skybench.data.demo_folder import demo_root

NAMES = registry.names("datasets")
SPLIT_LISTS = {"splits", "ImageSets"}  # folders of lists: they are in the keys


def opened(name: str, root: Path) -> dict[str, Samples]:
    plugin = registry.load("datasets", name)
    splits = plugin.splits(root) if name == "folder" else plugin.CARD.splits
    return {split: plugin.open(root, split) for split in splits}


def contents(name: str, root: Path) -> dict[str, ContentDigests]:
    return {split: samples.content() for split, samples in opened(name, root).items()}


def edits(path: Path) -> Iterator[None]:
    """Change one byte of a file, with the size and the time stamp that it had; then mend it."""
    before, stat = path.read_bytes(), path.stat()
    path.write_bytes(before[:-1] + bytes([before[-1] ^ 1]))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    yield
    path.write_bytes(before)


@pytest.mark.parametrize("name", NAMES)
def test_a_changed_file_with_labels_changes_the_identity(name: str, tmp_path: Path) -> None:
    root = shutil.copytree(demo_root(name), tmp_path / name)
    for split, samples in opened(name, root).items():
        before = samples.content()
        files = samples.label_files or ()
        known = samples.labels is not None or split in samples.card.unlabelled
        assert files or known, split
        for path in files[:: max(1, len(files) // 5)]:
            for _ in edits(path):
                after = samples.content()
                assert after.labels != before.labels, path
                assert after.short != before.short
        assert samples.content() == before


@pytest.mark.parametrize("name", NAMES)
def test_every_file_of_a_dataset_is_an_image_or_has_labels(name: str, tmp_path: Path) -> None:
    root = demo_root(name)
    splits = opened(name, root).values()
    known = {path for s in splits for path in (*s.files, *(s.label_files or ()))}
    rest = {path for path in root.rglob("*") if path.is_file()} - known - {root / simulation.MARKER}
    rest = {p for p in rest if not SPLIT_LISTS & {*p.relative_to(root).parts}}
    if name in ("ben_s2", "ben_mm"):  # what a Sentinel-1 patch says of itself; test lists
        rest = {p for p in rest if not p.name.startswith("S1")}
    if name == "levir_cd":  # optional, of a known checksum: whether it is there is described
        rest = {p for p in rest if p.name != "LEVIR_CD_name_coords.json"}
    if name == "oscd":  # bands that the usual option does not read
        rest = {p for p in rest if p.suffix != ".tif" or "imgs" not in str(p.parent)}
    assert sorted(str(p.relative_to(root)) for p in rest) == []


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_elsewhere_is_the_same(name: str, tmp_path: Path) -> None:
    other = shutil.copytree(
        demo_root(name), tmp_path / "other" / "place", copy_function=shutil.copy
    )
    assert contents(name, demo_root(name)) == contents(name, other)


@pytest.mark.parametrize("name", [n for n in NAMES if n != "folder"])
def test_a_sample_of_the_images_tells_a_copy_that_was_encoded_again(
    name: str, tmp_path: Path
) -> None:
    root = shutil.copytree(demo_root(name), tmp_path / name)
    samples = next(iter(opened(name, root).values()))
    before = samples.content()
    assert before.sampled
    for path in samples.files:
        with path.open("ab") as file:
            file.write(b"\n")
    assert samples.content().images != before.images
    assert len(samples.files) > SAMPLED or len({*samples.files}) == len(samples.files)


def picture(path: Path, values: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(values).save(path)


def noise(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, shape).astype(np.uint8)


def with_classes(root: Path) -> None:
    for part, title, number in np.ndindex(2, 2, 3):
        place = root / ("train", "test")[part] / ("town", "wood")[title]
        picture(place / f"{number}.png", noise(9 * part + 3 * title + number, 32, 32, 3))


def with_masks(root: Path) -> None:
    for part, number in np.ndindex(2, 3):
        place, seed = root / ("train", "test")[part], 3 * part + number
        picture(place / "images" / f"{number}.png", noise(seed, 32, 32, 3))
        picture(place / "masks" / f"{number}.png", noise(seed, 32, 32) % 3)
    (root / "skybench.toml").write_text('classes = ["land", "road", "roof"]\n')


def with_pairs(root: Path) -> None:
    for part, number in np.ndindex(2, 3):
        place, seed = root / ("train", "test")[part], 3 * part + number
        for day in ("2019-07-15", "2020-07-15"):
            picture(place / "images" / str(number) / f"{day}.png", noise(seed, 32, 32, 3))
        picture(place / "masks" / f"{number}.png", noise(seed, 32, 32) % 2)
    (root / "skybench.toml").write_text('change = true\nclasses = ["same", "changed"]\n')


def with_coco(root: Path) -> None:
    images, boxes = [], []
    for number in range(6):
        picture(root / "images" / f"{number}.png", noise(number, 48, 48, 3))
        split = ("train", "train", "val", "val", "test", "test")[number]
        size = {"width": 48, "height": 48, "file_name": f"{number}.png", "split": split}
        images.append({"id": number, **size})
        box = {"bbox": [4, 5, 10 + number, 12], "category_id": 1, "image_id": number}
        boxes.append({"id": number, **box})
    table = {"images": images, "annotations": boxes, "categories": [{"id": 1, "name": "roof"}]}
    (root / "annotations.json").write_text(json.dumps(table))
    (root / "skybench.toml").write_text('boxes = "annotations.json"\n')


def with_dota(root: Path) -> None:
    for number in range(6):
        picture(root / "images" / f"{number}.png", noise(number, 48, 48, 3))
        (root / "labels").mkdir(exist_ok=True)
        (root / "labels" / f"{number}.txt").write_text("4 4 20 4 20 20 4 20 roof 0\n")
    (root / "skybench.toml").write_text('boxes = "labels"\n')


def with_yolo(root: Path) -> None:
    for part, number in np.ndindex(2, 3):
        place, name = ("train", "val")[part], f"{3 * part + number}"
        picture(root / "images" / place / f"{name}.png", noise(3 * part + number, 48, 48, 3))
        (root / "labels" / place).mkdir(parents=True, exist_ok=True)
        (root / "labels" / place / f"{name}.txt").write_text("0 0.5 0.5 0.25 0.25\n")
    (root / "data.yaml").write_text("train: images/train\nval: images/val\nnames: [roof]\n")


def with_regions(root: Path) -> None:
    with_coco(root)
    table = json.loads((root / "annotations.json").read_text())
    for entry in table["annotations"]:
        x, y, width, height = entry["bbox"]
        entry["segmentation"] = [[x, y, x + width, y, x + width, y + height, x, y + height]]
    (root / "annotations.json").write_text(json.dumps(table))
    (root / "skybench.toml").write_text(
        'masks = "annotations.json"\nclasses = ["ground", "roof"]\n'
    )


def without_dates(root: Path) -> None:
    for part, number in np.ndindex(2, 3):
        place, seed = root / ("train", "test")[part], 3 * part + number
        for name in ("A", "B"):
            picture(place / name / f"{number}.png", noise(seed + ord(name), 32, 32, 3))
        picture(place / "label" / f"{number}.png", 255 * (noise(seed, 32, 32) % 2))


FOLDERS = {"yolo": with_yolo, "regions": with_regions, "A and B": without_dates,
           "classes": with_classes, "masks": with_masks, "pairs": with_pairs, "coco": with_coco,
           "dota": with_dota}  # fmt: skip


@pytest.mark.parametrize("kind", FOLDERS)
def test_each_file_of_ones_own_folder_tells_it_from_others(kind: str, tmp_path: Path) -> None:
    FOLDERS[kind](tmp_path)
    splits = opened("folder", tmp_path)
    before = {name: samples.content() for name, samples in splits.items()}
    for path in sorted(p for p in tmp_path.rglob("*") if p.is_file() and p.suffix != ".toml"):
        for _ in edits(path):
            after = {name: samples.content() for name, samples in splits.items()}
        changed = [name for name in before if after[name] != before[name]]
        assert changed, path
        image = path.suffix == ".png" and not {"masks", "label"} & {*path.parts}
        assert image == any(after[n].images != before[n].images for n in changed)
        assert image != any(after[n].labels != before[n].labels for n in changed)
    assert {name: samples.content() for name, samples in splits.items()} == before
    other = shutil.copytree(tmp_path, tmp_path / "copy", copy_function=shutil.copy)
    assert contents("folder", other) == before


def test_an_image_in_the_folder_of_another_class_is_another_folder(tmp_path: Path) -> None:
    with_classes(tmp_path)
    keys = {name: samples.split.sha256 for name, samples in opened("folder", tmp_path).items()}
    before, place = contents("folder", tmp_path), tmp_path / "train"
    (place / "town" / "0.png").rename(place / "aside.png")
    (place / "wood" / "0.png").rename(place / "town" / "0.png")
    (place / "aside.png").rename(place / "wood" / "0.png")
    after = opened("folder", tmp_path)
    assert {name: samples.split.sha256 for name, samples in after.items()} == keys
    assert [name for name, s in after.items() if s.content() != before[name]] == ["train"]


BASE = "[classes]\nland = [0, 0, 0]\nroad = [1, 1, 1]\nroof = [2, 2, 2]\n"
IDS = 'classes = ["land", "road", "roof"]\n'


@pytest.mark.parametrize(
    ("first", "second", "changes"),
    [
        (IDS, 'ignore = [0]\nclasses = ["land", "road", "roof"]\n', "labels"),
        (IDS, 'classes = ["land", "roof", "road"]\n', "labels"),
        (IDS, BASE, "labels"),
        (BASE, BASE.replace("road", "paved"), "labels"),
        (BASE, BASE + "pool = [7, 7, 7]\n", "labels"),
        (BASE, "ignore = [[9, 9, 9]]\n" + BASE, "labels"),
        (IDS, IDS + '[sensor]\nbands = ["red", "green", "blue"]\ngsd = 0.5\n', "images"),
        (IDS, IDS + '[sensor]\nbands = ["blue", "green", "red"]\n', "images"),
        (IDS, IDS + '[sensor]\nbands = ["red", "green", "blue"]\nunit = "reflectance x 1e4"\n',
         "images"),
        (IDS, IDS + '[sensor]\nbands = ["red", "green", "blue"]\nscale = 2.0\n', "images"),
        (IDS, "# a remark\n" + IDS.replace(", ", ","), ""),
        (IDS, 'root = "."\n' + IDS, ""),
    ],
)  # fmt: skip
def test_an_edited_description_changes_what_it_decides(
    tmp_path: Path, first: str, second: str, changes: str
) -> None:
    with_masks(tmp_path)
    toml, found = tmp_path / "skybench.toml", []
    for text in (first, second):
        toml.write_text(text)
        found.append(contents("folder", tmp_path)["train"])
    one, other = found
    assert (one.images != other.images) == (changes == "images")
    assert (one.labels != other.labels) == (changes == "labels")


def test_a_description_elsewhere_is_the_same_folder(tmp_path: Path) -> None:
    with_masks(tmp_path / "data")
    toml = tmp_path / "mine.toml"
    toml.write_text(f'root = "data"\n{IDS}')
    assert contents("folder", toml) == contents("folder", tmp_path / "data")
