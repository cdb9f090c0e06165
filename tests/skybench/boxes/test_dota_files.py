from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

from skybench.boxes.detections import Detections
from skybench.boxes.dota_files import write_dota
from skybench.core import UsageError

SQUARE = np.array([[1, 2], [3.25, 2], [3.25, 4], [1, 4]], np.float32)


def test_every_class_has_a_file_with_a_line_a_detection(tmp_path: Path) -> None:
    one = Detections(np.stack([SQUARE, SQUARE + 1]), np.array([0.5, 0.25]), np.array([1, 1]))
    none = Detections(np.zeros((0, 4, 2)), np.zeros(0), np.zeros(0, int))
    names = write_dota(tmp_path / "out" / "task1.zip", ("plane", "ship"), {"P1": one, "P2": none})
    assert names == ["Task1_plane.txt", "Task1_ship.txt"]
    with zipfile.ZipFile(tmp_path / "out" / "task1.zip") as archive:
        assert archive.namelist() == names
        assert archive.read("Task1_plane.txt") == b""
        assert archive.read("Task1_ship.txt").decode().splitlines() == [
            "P1 0.500000 1.00 2.00 3.25 2.00 3.25 4.00 1.00 4.00",
            "P1 0.250000 2.00 3.00 4.25 3.00 4.25 5.00 2.00 5.00",
        ]


@pytest.mark.parametrize(("label", "score"), [(2, 0.5), (-1, 0.5), (0, np.nan)])
def test_what_the_server_would_refuse_is_refused(label: int, score: float, tmp_path: Path) -> None:
    found = Detections(SQUARE[None], np.array([score]), np.array([label]))
    with pytest.raises(UsageError, match="image P1 has"):
        write_dota(tmp_path / "task1.zip", ("plane", "ship"), {"P1": found})
    assert not (tmp_path / "task1.zip").exists()


@pytest.mark.parametrize(
    ("image", "name", "what"),
    [("my image", "ship", "has a space"), ("P1", "../ship", "name of a file"), ("P1", " ", "file")],
)
def test_names_that_the_format_cannot_hold_are_refused(
    image: str, name: str, what: str, tmp_path: Path
) -> None:
    found = Detections(SQUARE[None], np.array([0.5]), np.array([0]))
    with pytest.raises(UsageError, match=what):
        write_dota(tmp_path / "task1.zip", (name,), {image: found})
    assert write_dota(tmp_path / "task1.zip", ("small vehicle",), {"P1": found}) == [
        "Task1_small vehicle.txt"
    ]
