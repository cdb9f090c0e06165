from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import signal
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from skybench.core import SCHEMA, Record, fingerprint
from skybench.records import store


def make(model: str = "m", score: float = 50.0, seed: int = 0) -> Record:
    recipe = {"protocol": "knn", "label": "", "seeds": 1}
    return Record(
        model, "scene_classification", "aid", recipe, "measured", "real",
        fingerprint.fingerprint({"model": model, "seed": seed}), {"oa": score},
        used={"sensors": ["hr"], "weights": "none"},
    )  # fmt: skip


def test_a_record_comes_back_as_it_was_written(tmp_path: Path) -> None:
    path = store.write_record(make(), tmp_path)
    assert path.parent == tmp_path / "scene_classification" / "aid"
    assert path.name == f"m.knn.hr.{make().fingerprint[:8]}.json"
    assert store.read_records(tmp_path) == ([make()], [])
    assert store.find_record(tmp_path, make().path) == make()


def test_records_follow_the_files(tmp_path: Path) -> None:
    store.write_record(make("a"), tmp_path)
    path = store.write_record(make("b"), tmp_path)
    assert [r.model for r in store.read_records(tmp_path)[0]] == ["a", "b"]
    path.unlink()
    store.write_record(make("a", score=70.0), tmp_path)
    assert [(r.model, r.scores["oa"]) for r in store.read_records(tmp_path)[0]] == [("a", 70.0)]


def test_only_the_files_count(tmp_path: Path) -> None:
    """An edit of equal size and time stamp is seen, and an index of older versions is not read."""
    path = store.write_record(make(score=50.0), tmp_path)
    before = path.stat()
    store.read_records(tmp_path)
    with contextlib.closing(sqlite3.connect(tmp_path / "index.sqlite")) as index, index:
        index.execute("CREATE TABLE record (path TEXT, stamp TEXT, json TEXT, problem TEXT)")
        stamp = f"{before.st_mtime_ns}.{before.st_size}"
        old = (str(make().path), stamp, path.read_text().replace("50.0", "90.0"))
        index.execute("INSERT INTO record VALUES (?, ?, ?, NULL)", old)
    path.write_text(path.read_text().replace("50.0", "60.0"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert [r.scores["oa"] for r in store.read_records(tmp_path)[0]] == [60.0]


def test_reading_writes_nothing(tmp_path: Path) -> None:
    path = store.write_record(make(), tmp_path)
    store.read_records(tmp_path)
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [path]


def test_a_failed_repeat_leaves_the_measured_record_and_its_predictions(tmp_path: Path) -> None:
    path = store.write_record(make(score=50.0), tmp_path)
    path.with_suffix(".npz").write_bytes(b"measured")
    (new := tmp_path / "new").write_bytes(b"of the failed run")
    (draws := new.with_suffix(store.DRAWS)).write_bytes(b"of the failed run")
    failed = dataclasses.replace(make(), status="failed", scores={}, note="No memory.")
    told, stored = store.store_result(failed, tmp_path, new)
    assert not stored
    assert told.note == (
        f"No memory; the record of an earlier run stays (oa 50.00), and {path.stem}.failed has "
        "the failure"
    )
    assert store.read_records(tmp_path) == ([make(score=50.0)], [])
    assert path.with_suffix(".npz").read_bytes() == b"measured"
    assert not new.exists()
    assert not draws.exists()
    failure = store.parse_record(path.with_suffix(store.FAILED).read_text())
    assert failure == failed


def test_a_new_result_replaces_the_old_one_with_all_that_belongs_to_it(tmp_path: Path) -> None:
    failed = dataclasses.replace(make(), status="failed", scores={}, note="No memory.")
    assert store.store_result(failed, tmp_path, None) == (failed, True)
    path = store.write_record(make(score=50.0), tmp_path)
    path.with_suffix(".npz").write_bytes(b"old")
    path.with_suffix(store.DRAWS).write_bytes(b"old")
    store.write_failure(failed, tmp_path)
    store.store_result(make(score=70.0), tmp_path, None)
    assert [r.scores["oa"] for r in store.read_records(tmp_path)[0]] == [70.0]
    assert [p for p in tmp_path.rglob("*") if p.is_file()] == [path]  # nor old predictions
    (new := tmp_path / "new").write_bytes(b"new")
    new.with_suffix(store.DRAWS).write_bytes(b"new draws")
    assert store.store_result(make(score=80.0), tmp_path, new)[1]
    assert path.with_suffix(".npz").read_bytes() == b"new"
    assert path.with_suffix(store.DRAWS).read_bytes() == b"new draws"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ('{"schema": 1, "model": "m"', "not complete JSON"),
        ('{"schema": 0}', "schema 0, this version of skybench reads 1"),
        ('{"schema": 99}', "schema 99"),
        ("[]", "not a record"),
        ('{"schema": 1}', "fields missing"),
        ("", "not complete JSON"),
    ],
)
def test_a_file_that_is_no_record_is_named_and_left_alone(
    tmp_path: Path, text: str, reason: str
) -> None:
    good = store.write_record(make(), tmp_path)
    bad = good.with_name("m.knn.hr.00000000.json")
    bad.write_text(text)
    found, skipped = store.read_records(tmp_path)
    assert found == [make()]
    assert [s.path for s in skipped] == [bad]
    assert reason in skipped[0].reason
    assert bad.read_text() == text
    assert store.find_record(tmp_path, bad.relative_to(tmp_path)) is None


