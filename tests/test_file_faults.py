"""Faults of files and disks: after each the same run gives the records of an undisturbed one.

And leaves no litter. Killed processes are tested with the executors, see tests/skybench/executors.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skybench.checks.cache_check import damaged_files
from skybench.core import Record, UsageError
from skybench.core.cache_entries import ABOUT, read_entries, removable, remove_entry
from skybench.data.demo_folder import demo_root
from skybench.executors.execute import execute, execute_request
from skybench.executors.schedule import make_schedule
from skybench.plan.planner import Planner
from skybench.plan.request import Request
from skybench.records import store
from skybench.runner import network_costs

CELL = Request(models=["rcf"], protocol="knn", limit=6, device="cpu", variant="tiny",
               tasks=["scene_classification"])  # fmt: skip


@pytest.fixture
def roots() -> dict[str, Path]:
    return {name: demo_root(name) for name in ("eurosat", "ben_s2")}


@pytest.fixture
def run(
    roots: dict[str, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Record]:
    """Runs a cell, of ben_s2 two and gives the last; its data are not in the cache it spoils."""
    monkeypatch.setenv("SKYBENCH_CACHE", str(tmp_path / "cache"))

    def call(name: str = "eurosat", results: Path = tmp_path / "runs", **fields: Any) -> Record:
        monkeypatch.setattr(network_costs, "_KNOWN", {})  # as in another process
        place = f"{name}:{roots[name]}"
        *_, record = execute_request(replace(CELL, datasets=[place], results=results, **fields))
        return record

    return call


def told(record: Record) -> dict[str, Any]:
    """All that two runs of a cell must agree in."""
    whole = vars(record)
    used = {k: v for k, v in record.used.items() if k != "features"}
    return {k: v for k, v in whole.items() if k not in ("made", "cost")} | {"used": used}


def litter(*folders: Path) -> list[str]:
    """What a run leaves nowhere: temporary files, locks, leases."""
    return [
        str(path)
        for folder in folders
        for path in folder.rglob("*")
        if path.name.endswith((".tmp", ".lock", ".held", ".part"))
    ]


def flip(path: Path) -> None:
    """Flip a byte in the middle of a file, and keep its size and modification time."""
    content, stat = bytearray(path.read_bytes()), path.stat()
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_flipped_bytes_everywhere_in_the_cache_change_no_record(
    run: Callable[..., Record], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = run("ben_s2")  # whose several labels an image are kept in the cache too
    predictions = (tmp_path / "runs" / first.path).with_suffix(".npz").read_bytes()
    kinds = {entry.kind for entry in read_entries()}
    assert {"features", "targets", "hashes", "costs", "audit"} <= kinds
    assert damaged_files(read_entries()) == []
    for path in (tmp_path / "cache").rglob("*"):
        if path.is_file() and path.name != ABOUT:
            flip(path)
    found = damaged_files(read_entries())
    assert {d.entry.path for d in found} == {e.path for e in read_entries()}
    capsys.readouterr()
    again = run("ben_s2", force=True)
    assert told(again) == told(first)
    assert (tmp_path / "runs" / first.path).with_suffix(".npz").read_bytes() == predictions
    assert again.used["features"] != first.used["features"] or "made again" in (
        capsys.readouterr().err
    )
    assert damaged_files(read_entries()) == []
    assert litter(tmp_path) == []


def test_what_a_running_cell_uses_outlasts_a_removal_of_everything(
    run: Callable[..., Record], roots: dict[str, Path], tmp_path: Path
) -> None:
    alone = run("ben_s2", results=tmp_path / "alone")
    shutil.rmtree(tmp_path / "cache")
    kept: set[str] = set()

    def remove_all(*_: object) -> None:
        for entry in removable(read_entries(), most=0):
            assert remove_entry(entry.path)
        kept.update(entry.kind for entry in read_entries())

    request = replace(
        CELL, datasets=[f"ben_s2:{roots['ben_s2']}"], results=tmp_path / "runs", force=True
    )
    for _ in range(2):  # with an empty cache, and with features that are there
        schedule = make_schedule(request, Planner(request).cells())
        assert told(execute(request, schedule, remove_all)[-1]) == told(alone)
    assert kept == {"features", "targets"}
    remove_all()
    assert read_entries() == []


def test_a_clock_that_jumps_changes_no_record(run: Callable[..., Record], tmp_path: Path) -> None:
    first = last = run()
    for moment in (4e9, 1.0):  # the year 2096, and 1970
        for path in tmp_path.rglob("*"):
            os.utime(path, (moment, moment))
        assert run() == last  # it is done
        last = run(force=True)
        assert told(last) == told(first)
    assert litter(tmp_path) == []


def test_two_processes_on_one_cell_end_with_one_record(
    run: Callable[..., Record], tmp_path: Path
) -> None:
    alone = run(results=tmp_path / "alone")
    shutil.rmtree(tmp_path / "cache")
    children = []
    for _ in range(2):
        if (child := os.fork()) == 0:
            code = 1
            try:
                code = int(told(run()) != told(alone))
            finally:
                os._exit(code)
        children.append(child)
    assert [os.waitstatus_to_exitcode(os.waitpid(c, 0)[1]) for c in children] == [0, 0]
    ((_, record),), bad = store.read_stored(tmp_path / "runs")
    assert (told(record), bad) == (told(alone), [])
    one, other = ((tmp_path / n / alone.path).with_suffix(".npz") for n in ("alone", "runs"))
    assert one.read_bytes() == other.read_bytes()
    assert [p for p in litter(tmp_path) if not p.endswith(".held")] == []  # no atexit in a fork
    run()
    assert litter(tmp_path) == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Callable[[str], Path]]:
    """Mounts a small file system, or gives it other options."""
    place = tmp_path / "disk"
    place.mkdir()

    def mount(options: str) -> Path:
        again = "remount," if place.is_mount() else ""
        words = ["mount", "-t", "tmpfs", "-o", again + options, "tmpfs", str(place)]
        try:
            subprocess.run(words, check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("file systems can be mounted by root alone")
        return place

    yield mount
    if place.is_mount():
        subprocess.run(["umount", str(place)], check=True)


def test_a_full_cache_fails_the_cell_until_there_is_room(
    run: Callable[..., Record],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    small_disk: Callable[[str], Path],
) -> None:
    alone = run(results=tmp_path / "alone")
    monkeypatch.setenv("SKYBENCH_CACHE", str(small_disk("size=12k")))
    failed = run()
    assert failed.status == "failed"
    assert "No space left" in failed.note or "cannot be" in failed.note
    assert litter(tmp_path) == []
    small_disk("size=64m")
    assert told(run()) == told(alone)
    assert litter(tmp_path) == []


def test_a_full_or_read_only_store_says_so_and_the_same_run_goes_on(
    run: Callable[..., Record], tmp_path: Path, small_disk: Callable[[str], Path]
) -> None:
    alone = run(results=tmp_path / "alone")
    disk = small_disk("size=16k")
    with pytest.raises(OSError, match="No space left"):
        run(results=disk)
    assert [p for p in disk.rglob("*") if p.is_file()] == []
    small_disk("size=1m,ro")
    with pytest.raises(UsageError, match=r"Records cannot be written to .*Read-only"):
        run(results=disk)
    small_disk("size=1m,rw")
    assert told(run(results=disk)) == told(alone)
    small_disk("ro")
    assert told(run(results=disk)) == told(alone)  # it is done
    assert litter(disk, tmp_path / "cache") == []
