"""Verification of a user's own folder: its own splits, its classes, what was noticed."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
from PIL import Image

from skybench.data.verify import Finding, verify_dataset

TWO = 'classes = ["ground", "building"]\n'


def _image(path: Path, value: int = 9, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((6, 8), value, np.uint8)).convert(mode).save(path)


def _folder(root: Path, text: str = TWO, **values: int) -> Path:
    for key, value in values.items():
        group, stem = key.split("_")
        _image(root / group / "images" / f"{stem}.png")
        _image(root / group / "masks" / f"{stem}.png", value, "L")
    (root / "skybench.toml").write_text(text)
    return root


def _told(findings: list[Finding], level: str) -> str:
    return "\n".join(f.message for f in findings if f.level == level)


def test_pixels_of_each_class_are_counted_in_the_folders_own_splits(tmp_path: Path) -> None:
    split = '[splits]\nfirst = ["x"]\nsecond = ["y"]\n'
    root = _folder(tmp_path, TWO + split, x_a=0, x_b=1, y_a=1)
    findings = verify_dataset("folder", root)
    ok = _told(findings, "ok")
    assert "first: pixels by class: ground 48, building 48" in ok
    assert "second: pixels by class: ground 0, building 48" in ok
    assert "class 'ground' has no pixel in the masks of second" in _told(findings, "warning")
    assert not _told(findings, "error")


def test_images_of_each_class_are_counted(tmp_path: Path) -> None:
    for number in range(6):
        _image(tmp_path / "town" / f"{number}.png")
        _image(tmp_path / "field" / f"{number}.png")
    (tmp_path / "town" / "notes.doc").write_text("")
    findings = verify_dataset("folder", tmp_path)
    assert "train: images by class: field 4, town 4" in _told(findings, "ok")
    assert _told(findings, "warning") == "town/ holds files of kinds that are not read: 1 .doc"


def test_every_mask_is_read_and_the_wrong_one_named(tmp_path: Path) -> None:
    root = _folder(tmp_path, train_a=0, train_b=1, train_c=1, test_a=0, test_b=1)
    assert not _told(verify_dataset("folder", root), "error")
    _image(root / "train" / "masks" / "c.png", 7, "L")
    text = _told(verify_dataset("folder", root, sample=0), "error")
    assert "masks/c.png holds the class ids 7 (48 pixels)" in text


def test_one_sentence_says_what_is_wrong_and_none_speaks_of_a_download(tmp_path: Path) -> None:
    root = _folder(tmp_path / "a", train_a=0, test_a=255)
    (error,) = verify_dataset("folder", root)
    assert (error.level, error.message.count("holds 255")) == ("error", 1)
    shutil.rmtree(root / "train" / "masks")
    (root / "train" / "images" / "a.png").write_bytes(b"")
    told = [error, *verify_dataset("folder", root), *verify_dataset("folder", tmp_path / "none")]
    assert all(finding.level == "error" for finding in told)
    assert "download" not in _told(told, "error")