@pytest.mark.parametrize(
    "change",
    [
        {"schema": []}, {"scores": None}, {"scores": {"oa": "71"}},
        {"scores": {"oa": float("nan")}},
        {"intervals": {"oa": [1.0]}}, {"intervals": {"oa": 1.0}}, {"used": []}, {"made": None},
        {"flags": "limited"}, {"flags": [1]}, {"seeds": None}, {"model": 5}, {"data": "what"},
        {"status": "fine"},
    ],
    ids=str,
)  # fmt: skip
def test_a_record_whose_fields_are_of_another_kind_is_named(
    tmp_path: Path, change: dict[str, Any]
) -> None:
    bad = store.write_record(make(), tmp_path).with_name("foreign.json")
    bad.write_text(json.dumps(dataclasses.asdict(make()) | change))
    found, skipped = store.read_records(tmp_path)
    assert found == [make()]
    assert [s.path for s in skipped] == [bad]


def test_what_cannot_be_read_or_is_nested_without_end_is_named(tmp_path: Path) -> None:
    folder = store.write_record(make(), tmp_path).parent
    (folder / "a.json").mkdir()
    (folder / "b.json").write_text("[" * 100_000)
    found, skipped = store.read_records(tmp_path)
    assert found == [make()]
    assert [s.path.name for s in skipped] == ["a.json", "b.json"]


def test_unknown_fields_are_refused() -> None:
    raw = dataclasses.asdict(make()) | {"surprise": 1}
    with pytest.raises(ValueError, match=r"unknown: \['surprise'\]"):
        store.parse_record(json.dumps(raw))


def test_a_nan_is_never_written(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        store.write_record(make(score=float("nan")), tmp_path)
    assert not list(tmp_path.rglob("*.*json*"))


WRITE_MANY = """
import dataclasses, pathlib, sys
from skybench.records import store as records
folder, model, text = pathlib.Path(sys.argv[1]), sys.argv[2], sys.stdin.read()
start = records.parse_record(text)
for i in range(60):
    mine = dataclasses.replace(start, model=model, fingerprint=f"{i:02x}" * 32)
    records.write_record(mine, folder)
    records.write_record(dataclasses.replace(start, scores={"oa": i}), folder)
    records.read_records(folder)
"""


def test_two_processes_may_write_and_read_at_once(tmp_path: Path) -> None:
    text = json.dumps(dataclasses.asdict(make("same")))
    both = [
        subprocess.Popen(
            [sys.executable, "-P", "-c", WRITE_MANY, str(tmp_path), model],
            stdin=subprocess.PIPE,
            text=True,
        )
        for model in ("a", "b")
    ]
    for process in both:
        assert process.stdin is not None
        process.stdin.write(text)
        process.stdin.close()
    assert [process.wait(120) for process in both] == [0, 0]
    found, skipped = store.read_records(tmp_path)
    assert sorted(r.model for r in found) == ["a"] * 60 + ["b"] * 60 + ["same"]
    assert not skipped


def test_a_kill_between_the_temporary_file_and_its_renaming_loses_only_that_record(
    tmp_path: Path,
) -> None:
    store.write_record(make("before"), tmp_path)
    code = (
        "import sys, time, pathlib; from skybench.records import store as records\n"
        "pathlib.Path.replace = lambda self, to: (print('written', flush=True), time.sleep(60))\n"
        "text = pathlib.Path(sys.argv[1], sys.argv[2]).read_text()\n"
        "import dataclasses\n"
        "record = dataclasses.replace(records.parse_record(text), model='killed')\n"
        "records.write_record(record, pathlib.Path(sys.argv[1]))"
    )
    child = subprocess.Popen(
        [sys.executable, "-P", "-c", code, str(tmp_path), str(make("before").path)],
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert child.stdout is not None
    with child.stdout as out:
        assert out.readline() == "written\n"
    os.kill(child.pid, signal.SIGKILL)
    child.wait()
    left = list((tmp_path / "scene_classification" / "aid").glob(".*.tmp"))
    assert len(left) == 1  # the temporary file of the killed process
    assert store.read_records(tmp_path) == ([make("before")], [])
    store.write_record(make("killed"), tmp_path)
    assert [r.model for r in store.read_records(tmp_path)[0]] == ["before", "killed"]


def test_equal_settings_give_equal_fingerprints_whatever_their_order() -> None:
    assert fingerprint.fingerprint({"a": [1, 2], "b": "x"}) == fingerprint.fingerprint(
        {"b": "x", "a": [1, 2]}
    )
    assert fingerprint.fingerprint({"a": 1}) != fingerprint.fingerprint({"a": 1.5})


def test_an_older_record_is_brought_up_step_by_step(monkeypatch: pytest.MonkeyPatch) -> None:
    def add_data(raw: dict[str, Any]) -> dict[str, Any]:
        return {**raw, "data": "real"}

    def rename(raw: dict[str, Any]) -> dict[str, Any]:
        name = raw.pop("net")
        return {**raw, "model": name}

    steps = {SCHEMA - 2: rename, SCHEMA - 1: add_data}
    monkeypatch.setattr(store, "MIGRATIONS", steps)
    old = {
        "schema": SCHEMA - 2, "net": "m", "task": "t", "dataset": "d", "fingerprint": "f",
        "recipe": {"protocol": "knn"}, "status": "failed",
    }  # fmt: skip
    found = store.parse_record(json.dumps(old))
    assert (found.model, found.data, found.schema) == ("m", "real", SCHEMA)
    for unknown in (SCHEMA - 3, SCHEMA + 1):
        with pytest.raises(ValueError, match=f"schema {unknown}, this version"):
            store.parse_record(json.dumps({**old, "schema": unknown}))


def test_a_byte_order_mark_of_an_editor_is_read_over(tmp_path: Path) -> None:
    path = store.write_record(make("m"), tmp_path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    good, bad = store.read_records(tmp_path)
    assert ([r.model for r in good], bad) == (["m"], [])
    assert store.find_record(tmp_path, path.relative_to(tmp_path)) == make("m")
