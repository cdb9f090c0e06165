from __future__ import annotations

from dataclasses import replace

import pytest

from skybench.core import Target, UsageError
from skybench.plan.cell import Cell, feature_bytes, to_record
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
