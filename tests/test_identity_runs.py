"""From files to records: another folder, corrected labels and edited settings never mix."""

from __future__ import annotations

import os
import shlex
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from skybench.core import Record, folders
from skybench.core.dataset import Samples
from skybench.plan.planner import Planner
from skybench.plan.request import Request
from skybench.records import store
from skybench.report.reproduce import run_command
from skybench.runner.run_cells import run_cells

pytestmark = pytest.mark.usefixtures("own_cache")
OLD = 315_532_800 * 10**9  # 1980-01-01, the time of all files in many archives
IDS = 'classes = ["land", "roof"]\n'


def classes(root: Path, hint: int) -> Path:
    """Two classes of uncompressed images, which differ by `hint` in brightness."""
    for part, title, number in np.ndindex(2, 2, 4):
        place = root / ("train", "test")[part] / ("town", "wood")[title]
        place.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng([part, title, number])
        pixels = rng.integers(0, 99, (32, 32, 3)) + hint * title
        path = place / f"{number}.tif"
        Image.fromarray(pixels.astype(np.uint8)).save(path)
        os.utime(path, ns=(OLD, OLD))
    return root


def masks(root: Path) -> Path:
    """Bright roofs on dark land."""
    for part, number in np.ndindex(2, 3):
        place = root / ("train", "test")[part]
        rng = np.random.default_rng([part, number])
        ids = (np.indices((32, 32))[number % 2] > 12).astype(np.uint8)
        for name, pixels in (
            ("images", rng.integers(0, 60, (32, 32, 3)) + 150 * ids[..., None]), ("masks", ids)
        ):  # fmt: skip
            (place / name).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels.astype(np.uint8)).save(place / name / f"{number}.png")
    (root / "skybench.toml").write_text(IDS)
    return root


def run(tmp_path: Path, folder: Path, task: str, **changes: Any) -> Record:
    protocol = {"scene_classification": "knn", "semantic_segmentation": "linear"}[task]
    request = Request(
        ("rcf",), (task,), datasets=(f"folder:{folder}",), protocol=protocol,
        results=tmp_path / "runs", overrides={} if protocol == "knn" else {"epochs": "1"},
    )  # fmt: skip
    (record,) = run_cells(replace(request, **changes))
    return record


def files_of(results: Path) -> list[Path]:
    return sorted(results.glob("*/folder/*.json"))


def test_two_folders_of_equal_names_sizes_and_times_have_records_of_their_own(
    tmp_path: Path,
) -> None:
    one, other = classes(tmp_path / "a" / "city", 99), classes(tmp_path / "b" / "city", 0)
    facts = [
        [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in sorted(root.rglob("*.tif"))]
        for root in (one, other)
    ]
    assert facts[0] == facts[1]
    first = run(tmp_path, one, "scene_classification")
    second = run(tmp_path, other, "scene_classification")
    assert first.scores["oa"] == 100 > second.scores["oa"]
    stored = files_of(tmp_path / "runs")
    assert len(stored) == 2
    texts = {path: path.read_text() for path in stored}
    run(tmp_path, other, "scene_classification", force=True)
    changed = [path for path in stored if path.read_text() != texts[path]]
    assert [p.name for p in changed] in ([], [Path(second.path).name])
    assert first.used["folder"] == str(one)
    assert set(first.used["content"]) == {"train", "test"}
    assert first.used["content_kind"] == "all files"
    assert first.used["content"] != second.used["content"]


def test_a_copy_with_another_name_is_done_already(tmp_path: Path) -> None:
    one = classes(tmp_path / "city", 99)
    first = run(tmp_path, one, "scene_classification")
    shutil.copytree(one, tmp_path / "copy", copy_function=shutil.copy)
    again = run(tmp_path, tmp_path / "copy", "scene_classification")
    assert again.made == first.made
    assert len(files_of(tmp_path / "runs")) == 1


def extractions(records: Sequence[Record]) -> list[bool]:
    """Whether features were extracted for each."""
    return [r.cost["images_per_s"] is not None for r in records]


