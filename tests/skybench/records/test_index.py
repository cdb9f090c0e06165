"""Records as tables need them: remembered, and never believed where a file is another."""

from __future__ import annotations

import gc
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import skybench
from skybench.core import Record, folders
from skybench.records import index, store
from skybench.report.long_rows import long_rows

pytestmark = pytest.mark.usefixtures("own_cache")


def make(model: str = "a", score: float = 50.0) -> Record:
    recipe = {"protocol": "knn", "label": "", "seeds": 1}
    used = {
        "sensors": ["hr"], "features": {"sha256": "1", "keys": [], "seen": 1},
        "splits": {"test": {"name": "test", "sha256": "ab"}},
    }  # fmt: skip
    return Record(
        model, "scene_classification", "aid", recipe, "measured", "real", "12" * 32, {"oa": score},
        seeds=[{"seed": 0, "scores": {"oa": score}, "losses": [1.0]}], used=used,
        cost={"wall_s": 1.0}, per_class={"recall": {"x": 1.0}}, made=store.now(),
    )  # fmt: skip


@pytest.fixture
def results(tmp_path: Path) -> Path:
    """A folder without the cache in it."""
    return tmp_path / "runs"


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files that were parsed; all files count as settled."""
    read, real = [], store.read_file

    def spy(path: Path) -> Any:
        read.append(path)
        return real(path)

    monkeypatch.setattr(store, "read_file", spy)
    monkeypatch.setattr("skybench.core.file_hash.SETTLED_NS", 0)
    return read


def brief(results: Path) -> list[Record]:
    return [*index.read_brief(results)[0].values()]


def test_a_brief_record_lacks_only_what_no_table_shows() -> None:
    short = index.brief(make())
    assert (short.scores, short.seeds) == ({"oa": 50.0}, [{"seed": 0}])
    assert short.used == {"sensors": ["hr"], "splits": {"test": {"sha256": "ab"}}}
    assert {**short.cost, **short.per_class} == {}
    assert (short.path, short.main, short.made) == (make().path, ("oa", 50.0), short.made)


def test_the_main_score_alone_has_an_interval_and_values_of_several_seeds() -> None:
    scores = [{"oa": 50.0, "aa": 40.0}, {"oa": 52.0, "aa": 44.0}]
    long = replace(
        make(), scores={"oa": 51.0, "aa": 42.0}, spread={"oa": 1.4, "aa": 2.8},
        intervals={"oa": [48.0, 54.0], "aa": [40.0, 44.0]},
        seeds=[{"seed": n, "scores": one, "losses": [1.0]} for n, one in enumerate(scores)],
    )  # fmt: skip
    short = index.brief(long)
    assert (short.scores, short.intervals) == (long.scores, {"oa": [48.0, 54.0]})
    assert short.spread == {"oa": 1.4}
    assert short.seeds == [
        {"seed": 0, "scores": {"oa": 50.0}}, {"seed": 1, "scores": {"oa": 52.0}},
    ]  # fmt: skip
    (row,), (told,) = long_rows([short]), long_rows([long])
    assert row == told
    unknown = replace(make(), status="failed", scores={}, seeds=[])
    assert (index.brief(unknown).intervals, index.brief(unknown).seeds) == ({}, [])


def test_unchanged_files_are_not_read_again(results: Path, parsed: list[Path]) -> None:
    made = [make("a"), make("b")]
    paths = [store.write_record(r, results) for r in made]
    (broken := paths[0].with_name("z.json")).write_text("{")
    first = index.read_brief(results)
    assert [*first[0].values()] == [*map(index.brief, made)]
    assert [*first[0]] == [p.relative_to(results).as_posix() for p in paths]
    assert [file.path for file in first[1]] == [broken]
    assert len(parsed) == 3
    assert index.read_brief(results) == first
    assert len(parsed) == 3  # the broken one neither
    one, other = brief(results)
    assert one.recipe is other.recipe
    store.write_record(make("c"), results)
    paths[0].unlink()
    assert [r.model for r in brief(results)] == ["b", "c"]
    assert len(parsed) == 4
    assert not [*results.rglob("*.tmp")]


def test_an_edit_of_equal_size_and_time_is_seen(results: Path, parsed: list[Path]) -> None:
    path = store.write_record(make(score=50.0), results)
    brief(results)
    before = path.stat()
    path.write_text(path.read_text().replace("50.0", "60.0"))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size
    assert brief(results)[0].scores == {"oa": 60.0}
    assert len(parsed) == 2


def test_a_file_that_is_younger_than_a_second_is_read_again(
    results: Path, parsed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("skybench.core.file_hash.SETTLED_NS", 3600 * 10**9)
    store.write_record(make(), results)
    assert brief(results) == brief(results)
    assert len(parsed) == 2


@pytest.mark.parametrize(
    "damage",
    [lambda b: b[:-9], lambda b: b"", lambda b: b.replace(b"50.0", b"90.0"), lambda b: b"\xff" + b],
)
def test_a_damaged_memory_is_not_believed(results: Path, parsed: list[Path], damage: Any) -> None:
    store.write_record(make(), results)
    brief(results)
    (memory,) = (folders.cache() / "records").iterdir()
    memory.write_bytes(damage(memory.read_bytes()))
    assert brief(results)[0].scores == {"oa": 50.0}
    assert len(parsed) == 2


def test_a_memory_by_other_rules_is_not_believed(
    results: Path, parsed: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    store.write_record(make(), results)
    brief(results)
    monkeypatch.setattr(index, "_rules", lambda: [[1]])
    brief(results)
    assert len(parsed) == 2


def test_a_cache_that_cannot_be_written_costs_only_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SKYBENCH_CACHE", str(tmp_path / "file"))
    monkeypatch.setattr("skybench.core.file_hash.SETTLED_NS", 0)
    store.write_record(make(), tmp_path / "runs")
    assert len(brief(tmp_path / "runs")) == len(brief(tmp_path / "runs")) == 1


def test_a_table_lists_each_folder_once(results: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for model in "abc":
        store.write_record(make(model), results)
    listed, real = [], os.scandir

    def spy(folder: Any) -> Any:
        listed.append(os.fspath(folder))
        return real(folder)

    monkeypatch.setattr(os, "scandir", spy)
    assert len(brief(results)) == 3
    below = [path for path in listed if path.startswith(str(results))]
    assert len(below) == len({*below})


def test_the_collector_is_as_it_was() -> None:
    assert gc.isenabled()
    with index.without_collection():
        assert not gc.isenabled()
        with index.without_collection():
            pass
        assert not gc.isenabled()
    assert gc.isenabled()


def test_the_python_interface_reads_a_file_once_too(results: Path, parsed: list[Path]) -> None:
    store.write_record(make(), results)
    first, again = skybench.table(results), skybench.table(results)
    assert first.equals(again)
    assert first["score"].tolist() == [50.0]
    assert len(parsed) == 1
