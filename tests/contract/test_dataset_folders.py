"""How readers meet folders: damaged ones, foreign ones, the official layout, torchgeo's classes."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
import torch
from PIL import Image

from skybench.core import DataError, UsageError, registry
from skybench.core.dataset import Samples
from skybench.data import simulation
from skybench.data.verify import verify_dataset

NAMES = registry.names("datasets")

Demo = Callable[[str], Path]


def _fingerprints(plugin: ModuleType, root: Path) -> dict[str, str]:
    return {split: plugin.open(root, split).split.sha256 for split in plugin.CARD.splits}


@pytest.mark.parametrize("name", NAMES)
def test_a_removed_file_changes_the_fingerprint_or_is_missed(
    name: str, demo_of: Demo, tmp_path: Path
) -> None:
    plugin = registry.load("datasets", name)
    root = shutil.copytree(demo_of(name), tmp_path / name)
    before = _fingerprints(plugin, root)
    gone = min(p for p in root.rglob("*") if p.is_file() and p.parent != root)
    gone.unlink()
    missed = ""
    try:
        after = _fingerprints(plugin, root)
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
    marker = json.loads((root / simulation.MARKER).read_text())
    stated = {"dataset": name, "seed": 0, "version": simulation.SIMULATION_VERSION}
    assert {**marker, **stated} == marker
    options = registry.load("datasets", name).CARD.options
    assert set(marker) - set(stated) <= set(options)
    assert sum(p.stat().st_size for p in root.rglob("*") if p.is_file()) < 6_000_000
    assert {f.level for f in verify_dataset(name, root, sample=2)} == {"ok"}


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
        "import sys; from skybench.core import registry\n"
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
