from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from skybench.core import Target, UsageError, file_hash
from skybench.core.content import ContentDigests
from skybench.core.fingerprint import fingerprint
from skybench.plan.cell import Cell, affecting, feature_bytes, known_by_content, to_record
from skybench.plan.planner import Planner
from skybench.plan.request import Request


@pytest.fixture(scope="module")
def cell() -> Cell:
    request = Request(["rcf"], ["scene_classification"], ["eurosat"], "knn", data="demo")
    return Planner(request).cells()[0]


def test_a_cell_has_the_protocol_of_its_recipe(cell: Cell) -> None:
    assert (cell.protocol.name, cell.protocol.trains_backbone) == ("knn", False)
    other = replace(cell, recipe=replace(cell.recipe, protocol="no_such"))
    with pytest.raises(UsageError, match="scene_classification has no protocol 'no_such'"):
        _ = other.protocol


def test_the_version_of_a_protocol_is_in_the_fingerprint_when_it_was_raised(cell: Cell) -> None:
    assert "protocol" not in affecting(cell)
    newer = replace(cell.task.protocol("knn"), version=2)
    task = replace(cell.task, protocols={**cell.task.protocols, "knn": newer})
    assert affecting(replace(cell, task=task)) == {"protocol": 2, **affecting(cell)}
    linear = replace(cell, recipe=replace(cell.recipe, protocol="linear"))
    assert affecting(linear)["protocol"] == 2  # the solver of lambda's sweep


def test_features_take_bytes_by_the_level_of_the_protocol(cell: Cell) -> None:
    samples = sum(map(len, cell.splits.values()))
    assert feature_bytes(cell) == samples * cell.model.dim * 4
    assert feature_bytes(replace(cell, splits={})) == 0


def test_the_target_is_that_of_the_card_unless_the_setup_has_one(cell: Cell) -> None:
    splits = {n: s[:] for n, s in cell.splits.items()}
    for samples in splits.values():
        samples.card = replace(samples.card, target=Target("class"))  # type: ignore[attr-defined]
    known = replace(cell, splits=splits)  # type: ignore[arg-type]
    assert known.declared_target == Target("class")


def test_a_record_of_a_cell_has_no_score(cell: Cell) -> None:
    record = to_record(cell)
    assert (record.main, record.status, record.fingerprint) == (
        None,
        "cannot run",
        cell.fingerprint,
    )


def test_contents_are_of_the_fingerprint_and_in_the_record(cell: Cell) -> None:
    known = replace(
        cell, contents={"train": ContentDigests("a", "b"), "test": ContentDigests("c", "d")}
    )
    assert "content" not in to_record(cell).used
    used = to_record(known).used
    assert used["content_kind"] == "all files"
    assert used["content"] == {n: d.short for n, d in known.contents.items()}
    for changed in (ContentDigests("x", "b"), ContentDigests("a", "x")):
        other = replace(known, contents={**known.contents, "train": changed})
        assert fingerprint(affecting(other)) != fingerprint(affecting(known))
        assert to_record(other).used["content"]["train"] != used["content"]["train"]
    sampled = replace(known, contents={"train": ContentDigests("a", "b", True)})
    assert to_record(sampled).used["content_kind"] == "sample"


def test_a_folder_of_ones_own_is_named_whole(cell: Cell, monkeypatch: pytest.MonkeyPatch) -> None:
    assert (cell.folder, "folder" in to_record(cell).used) == ("", False)
    mine = replace(cell, dataset="folder:city/skybench.toml")
    assert mine.folder == str(Path.cwd() / "city" / "skybench.toml")
    assert to_record(mine).used["folder"] == mine.folder
    monkeypatch.setenv("HOME", "/home/me")
    assert replace(cell, dataset="folder:~/city").folder == "/home/me/city"


def test_demo_data_are_known_by_their_seed_unless_they_are_a_users_own(cell: Cell) -> None:
    assert not known_by_content("eurosat", cell.splits)
    assert not known_by_content("eurosat:/data/copy", cell.splits)
    for samples in cell.splits.values():
        samples.card = replace(samples.card, user_data=True)
    assert known_by_content("folder:/data/city", cell.splits)
    assert not known_by_content("folder", cell.splits)


@pytest.mark.usefixtures("own_cache")
def test_the_record_says_when_the_hash_of_weights_was_remembered(
    cell: Cell, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(file_hash, "SETTLED_NS", -1)
    path = tmp_path / "weights.pth"
    path.write_bytes(b"weights")
    told = []
    for _ in range(2):
        digest = file_hash.file_digest(path)
        known = replace(cell, weights=str(path), weights_id=digest)
        told.append(to_record(known).used.get("weights_hash"))
    assert told == [None, "from memory"]
