"""What is in the cache, and what goes of it: never what is in use, or cannot be made again."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from skybench.core import UsageError, folders
from skybench.core.cache_entries import (
    LIMIT,
    cache_limit,
    limited_cache,
    note_dataset,
    read_entries,
    removable,
    remove_entry,
)
from skybench.core.in_use import mark_in_use, release_marks

from ._processes import running

pytestmark = pytest.mark.usefixtures("own_cache")
DAY = 86400.0


def make(name: str, size: int, days: float) -> Path:
    """An entry of the cache, last used so many days ago."""
    path = folders.cache().absolute() / name
    file = path if path.suffix else path / "part-1" / "pooled.npy"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(bytes(size))
    os.utime(path, (time.time() - days * DAY,) * 2)
    return path


def names(entries: object) -> list[str]:
    assert isinstance(entries, list)
    return [entry.path.name for entry in entries]


def test_entries_tell_what_they_are_of() -> None:
    features = make("features/a", 5, 0)
    meta = {"identity": {"model": ["rcf", 1], "dataset": ["eurosat", 1, 0]}}
    (features / "part-1" / "meta.json").write_text(json.dumps(meta))
    targets = make("targets/b", 0, 0)
    (targets / "meta.json").write_text(json.dumps({"identity": {"dataset": [["aid", 1], None]}}))
    note_dataset(make("decoded/c", 0, 0), ["isaid", 1])
    make("demo/v1/potsdam", 7, 0)
    make("costs/d.json", 3, 0)
    (folders.cache() / "weights").mkdir()
    found = {(e.kind, e.model, e.dataset, e.path.name) for e in read_entries()}
    assert found == {
        ("features", "rcf", "eurosat", "a"), ("targets", "", "aid", "b"),
        ("decoded", "", "isaid", "c"), ("demo", "", "potsdam", "potsdam"),
        ("costs", "", "", "d.json"),
    }  # fmt: skip
    assert names(read_entries(["rcf"])) == ["a"]
    assert names(read_entries(datasets=["aid", "potsdam"])) == ["b", "potsdam"]
    assert {e.path.name: e.bytes for e in read_entries()}["potsdam"] == 7


def test_the_old_go_first_then_the_least_recently_used() -> None:
    for number, days in enumerate((1, 40, 3, 2)):
        make(f"features/{number}", 100, days)
    make("splits/aid", 100, 90)
    entries = read_entries()
    assert names(removable(entries, older=30 * DAY)) == ["1"]
    assert names(removable(entries, most=300)) == ["1", "2"]
    assert names(removable(entries, older=2.5 * DAY, most=250)) == ["1", "2", "3"]
    assert names(removable(entries, most=0)) == ["1", "2", "3", "0"]  # lists were downloaded
    assert removable(entries, most=1000) == []


def test_a_clock_that_jumped_makes_an_entry_new() -> None:
    make("features/a", 1, -400)
    (entry,) = read_entries()
    assert entry.age == 0
    assert removable([entry], older=1.0) == []


def test_what_a_running_process_uses_stays() -> None:
    used, other = make("features/a", 100, 50), make("features/b", 100, 1)
    with running(lambda: mark_in_use(used)):
        assert {e.path.name: e.in_use for e in read_entries()} == {"a": True, "b": False}
        assert names(removable(read_entries(), most=0)) == ["b"]
        assert not remove_entry(used)  # as if it was marked since
        assert remove_entry(other)
        assert used.is_dir()
    assert remove_entry(used)
    assert not [*used.parent.iterdir()]


def test_an_entry_that_is_marked_while_it_is_removed_comes_back(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    path = make("features/a", 100, 50)
    rename = Path.rename

    def marked_then(self: Path, target: Path) -> Path:
        if self == path:
            mark_in_use(path)
        return rename(self, target)

    monkeypatch.setattr(Path, "rename", marked_then)
    assert not remove_entry(path)
    assert (path / "part-1" / "pooled.npy").stat().st_size == 100
    release_marks()


def test_a_limit_holds_after_a_run_but_for_what_others_use(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(LIMIT, "0.0000003")  # 300 bytes
    theirs, mine = make("features/a", 100, 9), make("features/b", 100, 8)
    with running(lambda: mark_in_use(theirs)), limited_cache():
        mark_in_use(mine)  # now the most recently used
        for name, days in (("c", 5), ("d", 4)):
            make(f"features/{name}", 100, days)
    assert sorted(p.name for p in mine.parent.iterdir()) == ["a", "b", "d"]
    assert "the least recently used of it, for SKYBENCH_CACHE_GB" in capsys.readouterr().err


def test_without_a_limit_nothing_goes() -> None:
    make("features/a", 100, 900)
    with limited_cache():
        pass
    assert names(read_entries()) == ["a"]
    assert cache_limit() == float("inf")


@pytest.mark.parametrize("given", ["much", "-1", "nan"])
def test_a_limit_that_is_no_size_is_refused_before_the_run(
    given: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(LIMIT, given)
    with pytest.raises(UsageError, match="expected a number of GB"), limited_cache():
        pytest.fail("a run began")
