"""What every dataset keeps, checked on its own demo data through its own reader."""

from __future__ import annotations

import functools
import json
import pickle
import shutil
import subprocess
import sys
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from skybench import demo, registry
from skybench.core import CONVERT, S2_DISPLAY, UINT8, Boxes, DataError, Sample, UsageError
from skybench.samples import Samples
from skybench.verify import verify

NAMES = registry.names("datasets")
PARTS = ("train", "val", "test")

Demo = Callable[[str], Path]


@pytest.fixture(scope="module")
def demo_of(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    """Writes the demo data of a dataset when it is first asked for."""

    @functools.cache
    def write(name: str) -> Path:
        root = tmp_path_factory.mktemp("demo") / name
        registry.load("datasets", name).write_demo(root, 0)
        return root

    return write


def _splits(plugin: ModuleType, root: Path, tile: int = 0) -> dict[str, Samples]:
    return {split: plugin.open(root, split, tile) for split in plugin.CARD.splits}


def _targets(samples: Samples) -> set[int]:
    if samples.labels is not None:
        return set(samples.labels)
    return set().union(*(_ids(sample.target, samples.card.multilabel) for sample in samples))


def _ids(target: Any, multilabel: bool) -> set[int]:
    if isinstance(target, Boxes):
        return set(target.labels.tolist())
    if multilabel:
        return set(torch.nonzero(target).flatten().tolist())
    return set(target.unique().tolist()) - {255}


@pytest.mark.parametrize("name", NAMES)
def test_the_card_is_complete(name: str) -> None:
    card = registry.load("datasets", name).CARD
    assert card.name == name
    assert card.version >= 1
    texts = (card.title, card.about, card.metric, card.source, card.licence, card.obtain)
    for text in (*texts, card.layout):
        assert text.strip()
    assert card.about[0].isupper() or card.about[0].isdigit()
    for text in (card.about, card.metric):  # the page of the datasets prints them as they are
        assert text.endswith(".")
    for text in (card.source, card.licence, *card.leads):  # the page of the datasets adds the stop
        assert not text.endswith(".")
    for option in card.options.values():
        assert option.text.strip()
        assert len(set(option.values)) == len(option.values)
    assert card.leads, "no dataset is without traps"
    assert card.tasks
    assert card.splits
    units = {unit for pair in CONVERT for unit in pair}
    for sensor in card.sensors:
        assert sensor.bands
        assert len(set(sensor.bands)) == len(sensor.bands)
        assert sensor.unit in units
        assert sensor.gsd >= 0
    assert len({s.name for s in card.sensors}) == len(card.sensors) > 0
    assert len(set(card.classes)) == len(card.classes) != 1


@pytest.mark.parametrize("name", NAMES)
def test_keys_are_unique_and_the_same_in_every_opening(name: str, demo_of: Demo) -> None:
    plugin, root = registry.load("datasets", name), demo_of(name)
    again = _splits(plugin, root)
    for split, samples in _splits(plugin, root).items():
        assert len(samples) == len(samples.keys) == len(set(samples.keys)) > 0
        assert samples.keys == again[split].keys
        assert samples.split == again[split].split
        assert samples.split.name == split
        assert samples.split.source.split(" ")[0].rstrip(":") in ("official", "rule", "ours")
        assert samples.split.demo


@pytest.mark.parametrize("name", NAMES)
def test_the_parts_of_one_split_share_no_sample(name: str, demo_of: Demo) -> None:
    splits = _splits(registry.load("datasets", name), demo_of(name))
    ratio = {s: s.removeprefix(next(p for p in PARTS if s.startswith(p))) for s in splits}
    for a, b in combinations(splits, 2):
        if ratio[a] == ratio[b]:
            assert set(splits[a].keys).isdisjoint(splits[b].keys)


@pytest.mark.parametrize("name", NAMES)
def test_samples_are_as_the_card_says(name: str, demo_of: Demo) -> None:
    for samples in _splits(registry.load("datasets", name), demo_of(name)).values():
        sensors = {sensor.name: sensor for sensor in samples.card.sensors}
        for index in (0, len(samples) - 1):
            sample = samples[index]
            assert sample.key == samples.keys[index]
            assert set(sample.images) <= set(sensors)
            for sensor, image in sample.images.items():
                assert image.ndim == 4
                assert image.shape[1] == len(sensors[sensor].bands)
                assert image.is_contiguous()
                if sensors[sensor].unit in (UINT8, S2_DISPLAY):
                    assert image.dtype == torch.uint8
                days = sample.days.get(sensor)
                if days is not None:
                    assert days.dtype == torch.int64
                    assert days.shape == image.shape[:1]
                    assert (days.diff() >= 0).all()
            lon, lat = sample.lonlat
            assert lon != lon or (-180 <= lon <= 180 and -90 <= lat <= 90)
            _check_target(sample, samples, index)


def _check_target(sample: Sample, samples: Samples, index: int) -> None:
    target, card = sample.target, samples.card
    if isinstance(target, Boxes):
        count = len(target.labels)
        assert target.corners.shape == (count, 4, 2)
        assert target.corners.dtype == torch.float32
        assert target.difficult.shape == (count,)
        assert (target.labels.dtype, target.difficult.dtype) == (torch.int64, torch.bool)
    elif card.multilabel:
        assert target.dtype == torch.uint8
        assert target.shape == (len(card.classes),)
        assert set(target.tolist()) <= {0, 1}
    elif samples.labels is not None:
        assert type(target) is int
        assert target == samples.labels[index]
    else:
        assert target.dtype == torch.uint8
        finest = max(sample.images.values(), key=lambda x: x.shape[-1])
        # A finer sensor than the labels' (SPOT on PASTIS) is a whole multiple of them.
        assert finest.shape[-1] % target.shape[-1] == 0 or target.shape[-1] % finest.shape[-1] == 0
        if card.tile and len(card.sensors) == 1 and not samples.split.demo:
            assert target.shape[-2:] == (card.tile, card.tile)


@pytest.mark.parametrize("name", NAMES)
def test_every_class_of_the_test_data_can_be_learned(name: str, demo_of: Demo) -> None:
    plugin = registry.load("datasets", name)
    splits = _splits(plugin, demo_of(name))
    if next(iter(splits.values())).card.tile > 224:  # smaller tiles: less padding to read
        splits = _splits(plugin, demo_of(name), 224)
    test = "test" if "test" in splits else next(s for s in reversed(splits) if s[:5] != "train")
    if name == "fair1m":  # the labels of its test images are withheld
        assert not _targets(splits.pop("test"))
        test = "val"
    for split, samples in splits.items():
        ids = _targets(samples)
        assert ids <= set(range(len(samples.card.classes))), split
        assert len(ids) >= 2, split
    train = next(iter(splits.values()))
    assert _targets(splits[test]) <= _targets(train)


@pytest.mark.parametrize("name", NAMES)
def test_reading_is_deterministic_also_in_another_process(name: str, demo_of: Demo) -> None:
    plugin = registry.load("datasets", name)
    samples: Samples = plugin.open(demo_of(name), next(iter(plugin.CARD.splits)))
    copy = pickle.loads(pickle.dumps(samples))
    assert (copy.keys, copy.split, copy.card) == (samples.keys, samples.split, samples.card)
    first, second, other = samples[-1], samples[-1], copy[-1]
    for again in (second, other):
        for sensor, image in first.images.items():
            assert torch.equal(image, again.images[sensor])
        one, other_target = _plain(first.target), _plain(again.target)
        assert torch.equal(torch.as_tensor(one), torch.as_tensor(other_target))


def _plain(target: Any) -> Any:
    return target.corners if isinstance(target, Boxes) else target


@pytest.mark.parametrize("name", NAMES)
def test_one_sensor_alone_is_the_same_as_with_the_others(name: str, demo_of: Demo) -> None:
    plugin = registry.load("datasets", name)
    samples: Samples = plugin.open(demo_of(name), next(iter(plugin.CARD.splits)))
    whole = samples[0]
    for sensor in whole.images:
        alone = samples.only({sensor})[:1][0]
        assert torch.equal(alone.images[sensor], whole.images[sensor])
        assert torch.equal(
            torch.as_tensor(_plain(alone.target)), torch.as_tensor(_plain(whole.target))
        )
        days = whole.days.get(sensor)
        assert days is None or torch.equal(alone.days[sensor], days)
        if name in ("ben_mm", "pastis_mm", "dyna_mm"):
            assert set(alone.images) == {sensor}


@pytest.mark.parametrize("name", NAMES)
def test_a_removed_file_changes_the_fingerprint_or_is_missed(
    name: str, demo_of: Demo, tmp_path: Path
) -> None:
    plugin = registry.load("datasets", name)
    root = shutil.copytree(demo_of(name), tmp_path / name)
    before = {s: samples.split.sha256 for s, samples in _splits(plugin, root).items()}
    gone = min(p for p in root.rglob("*") if p.is_file() and p.parent != root)
    gone.unlink()
    missed = ""
    try:
        after = {s: samples.split.sha256 for s, samples in _splits(plugin, root).items()}
    except DataError as error:
        after, missed = before, str(error)
    assert after != before or gone.name in missed


@pytest.mark.parametrize("name", NAMES)
def test_bad_names_and_folders_are_the_users_errors(name: str, tmp_path: Path) -> None:
    plugin = registry.load("datasets", name)
    with pytest.raises(DataError, match="not found"):
        plugin.open(tmp_path / "absent", next(iter(plugin.CARD.splits)))
    (tmp_path / "photos").mkdir()
    with pytest.raises(DataError, match="photos"):
        plugin.open(tmp_path, next(iter(plugin.CARD.splits)))
    if plugin.CARD.classes:
        with pytest.raises(UsageError, match="Known: "):
            plugin.open(tmp_path, "tset")


@pytest.mark.parametrize("name", NAMES)
def test_the_demo_is_marked_small_and_in_order(name: str, demo_of: Demo) -> None:
    root = demo_of(name)
    marker = json.loads((root / demo.MARKER).read_text())
    stated = {"dataset": name, "seed": 0, "version": demo.VERSION}
    assert {**marker, **stated} == marker
    options = registry.load("datasets", name).CARD.options
    assert set(marker) - set(stated) <= set(options)
    assert sum(p.stat().st_size for p in root.rglob("*") if p.is_file()) < 6_000_000
    assert {f.level for f in verify(name, root, sample=2)} == {"ok"}


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("aid", "AID/BareLand/bareland_1.jpg"),
        ("resisc45", "NWPU-RESISC45/storage_tank/storage_tank_040.jpg"),
        ("eurosat", "EuroSAT/2750/SeaLake/SeaLake_30.jpg"),
        ("isaid", "val/Semantic_masks/images/P0003_instance_color_RGB.png"),
        ("potsdam", "2_Ortho_RGB/top_potsdam_2_13_RGB.tif"),
        ("potsdam", "5_Labels_all_noBoundary/top_potsdam_2_13_label_noBoundary.tif"),
    ],
)
def test_the_demo_has_the_official_layout(name: str, path: str, demo_of: Demo) -> None:
    with Image.open(demo_of(name) / path) as image:
        assert image.mode == "RGB"


