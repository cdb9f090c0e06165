"""Damage of each file of a results folder is found, and a sound folder has none."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skybench.analysis.replicates import load_replicates
from skybench.checks.record_check import damaged_records
from skybench.core import Record
from tests.conftest import Made


@pytest.fixture
def record(made: Made, tmp_path: Path) -> Record:
    other = made("gfm", np.ones(20))
    load_replicates(other, tmp_path)
    mine = made("rcf", np.arange(20) % 3 > 0, used={"prediction_bytes": 1})
    load_replicates(mine, tmp_path)
    return mine


def flipped(content: bytes) -> bytes:
    place = len(content) // 2
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


def test_a_sound_folder(record: Record, tmp_path: Path) -> None:
    assert damaged_records(tmp_path) == (2, [])
    assert damaged_records(tmp_path, [tmp_path / record.path]) == (1, [])


@pytest.mark.parametrize(
    ("ending", "spoil"),
    [
        (".json", lambda data: data[:-9]),
        (".json", lambda data: data.replace(b'"aid"', b'"bid"')),
        (".npz", flipped),
        (".npz", lambda data: data[:-9]),
        (".npz", None),
        (".draws", flipped),
    ],
)
def test_damage_is_named(record: Record, tmp_path: Path, ending: str, spoil: Any) -> None:
    path = tmp_path / record.path.with_suffix(ending)
    if spoil is None:
        path.unlink()
    else:
        path.write_bytes(spoil(path.read_bytes()))
    count, damaged = damaged_records(tmp_path)
    assert (count, [d.path for d in damaged]) == (2, [record.path.with_suffix(ending)])
    assert damaged_records(tmp_path, [record.path])[1] == damaged


def test_files_without_their_record_are_named(record: Record, tmp_path: Path) -> None:
    (tmp_path / record.path).unlink()
    damaged = damaged_records(tmp_path)[1]
    assert [(d.path.suffix, d.what) for d in damaged] == [
        (ending, "there is no record beside it") for ending in (".draws", ".npz")
    ]
    (lost,) = damaged_records(tmp_path, [Path("none.json")])[1]
    assert lost.what == "there is no such record"
