"""What users get wrong: one clear message, no traceback, and earlier records stay as they are."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from skybench.cli import app

Case = Callable[[Path], tuple[list[str], str]]


def images(folder: Path, count: int = 12, classes: tuple[str, ...] = ("field", "water")) -> Path:
    """A folder of classes with small noise images."""
    rng = np.random.default_rng(0)
    for name in classes:
        (folder / name).mkdir(parents=True)
        for i in range(count):
            pixels = rng.integers(0, 255, (32, 32, 3), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / name / f"{name}_{i}.png")
    return folder


def masks(folder: Path, odd: int | None = None) -> Path:
    """A folder of images and masks; one mask holds the class id `odd`."""
    rng = np.random.default_rng(0)
    for part in ("images", "masks"):
        (folder / part).mkdir(parents=True)
    for i in range(10):
        pixels = rng.integers(0, 255, (64, 64, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / "images" / f"{i}.png")
        mask = rng.integers(0, 3, (64, 64), dtype=np.uint8)
        if odd is not None and i == 3:
            mask[:4] = odd
        Image.fromarray(mask).save(folder / "masks" / f"{i}.png")
    (folder / "skybench.toml").write_text('classes = ["a", "b", "c"]\n')
    return folder


def run(dataset: str, task: str = "scene_classification", model: str = "rcf") -> list[str]:
    return ["run", "--model", model, "--task", task, "--dataset", dataset, "--protocol", "linear"]


def unknown_model(tmp: Path) -> tuple[list[str], str]:
    return run("eurosat", model="skysenze"), "Did you mean 'skysense'"


def missing_data(tmp: Path) -> tuple[list[str], str]:
    return [*run("aid"), "--data", str(tmp / "nowhere")], "nowhere"


def wrong_layout(tmp: Path) -> tuple[list[str], str]:
    (tmp / "aid" / "readme").mkdir(parents=True)
    (tmp / "aid" / "readme" / "notes.txt").write_text("no images here")
    return [*run("aid"), "--data", str(tmp)], "AID"


def unreadable_image(tmp: Path) -> tuple[list[str], str]:
    folder = images(tmp / "set")
    for path in (folder / "water").iterdir():
        path.write_bytes(path.read_bytes()[:60])
    return run(f"folder:{folder}"), "water_"


def class_out_of_range(tmp: Path) -> tuple[list[str], str]:
    return run(f"folder:{masks(tmp / 'set', odd=7)}", "semantic_segmentation"), "3.png"


def empty_split(tmp: Path) -> tuple[list[str], str]:
    folder = images(tmp / "set")
    for split in ("train", "val"):
        images(folder / split)
    for name in ("field", "water"):
        for path in (folder / name).iterdir():
            path.unlink()
        (folder / name).rmdir()
        (folder / "test" / name).mkdir(parents=True)
    return run(f"folder:{folder}"), "test"


def weights(path: Path, tmp: Path) -> list[str]:
    return [*run(f"folder:{images(tmp / 'set')}", model="imagenet"), "--weights", str(path)]


def missing_weights_file(tmp: Path) -> tuple[list[str], str]:
    return weights(tmp / "absent.pth", tmp), "absent.pth"


def checkpoint_of_another_model(tmp: Path) -> tuple[list[str], str]:
    torch.save({"encoder.weight": torch.zeros(3, 3), "encoder.bias": torch.zeros(3)}, tmp / "o.pth")
    return weights(tmp / "o.pth", tmp), "imagenet"


class Trap:
    """Pickled, it would make a folder when it is loaded."""

    def __init__(self, folder: str) -> None:
        self.folder = folder

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.mkdir, (self.folder,)


def checkpoint_that_holds_code(tmp: Path) -> tuple[list[str], str]:
    (tmp / "trap.pth").write_bytes(pickle.dumps({"state_dict": Trap(str(tmp / "sprung"))}))
    torch.save({"state_dict": Trap(str(tmp / "sprung"))}, tmp / "trap2.pth")
    return weights(tmp / "trap2.pth", tmp), "trap2.pth"


def checkpoint_that_is_a_web_page(tmp: Path) -> tuple[list[str], str]:
    (tmp / "page.pth").write_text("<!DOCTYPE html><html>Sign in to download</html>")
    return weights(tmp / "page.pth", tmp), "page.pth"


def negative_size(tmp: Path) -> tuple[list[str], str]:
    return [*run("eurosat"), "--data", "demo", "--size", "-5"], "size not to be negative"


def no_model(tmp: Path) -> tuple[list[str], str]:
    return [*run("eurosat", model=""), "--data", "demo"], "--model and --task to name something"


CASES = [
    negative_size, no_model, unknown_model, missing_data, wrong_layout, unreadable_image,
    class_out_of_range, empty_split,
    missing_weights_file, checkpoint_of_another_model, checkpoint_that_holds_code,
    checkpoint_that_is_a_web_page,
]  # fmt: skip


@pytest.mark.parametrize("case", CASES, ids=[c.__name__ for c in CASES])
def test_a_mistake_gets_one_clear_message_and_loses_nothing(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    results = tmp_path / "results"
    earlier = results / "scene_classification" / "aid" / "rcf.knn.hr.12345678.json"
    earlier.parent.mkdir(parents=True)
    earlier.write_text("{}")
    words, part = case(tmp_path)
    monkeypatch.setattr(sys, "argv", ["skybench", *words, "--results", str(results)])
    with pytest.raises(SystemExit) as end:
        app.main()
    out, err = capsys.readouterr()
    assert end.value.code in (1, 2)
    assert part in err
    assert "Traceback" not in out + err
    assert earlier.read_text() == "{}"
    assert not (tmp_path / "sprung").exists()
    if end.value.code == 1:
        assert "failed" in out


def ends(
    words: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> tuple[int | str | None, str]:
    """How a command ends: its code and what it says on stderr."""
    monkeypatch.setattr(sys, "argv", ["skybench", *words])
    with pytest.raises(SystemExit) as end:
        app.main()
    return end.value.code, capsys.readouterr().err


def test_a_results_folder_that_cannot_be_written_to_ends_a_run_before_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    words = [*run("eurosat"), "--data", "demo", "--results", str(tmp_path / "file")]
    code, err = ends(words, monkeypatch, capsys)
    assert code == 2
    assert "Records cannot be written to" in err
    assert "[1/1]" not in err


def test_a_folder_that_cannot_be_written_to_is_one_message(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").touch()
    words = ["data", "demo", "eurosat", "--out", str(tmp_path / "file")]
    code, err = ends(words, monkeypatch, capsys)
    assert code == 2
    assert err.startswith("skybench: ")
    assert str(tmp_path / "file") in err


@pytest.mark.parametrize("words", [["compare", "rcf", "imagenet"], ["rank"]])
def test_a_misspelt_protocol_is_named(
    words: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    words = [*words, "--protocol", "linaer", "--results", str(tmp_path)]
    assert "Did you mean 'linear'" in ends(words, monkeypatch, capsys)[1]


def test_ctrl_c_is_answered(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def pressed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("skybench.cli.output.show_rows", pressed)
    code, err = ends(["list", "models"], monkeypatch, capsys)
    assert code == 130
    assert "the same command goes on where it stopped" in err


def test_letters_that_stdout_lacks_stop_nothing(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "SKYBENCH_CACHE": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "skybench", "weights", "list"],
        env=environment, capture_output=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, b"")
