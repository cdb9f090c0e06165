"""Records of several machines in one folder."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from skybench.core import DataError, Record
from skybench.records import merge, store

RECORD = Record(
    "m", "t", "d", {"protocol": "knn"}, "measured", "real", "f" * 64, scores={"oa": 90.0},
    used={"device": "A", "revision": "0123456789"}, made="2026",
)  # fmt: skip


def folder(path: Path, *found: Record) -> Path:
    for record in found:
        store.write_record(record, path)
    return path


def test_records_are_copied_with_what_lies_beside_them(tmp_path: Path) -> None:
    source = folder(tmp_path / "a", RECORD)
    (source / RECORD.path).with_suffix(".npz").write_bytes(b"kept")
    (pictures := (source / RECORD.path).with_suffix("")).mkdir()
    (pictures / "0.png").write_bytes(b"drawn")
    done = merge.merge_results([source], tmp_path / "all")
    assert (done.copied, done.same, done.conflicts) == (1, 0, [])
    target = tmp_path / "all" / RECORD.path
    assert store.find_record(tmp_path / "all", RECORD.path) == RECORD
    assert target.with_suffix(".npz").read_bytes() == b"kept"
    assert (target.with_suffix("") / "0.png").read_bytes() == b"drawn"
    again = merge.merge_results([source], tmp_path / "all")
    assert (again.copied, again.same) == (0, 1)


def test_a_conflict_is_shown_and_the_first_stays(tmp_path: Path) -> None:
    other = replace(RECORD, scores={"oa": 80.0}, used={"device": "B"})
    sources = [folder(tmp_path / "a", RECORD), folder(tmp_path / "b", other)]
    done = merge.merge_results(sources, tmp_path / "all")
    ((path, kept, said),) = done.conflicts
    assert path == RECORD.path
    assert kept == "oa 90.0000 (A, 01234567, 2026)"
    assert said.startswith("oa 80.0000 (B, no revision")
    assert store.find_record(tmp_path / "all", RECORD.path) == RECORD


def test_a_measured_record_replaces_one_that_could_not_run(tmp_path: Path) -> None:
    failed = replace(RECORD, status="failed", scores={}, note="no memory")
    sources = [folder(tmp_path / "a", failed), folder(tmp_path / "b", RECORD)]
    assert merge.merge_results(sources, tmp_path / "all").copied == 2
    assert store.find_record(tmp_path / "all", RECORD.path) == RECORD
    back = merge.merge_results([tmp_path / "a"], tmp_path / "all")
    assert (back.copied, len(back.conflicts)) == (0, 1)


def test_what_is_no_record_is_left_and_told(tmp_path: Path) -> None:
    source = folder(tmp_path / "a", RECORD)
    (source / "t" / "d" / "x.json").write_text("{")
    done = merge.merge_results([source], tmp_path / "all")
    assert (done.copied, len(done.skipped)) == (1, 1)
    with pytest.raises(DataError, match="is not a folder"):
        merge.merge_results([tmp_path / "none"], tmp_path / "all")


def test_a_record_that_is_there_already_brings_what_is_missing(tmp_path: Path) -> None:
    source, target = folder(tmp_path / "a", RECORD), folder(tmp_path / "all", RECORD)
    (source / RECORD.path).with_suffix(".npz").write_bytes(b"kept")
    (pictures := (source / RECORD.path).with_suffix("")).mkdir()
    (pictures / "0.png").write_bytes(b"drawn")
    done = merge.merge_results([source], target)
    assert (done.copied, done.same, done.completed) == (0, 1, 1)
    assert (target / RECORD.path).with_suffix(".npz").read_bytes() == b"kept"
    assert ((target / RECORD.path).with_suffix("") / "0.png").read_bytes() == b"drawn"
    (source / RECORD.path).with_suffix(".npz").write_bytes(b"other")
    again = merge.merge_results([source], target)
    assert (again.same, again.completed) == (1, 0)
    assert (target / RECORD.path).with_suffix(".npz").read_bytes() == b"kept"  # nothing replaced


def test_predictions_of_a_replaced_record_do_not_stay(tmp_path: Path) -> None:
    failed = replace(RECORD, status="failed", scores={}, note="no memory")
    source, target = folder(tmp_path / "a", RECORD), folder(tmp_path / "all", failed)
    (target / RECORD.path).with_suffix(".npz").write_bytes(b"of an earlier run")
    assert merge.merge_results([source], target).copied == 1
    assert not (target / RECORD.path).with_suffix(".npz").exists()


def test_a_record_at_another_place_than_its_own_is_left_and_told(tmp_path: Path) -> None:
    source = folder(tmp_path / "a", RECORD)
    (source / RECORD.path).rename(source / "t" / "d" / "renamed.json")
    done = merge.merge_results([source], tmp_path / "all")
    assert (done.copied, len(done.skipped)) == (0, 1)
    assert "not at the place that its content names (t/d/m.knn.none.ffffffff.json)" in (
        done.skipped[0].reason
    )
    assert not (tmp_path / "all").exists()


def test_the_file_is_copied_as_it_is(tmp_path: Path) -> None:
    source = folder(tmp_path / "a", RECORD)
    text = (source / RECORD.path).read_text().replace(" ", "  ")
    (source / RECORD.path).write_text(text)
    merge.merge_results([source], tmp_path / "all")
    assert (tmp_path / "all" / RECORD.path).read_text() == text