def test_corrected_masks_and_settings_count_and_features_are_kept_where_they_hold(
    tmp_path: Path,
) -> None:
    root, task = masks(tmp_path / "city"), "semantic_segmentation"
    records = [run(tmp_path, root, task)]
    path = root / "test" / "masks" / "0.png"
    Image.fromarray(1 - np.asarray(Image.open(path))).save(path)
    records.append(run(tmp_path, root, task))
    for text in (
        "ignore = [0]\n" + IDS,
        IDS.replace('"land", "roof"', '"roof", "land"'),
        IDS + '[sensor]\nbands = ["red", "green", "blue"]\ngsd = 0.5\n',
        IDS + '[sensor]\nbands = ["red", "green", "blue"]\nunit = "reflectance x 1e4"\n',
    ):
        (root / "skybench.toml").write_text(text)
        records.append(run(tmp_path, root, task))
    assert [r.status for r in records] == ["measured"] * 6
    assert extractions(records) == [True, False, False, False, True, True]
    assert len({r.fingerprint for r in records}) == 6
    assert records[0].scores["miou"] > records[1].scores["miou"] + 5
    assert records[2].scores["oa"] != records[1].scores["oa"]
    (root / "skybench.toml").write_text(IDS)
    assert run(tmp_path, root, task, force=True).scores == records[1].scores


def test_features_that_were_spoiled_are_made_again_and_the_record_says_so(tmp_path: Path) -> None:
    root = classes(tmp_path / "city", 99)
    first = run(tmp_path, root, "scene_classification")
    assert "remade" not in first.used["features"]
    (path,) = (folders.cache() / "features").glob("*/*/pooled.npy")
    content = bytearray(path.read_bytes())
    content[-64:] = bytes(64)
    path.write_bytes(content)
    again = run(tmp_path, root, "scene_classification", force=True)
    assert again.scores == first.scores
    assert "pooled.npy has another checksum" in again.used["features"]["remade"]


def test_files_that_change_during_a_run_fail_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = classes(tmp_path / "city", 99)
    (cell,) = Planner(
        Request(("rcf",), ("scene_classification",), datasets=(f"folder:{root}",), protocol="knn")
    ).cells()
    read = type(cell.splits["test"]).read

    def edited(self: Samples, index: int) -> Any:
        monkeypatch.setattr(type(cell.splits["test"]), "read", read)
        shutil.copyfile(root / "test" / "town" / "1.tif", root / "test" / "town" / "0.tif")
        return read(self, index)

    monkeypatch.setattr(type(cell.splits["test"]), "read", edited)
    record = run(tmp_path, root, "scene_classification")
    assert record.status == "failed"
    assert "files of the test split" in record.note
    assert "changed after the run was planned" in record.note


def test_the_command_of_a_record_runs(tmp_path: Path, skybench: Any) -> None:
    root = classes(tmp_path / "my city", 99)
    first = run(tmp_path, root, "scene_classification")
    words = shlex.split(run_command(first))
    assert f"folder:{root}" in words
    ended = skybench(*words[1:], "--results", str(tmp_path / "runs"))
    assert ended.code == 0
    known, _ = store.read_records(tmp_path / "runs")
    assert [r.fingerprint for r in known] == [first.fingerprint]


def test_a_split_is_looked_at_once_for_all_cells(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root, looked = classes(tmp_path / "city", 99), []
    whole = Samples.content

    def counting(self: Samples) -> Any:
        looked.append(self.split.name)
        return whole(self)

    monkeypatch.setattr(Samples, "content", counting)
    request = Request(
        ("rcf", "image_stats"), ("scene_classification",), datasets=(f"folder:{root}",),
        protocol="knn", limit=3,
    )  # fmt: skip
    cells = Planner(request).cells()
    assert len(cells) == 2
    assert sorted(looked) == ["test", "train"]
    assert cells[0].contents == cells[1].contents
