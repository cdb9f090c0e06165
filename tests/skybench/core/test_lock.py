"""Locks that need neither flock nor a server, and outlive no process by long."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import pytest

from skybench.core import lock

CODE = """
import pathlib, sys, time
from skybench.core.lock import hold_lock
with hold_lock(pathlib.Path(sys.argv[1])) as busy:
    print(busy or "mine", flush=True)
    time.sleep(60)
"""


def write_lock(path: Path, silent: float = 0.0, **told: Any) -> None:
    """A lock that another process left, and has not touched for so many seconds."""
    about = json.loads(lock._describe_self()) | {"token": "theirs"} | told
    path.write_text(json.dumps(about))
    os.utime(path, (time.time() - silent,) * 2)


def test_the_lock_of_a_killed_process_is_taken_at_once(tmp_path: Path) -> None:
    path = tmp_path / "new" / "a.lock"
    words = [sys.executable, "-c", CODE, str(path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "mine\n"
        with lock.hold_lock(path) as busy:
            assert busy.startswith(f"process {other.pid} on ")
        other.kill()  # and nobody has waited for it yet
        while lock._started(other.pid):
            time.sleep(0.01)
        for _ in range(2):  # the first one's lock is gone too
            with lock.hold_lock(path) as busy:
                assert busy == ""
        assert not [*path.parent.iterdir()]


def test_one_process_does_not_get_a_lock_twice(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with lock.hold_lock(path) as first, lock.hold_lock(path) as second:
        assert first == ""
        assert f"process {os.getpid()}" in second
    assert not path.exists()


def test_another_process_of_the_same_number_does_not_count(tmp_path: Path) -> None:
    write_lock(tmp_path / "a", started="1")
    with lock.hold_lock(tmp_path / "a") as busy:
        assert busy == ""


@pytest.mark.parametrize(
    ("silent", "taken"), [(0, False), (lock.SILENT - 60, False), (lock.SILENT + 60, True)]
)
@pytest.mark.parametrize("where", ["elsewhere", ""])
def test_a_process_of_another_machine_is_dead_once_its_heart_stops(
    silent: float, taken: bool, where: str, tmp_path: Path
) -> None:
    """Even if a process of the same number runs here; and "" is a system that cannot tell."""
    path = tmp_path / "a"
    write_lock(path, silent, host="node7", place=where)
    with lock.hold_lock(path) as busy:
        assert (busy == "") == taken
        assert taken or " on node7, since " in busy
    assert path.exists() != taken


def test_a_lock_that_says_nothing_is_someones_until_it_is_old(tmp_path: Path) -> None:
    path = tmp_path / "a"
    for text in ("", "{", "[1]"):
        path.write_text(text)
        with lock.hold_lock(path) as busy:
            assert busy == "just begun"
        os.utime(path, (1, 1))
        with lock.hold_lock(path) as busy:
            assert busy == ""
        assert not [*tmp_path.iterdir()]


def test_another_users_process_is_judged_by_its_heartbeat(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: int) -> None:
        raise PermissionError

    monkeypatch.setattr(os, "kill", refuse)
    for silent, taken in ((0.0, False), (lock.SILENT + 60, True)):
        write_lock(tmp_path / "a", silent)
        with lock.hold_lock(tmp_path / "a") as busy:
            assert (busy == "") == taken


def test_age_is_measured_by_the_clock_of_the_file_system(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    write_lock(path, place="elsewhere")
    now = time.time()
    monkeypatch.setattr(time, "time", lambda: now + 1e6)
    with lock.hold_lock(path) as busy:
        assert busy != ""


def test_a_held_lock_is_touched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a"
    monkeypatch.setattr(lock, "BEAT", 0.01)
    with lock.hold_lock(path):
        os.utime(path, (1, 1))
        end = time.monotonic() + 20
        while path.stat().st_mtime == 1 and time.monotonic() < end:
            time.sleep(0.01)
        assert path.stat().st_mtime > 1


def test_a_lock_that_was_taken_over_stays_the_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a"
    monkeypatch.setattr(lock, "BEAT", 0.01)
    with lock.hold_lock(path):
        write_lock(path)
        os.utime(path, (1, 1))
        time.sleep(0.1)
        assert path.stat().st_mtime == 1
    assert path.exists()


def test_of_many_that_find_a_dead_lock_one_gets_it(tmp_path: Path) -> None:
    path, got, together = tmp_path / "a", list[str](), threading.Barrier(8)
    done = threading.Barrier(8)
    write_lock(path, started="1")

    def ask() -> None:
        together.wait()
        with lock.hold_lock(path) as busy:
            got.append(busy)
            done.wait()

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got.count("") == 1
    assert not [*tmp_path.iterdir()]


def test_who_is_slow_to_clear_a_lock_leaves_one_taken_anew(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_lock(path, started="1")
    dead = path.read_text()
    write_lock(path)
    lock._clear(path, dead)
    assert [*tmp_path.iterdir()] == [path]


def test_who_was_killed_while_clearing_a_lock_blocks_none_for_long(tmp_path: Path) -> None:
    path = tmp_path / "a"
    write_lock(path, started="1")
    text = path.read_text()
    lock._clear(path, text)
    assert not [*tmp_path.iterdir()]
    write_lock(path, started="1")
    kept = lock._create

    def create(new: Path, given: str) -> bool:
        made = kept(new, given)
        if new != path:
            raise KeyboardInterrupt
        return made

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lock, "_create", create)
        with pytest.raises(KeyboardInterrupt):
            lock._clear(path, text)
    (ticket,) = {*tmp_path.iterdir()} - {path}
    with lock.hold_lock(path) as busy:
        assert busy == "other processes, in turns"
    os.utime(ticket, (1, 1))
    with lock.hold_lock(path) as busy:
        assert busy == ""
    assert not [*tmp_path.iterdir()]


def test_who_waits_says_so_once_and_gets_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, said = tmp_path / "a", list[str]()
    monkeypatch.setattr(lock, "PAUSE", 0.0)
    write_lock(path)
    looks = iter(range(5))

    def sleep(_: float) -> None:
        if next(looks) == 3:
            path.unlink()

    monkeypatch.setattr(time, "sleep", sleep)
    with lock.hold_lock(path, said.append) as busy:
        assert busy == ""
        assert path.exists()
    assert len(said) == 1
    assert said[0].startswith("process ")


def test_a_full_disk_leaves_no_empty_lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = Path.open

    class Full:
        def __enter__(self) -> Full:
            return self

        def __exit__(self, *_: object) -> None:
            raise OSError(28, "No space left on device")

        def write(self, _: str) -> None:
            pass

    def open_full(self: Path, mode: str = "r", *given: Any, **named: Any) -> Any:
        made = kept(self, mode, *given, **named)
        if mode == "x":
            made.close()
            return Full()
        return made

    monkeypatch.setattr(Path, "open", open_full)
    with pytest.raises(OSError, match="No space left"), lock.hold_lock(tmp_path / "a"):
        pass
    assert not [*tmp_path.iterdir()]


def test_locks_of_the_dead_are_removed_and_those_of_others_stay(tmp_path: Path) -> None:
    cells = tmp_path / "task" / "data"
    cells.mkdir(parents=True)
    write_lock(cells / "dead.lock", started="1")
    write_lock(cells / "silent.lock", lock.SILENT + 60, place="elsewhere")
    write_lock(cells / "far.lock", place="elsewhere")
    write_lock(cells / "record.json", started="1")
    with lock.hold_lock(cells / "mine.lock"):
        assert lock.remove_dead_locks(tmp_path) == 2
        assert {p.name for p in cells.iterdir()} == {"far.lock", "mine.lock", "record.json"}
