"""`skybench cache`: what lies there, what goes, what is damaged."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from skybench.core import folders
from skybench.core.in_use import mark_in_use
from skybench.core.sealed import write_sealed

from ..core._processes import running

pytestmark = pytest.mark.usefixtures("own_cache")


def demo(name: str, days: float) -> Path:
    path = folders.cache().absolute() / "demo" / "v1" / name
    path.mkdir(parents=True)
    (path / "image").write_bytes(bytes(2_000_000))
    os.utime(path, (time.time() - days * 86400,) * 2)
    return path


def test_an_empty_cache(skybench: Any) -> None:
    assert skybench("cache", "ls", "--json").json == []
    assert "0 entries" in skybench("cache", "ls").out
    assert skybench("cache", "gc", "--json").json["removed"] == []
    assert skybench("cache", "verify").code == 0


def test_entries_are_listed_and_removed_by_age_name_and_size(skybench: Any) -> None:
    old, used, new = demo("aid", 40), demo("dior", 40), demo("isaid", 1)
    write_sealed(folders.cache() / "costs" / "a.json", 1)
    with running(lambda: mark_in_use(used)):
        os.utime(used, (0, 0))
        rows = skybench("cache", "ls", "--json", "--dataset", "dior,isaid").json
        assert [(r["dataset"], r["bytes"], r["in_use"]) for r in rows] == [
            ("dior", 2_000_000, True),
            ("isaid", 2_000_000, False),
        ]
        out = skybench("cache", "ls").out
        assert all(word in out for word in ("2.0 MB", "40 d ago", "costs/ (1)"))
        for words in ([], ["--dry-run", "--older-than", "30d"], ["--model", "rcf"]):
            skybench("cache", "gc", *words)
            assert old.is_dir()
        gone = skybench("cache", "gc", "--older-than", "30d", "--json").json["removed"]
        assert [r["path"] for r in gone] == [str(old)]
        assert "1 entry (2.0 MB)" in skybench("cache", "gc", "--max-size", "2.5 MB").out
        assert [used.is_dir(), new.exists()] == [True, False]
    skybench("cache", "gc", "--dataset", "dior")
    assert not used.exists()


def test_what_killed_processes_left_goes(skybench: Any) -> None:
    from skybench.core.atomic import temporary_beside

    def leave() -> None:
        temporary_beside(folders.cache() / "left").write_text("")

    folders.cache().mkdir()
    with running(leave):
        assert skybench("cache", "gc", "--json").json["leftovers"] == 0
    assert skybench("cache", "gc", "--json").json["leftovers"] == 1


@pytest.mark.parametrize("words", [["--older-than", "old"], ["--max-size", "much"]])
def test_what_is_no_time_or_size_is_refused(skybench: Any, words: list[str]) -> None:
    ended = skybench("cache", "gc", *words)
    assert (ended.code, words[0].strip("-")) == (2, ended.err.split("--")[1].split()[0])


def test_damage_is_said_and_repaired(skybench: Any) -> None:
    path = folders.cache() / "costs" / "a.json"
    write_sealed(path, 12)
    assert skybench("cache", "verify", "--json").json == {"entries": 1, "damaged": []}
    path.write_bytes(path.read_bytes()[:-1] + b"3")
    ended = skybench("cache", "verify")
    assert ended.code == 1
    assert "1 damaged, 0 removed" in ended.out
    assert "--repair" in ended.err
    ended = skybench("cache", "verify", "--repair", "--json")
    assert (ended.code, ended.json["damaged"][0]["done"], path.exists()) == (0, "removed", False)
