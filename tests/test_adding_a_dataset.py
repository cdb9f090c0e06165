"""The example of docs/adding-a-dataset.md, as a package of somebody else's."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ._outside import files, install, skybench

PAGE = "adding-a-dataset.md"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("dataset")


@pytest.fixture(scope="module")
def installed(place: Path) -> dict[str, str]:
    return install(PAGE, place / "site")


@pytest.fixture(scope="module")
def data(installed: dict[str, str], place: Path) -> Path:
    """A folder of real data: the simulated images without the marker that says so."""
    code = (
        "import sys, pathlib, my_fields.plugin as p\n"
        "p.write_demo(pathlib.Path(sys.argv[1]) / 'my_fields', 7)\n"
    )
    command = [sys.executable, "-P", "-c", code, str(place / "data")]
    subprocess.run(command, env=installed, check=True)
    (place / "data" / "my_fields" / "skybench-demo.json").unlink()
    return place / "data"


def run(environment: dict[str, str], results: Path, *options: str) -> dict[str, Any]:
    words = ("run", "--model", "imagenet", "--dataset", "my_fields", "--results", str(results))
    (record,) = json.loads(skybench(environment, *words, "--json", *options))
    assert record["status"] == "measured", record
    assert isinstance(record, dict)
    return record


def test_the_example_is_short() -> None:
    lines = [line for code in files(PAGE).values() for line in code.splitlines() if line.strip()]
    assert len(lines) <= 80


def test_it_is_listed_with_its_recipe(installed: dict[str, str]) -> None:
    listed = json.loads(skybench(installed, "list", "datasets", "--json"))
    assert "my_fields" in [row["name"] for row in listed]
    assert "official: github:you/my-fields" in skybench(installed, "show", "my_fields:finetune")


def test_reading_its_card_imports_nothing_heavy(installed: dict[str, str]) -> None:
    code = "import sys, my_fields.plugin; print({'torch', 'numpy', 'PIL'} & {*sys.modules})"
    command = [sys.executable, "-P", "-c", code]
    done = subprocess.run(command, env=installed, capture_output=True, text=True)
    assert (done.returncode, done.stdout.strip()) == (0, "set()"), done.stderr


@pytest.mark.parametrize("protocol", ["linear", "finetune"])
def test_it_runs_on_its_simulated_data(
    installed: dict[str, str], place: Path, protocol: str
) -> None:
    record = run(installed, place / "demo", "--protocol", protocol, "--data", "demo")
    assert record["recipe"]["size"] == 64
    assert record["scores"]["oa"] > 60


def test_a_folder_of_uneven_images_runs_at_its_own_size(
    installed: dict[str, str], place: Path, data: Path
) -> None:
    record = run(
        installed, place / "real", "--protocol", "linear", "--data", str(data),
        "--weights", "random", "--variant", "tiny",
    )  # fmt: skip
    assert record["recipe"]["size"] == 96
    assert (record["recipe"]["train"], record["recipe"]["val"]) == ("train", "")


def test_fine_tuning_takes_its_own_recipe(
    installed: dict[str, str], place: Path, data: Path
) -> None:
    record = run(
        installed, place / "real", "--protocol", "finetune", "--data", str(data),
        "--weights", "random", "--variant", "tiny", "--set", "epochs=1",
    )  # fmt: skip
    recipe = record["recipe"]
    assert recipe["source"].startswith("official: github:you/my-fields@1a2b3c4")
    assert (recipe["size"], recipe["batch"], recipe["lr"]) == (96, 16, 1e-4)


def test_its_folder_is_verified(installed: dict[str, str], data: Path) -> None:
    command = [sys.executable, "-P", "-m", "skybench", "data", "verify", "my_fields"]
    command += ["--data", str(data)]
    done = subprocess.run(command, env=installed, capture_output=True, text=True)
    text = done.stdout + done.stderr
    assert "900" in text, text  # the published count; here are 32
    assert "Traceback" not in text
