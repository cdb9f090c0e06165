"""The example of docs/adding-a-model.md, as a package of somebody else's."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PAGE = Path(__file__).resolve().parent.parent / "docs" / "adding-a-model.md"


def blocks(kind: str) -> list[str]:
    return re.findall(rf"```{kind}\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    """An environment in which the example's package is installed."""
    (code,), (project,) = blocks("python"), blocks("toml")
    site = tmp_path / "site"
    (package := site / "my_rsfm").mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "plugin.py").write_text(code)
    entries = tomllib.loads(project)["project"]["entry-points"]
    (info := site / "my_rsfm-1.0.dist-info").mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: my-rsfm\nVersion: 1.0\n")
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in entry.items())
        for group, entry in entries.items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    own = {"PYTHONPATH": str(site), "SKYBENCH_CACHE": str(tmp_path / "cache")}
    return {**os.environ, **own, "OMP_NUM_THREADS": "1"}


def skybench(environment: dict[str, str], *arguments: str) -> str:
    command = [sys.executable, "-P", "-m", "skybench", *arguments]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_example_is_short() -> None:
    (code,) = blocks("python")
    assert len([line for line in code.splitlines() if line.strip()]) <= 32


def test_the_example_runs_as_an_outside_plugin(installed: dict[str, str], tmp_path: Path) -> None:
    listed = json.loads(skybench(installed, "list", "models", "--json"))
    assert "my_rsfm" in [row["name"] for row in listed]
    records = json.loads(
        skybench(
            installed, "run", "--model", "my_rsfm", "--task", "scene_classification",
            "--dataset", "eurosat", "--protocol", "knn", "--data", "demo", "--limit", "12",
            "--results", str(tmp_path / "runs"), "--json",
        )
    )  # fmt: skip
    assert [(r["model"], r["status"]) for r in records] == [("my_rsfm", "measured")]


def test_its_published_file_loads(installed: dict[str, str], tmp_path: Path) -> None:
    code = (
        "import torch, skybench\n"
        "model = skybench.load_model('my_rsfm', 'random', 'tiny')\n"
        "state = {k.replace('net.', 'encoder.', 1): v for k, v in model.state_dict().items()}\n"
        "torch.save({'model': state | {'decoder.weight': torch.ones(3)}}, 'my_rsfm.pth')\n"
        "again = skybench.load_model('my_rsfm', 'my_rsfm.pth', 'tiny')\n"
        "assert again.loaded.coverage.share == 1\n"
    )
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, env=installed, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