def test_plugins_are_imported_without_heavy_packages() -> None:
    code = (
        "import sys; from skybench import registry\n"
        "for n in registry.names('datasets'): registry.load('datasets', n)\n"
        "heavy = {'torch', 'numpy', 'PIL', 'rasterio', 'torchvision', 'pandas'}\n"
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code], check=True, capture_output=True, text=True
    )
    assert done.stdout.strip() == "[]"


def test_torchgeo_reads_the_same_of_resisc45(demo_of: Demo) -> None:
    datasets = pytest.importorskip("torchgeo.datasets")
    root = demo_of("resisc45")
    ours: Samples = registry.load("datasets", "resisc45").open(root, "train20")
    (root / "resisc45-train.txt").write_text("".join(f"{key}\n" for key in ours.keys))
    theirs = datasets.RESISC45(root, "train")
    assert len(theirs) == len(ours) == 64
    by_name = {Path(path).name: i for i, (path, _) in enumerate(theirs.samples)}
    for index in range(0, 64, 7):
        sample = theirs[by_name[ours.keys[index]]]
        assert torch.equal(sample["image"].to(torch.uint8), ours[index].images["hr"][0])
        assert int(sample["label"]) == ours[index].target


@pytest.mark.filterwarnings("ignore::rasterio.errors.NotGeoreferencedWarning")
def test_torchgeo_reads_the_same_of_potsdam_but_for_the_boundaries(
    demo_of: Demo, tmp_path: Path
) -> None:
    """Its class wants a fourth band and other file names, so the demo's files are rewritten."""
    datasets = pytest.importorskip("torchgeo.datasets")
    root, potsdam = demo_of("potsdam"), registry.load("datasets", "potsdam")
    (tmp_path / "4_Ortho_RGBIR").mkdir()
    for path in (root / "2_Ortho_RGB").iterdir():
        rgb = np.asarray(Image.open(path))
        with_nir = Image.fromarray(np.dstack([rgb, rgb[..., 0]]), "RGBA")
        name = path.name.replace("_RGB", "_RGBIR")
        with_nir.save(tmp_path / "4_Ortho_RGBIR" / name)
    for path in (root / "5_Labels_all_noBoundary").iterdir():
        shutil.copy(path, tmp_path / path.name.replace("_noBoundary", ""))
    for split in ("train", "test"):
        theirs, ours = datasets.Potsdam2D(tmp_path, split), potsdam.open(root, split, 512)
        assert len(theirs) == len(ours) > 0
        for file, other in zip(theirs.files, theirs, strict=True):
            stem = Path(file["mask"]).stem.removeprefix("top_potsdam_").removesuffix("_label")
            sample = ours[ours.keys.index(f"{stem}_0_0")]
            assert torch.equal(other["image"][:3], sample.images["hr"][0].float())
            scored = sample.target != 255
            # Their 0 is clutter, their 1 to 5 our 0 to 4.
            assert torch.equal(other["mask"][scored], sample.target[scored].long() + 1)
            assert (other["mask"][~scored] == 0).all()


def test_torchgeo_splits_potsdam_alike() -> None:
    datasets = pytest.importorskip("torchgeo.datasets")
    potsdam = registry.load("datasets", "potsdam")
    for split, numbers in (("train", potsdam.TRAIN), ("test", potsdam.TEST)):
        named = {f"top_potsdam_{n}" for n in numbers}
        assert set(datasets.Potsdam2D.splits[split]) == named
