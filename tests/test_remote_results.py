"""Records at an address: every command reads and writes them as those of a folder."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest
from fsspec.implementations.memory import MemoryFileSystem

from skybench.core import folders

ADDRESS = "memory://bucket/runs"
RUN = ["run", "--model", "image_stats,rcf", "--task", "scene_classification", "--dataset",
       "eurosat", "--data", "demo", "--limit", "12", "--protocol", "knn"]  # fmt: skip


def elsewhere() -> None:
    """Go to a machine that has no copy of the results."""
    shutil.rmtree(folders.cache() / "stores", ignore_errors=True)


def test_commands_work_on_an_address(
    skybench: Any, bucket: MemoryFileSystem, tmp_path: Path
) -> None:
    there = ["--results", ADDRESS]
    first = skybench(*RUN, *there, "--json")
    assert first.code == 0
    names = [Path(path) for path in bucket.find("/bucket/runs")]
    assert sorted(p.suffix for p in names) == [".draws", ".draws", ".json", ".json", ".npz", ".npz"]
    elsewhere()
    again = skybench(*RUN, *there, "--json")
    assert again.json == first.json  # nothing was run
    for words in (["table", "--format", "json"], ["records", "check", "--json"],
                  ["compare", "image_stats", "rcf", "--json"], ["rescore", "--json"]):  # fmt: skip
        elsewhere()
        ended = skybench(*words, *there)
        assert (ended.code, bool(ended.json)) == (0, True), ended.err
    merged = skybench("merge", ADDRESS, "--results", str(tmp_path / "here"), "--json")
    assert merged.json["copied"] == 2
    assert (
        skybench("merge", str(tmp_path / "here"), "--results", "memory://bucket/second").code == 0
    )
    assert len(bucket.find("/bucket/second")) >= 4


def test_an_address_that_does_not_answer_is_said_before_anything_runs(
    skybench: Any, bucket: MemoryFileSystem, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(MemoryFileSystem, "find", lambda *_, **__: 1 / 0)
    ended = skybench(*RUN, "--results", ADDRESS)
    assert (ended.code, ended.out) == (2, "")
    assert f"{ADDRESS} cannot be synchronised" in ended.err
    ended = skybench("table", "--results", "nothing://bucket")
    assert (ended.code, "cannot be opened" in ended.err) == (2, True)
