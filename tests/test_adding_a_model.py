"""The example of docs/adding-a-model.md, and a model written for the former interface."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from ._outside import files, install, skybench

PAGE = "adding-a-model.md"
FORMER = """
from skybench.core import UINT8, Batch, Features, ModelCard, Sensor, WeightsSource
from skybench.model import Model
import torch

CARD = ModelCard(
    name="former", title="Former", row="extra",
    inputs=(Sensor("hr", ("red", "green", "blue"), 0.5, UINT8),), dim=3, levels=((3, 4),),
    paper="-", code="-", licence="MIT", leads=("none",),
    weights=WeightsSource("former.pth", "Ask.", "MIT"), min_pixels=64, multiple=4,
)
VARIANTS = {"full": 1, "tiny": 1}


class Adapter(Model):
    def __init__(self):
        super().__init__(CARD)
        self.net = torch.nn.Conv2d(3, 3, 4, 4)

    def forward(self, batch: Batch) -> Features:
        x = self.net(batch.images["hr"][:, 0] / 255)
        return Features(x.mean((2, 3)), (x,))


def build(variant, **arch):
    return Adapter()


def convert(state):
    return state
"""


@pytest.fixture
def installed(tmp_path: Path) -> dict[str, str]:
    return install(PAGE, tmp_path / "site")


def run(environment: dict[str, str], model: str, results: Path) -> list[tuple[str, str]]:
    records = json.loads(
        skybench(
            environment, "run", "--model", model, "--task", "scene_classification",
            "--dataset", "eurosat", "--protocol", "knn", "--data", "demo", "--limit", "12",
            "--results", str(results), "--json",
        )
    )  # fmt: skip
    return [(r["model"], r["status"]) for r in records]


def test_the_example_is_short() -> None:
    lines = [line for code in files(PAGE).values() for line in code.splitlines() if line.strip()]
    assert len(lines) <= 32


def test_the_example_runs_as_an_outside_plugin(installed: dict[str, str], tmp_path: Path) -> None:
    listed = json.loads(skybench(installed, "list", "models", "--json"))
    assert "my_rsfm" in [row["name"] for row in listed]
    assert run(installed, "my_rsfm", tmp_path / "runs") == [("my_rsfm", "measured")]


def test_reading_its_card_imports_no_torch(installed: dict[str, str]) -> None:
    code = "import sys, my_rsfm.plugin; print({'torch', 'timm', 'numpy'} & {*sys.modules})"
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, env=installed, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "set()"), done.stderr


def test_its_adapter_passes_the_probes(installed: dict[str, str]) -> None:
    skybench(installed, "check-model", "my_rsfm", "--variant", "tiny")


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


def test_a_model_of_the_former_interface_still_runs(
    installed: dict[str, str], tmp_path: Path
) -> None:
    site = tmp_path / "site"
    (site / "former.py").write_text(FORMER)
    (info := site / "former-0.9.dist-info").mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: former\nVersion: 0.9\n")
    (info / "entry_points.txt").write_text("[skybench.baselines]\nformer = former\n")
    assert run(installed, "former", tmp_path / "runs") == [("former", "measured")]
