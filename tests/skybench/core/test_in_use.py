"""What a process has marked in the cache counts as used until the process ends."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from skybench.core import folders, in_use
from skybench.core.in_use import entries_in_use, mark_in_use, release_marks

from ._processes import running

pytestmark = pytest.mark.usefixtures("own_cache")


def test_a_mark_lasts_until_it_is_withdrawn() -> None:
    entry = folders.cache() / "features" / "a"
    mark_in_use(entry)  # before it is made
    mark_in_use(entry)
    assert entries_in_use() == {entry.absolute()}
    release_marks()
    assert entries_in_use() == set()
    assert not [*(folders.cache() / in_use.FOLDER).iterdir()]


def test_a_mark_is_the_time_of_the_last_use() -> None:
    entry = folders.cache() / "features" / "a"
    entry.mkdir(parents=True)
    os.utime(entry, (1, 1))
    mark_in_use(entry)
    assert entry.stat().st_mtime > 1e9
    release_marks()


def test_marks_of_another_process_count_while_it_runs() -> None:
    entry = folders.cache().absolute() / "features" / "a"
    with running(lambda: mark_in_use(entry)):
        assert entries_in_use() == {entry}
        release_marks()  # of this process
        assert entries_in_use() == {entry}
    assert entries_in_use() == set()  # it was killed
    assert not [*(folders.cache() / in_use.FOLDER).iterdir()]


def test_a_lease_of_another_machine_ends_by_its_age() -> None:
    entry = folders.cache().absolute() / "features" / "a"
    lease = folders.cache() / in_use.FOLDER / ".lease.00000000-7-00000000.held"
    lease.parent.mkdir(parents=True)
    lease.write_text("features/a\n")
    assert entries_in_use() == {entry}
    for jump, used in ((1e9, True), (-in_use.VALID - 60, False)):  # into the future, and old
        moment = lease.stat().st_ctime + jump
        os.utime(lease, (moment, moment))
        assert entries_in_use() == ({entry} if used else set())


def test_a_cache_that_cannot_be_written_has_no_marks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SKYBENCH_CACHE", str(tmp_path / "file"))
    mark_in_use(folders.cache() / "features" / "a")
    assert entries_in_use() == set()
    release_marks()


def test_what_lies_outside_of_the_cache_has_no_mark(tmp_path: Path) -> None:
    in_use.mark_in_use(tmp_path / "elsewhere")
    assert in_use.entries_in_use() == set()
