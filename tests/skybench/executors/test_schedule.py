"""Schedules: order, budget and shards."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from skybench.core import Recipe, registry
from skybench.executors.schedule import (
    Waiting,
    finished_after,
    make_schedule,
    shard_of_cells,
    within_budget,
)
from skybench.plan.cell import Cell
from skybench.plan.request import Request

from ._fates import bundle

TASK = registry.task("scene_classification")
MODELS = [registry.model(name).CARD for name in ("image_stats", "rcf", "imagenet")]


def cell(model: int, dataset: str, number: int = 0, **fields: str) -> Cell:
    recipe = Recipe("knn", label=str(number), train="train", test="test")
    name = f"{model}{dataset}{number}"
    return Cell(MODELS[model], TASK, dataset, recipe, "tiny", "none", "none", True,
                fingerprint=name, **fields)  # type: ignore[arg-type]  # fmt: skip


CELLS = [cell(m, d, n) for m in range(3) for d in ("eurosat", "aid", "resisc45") for n in range(2)]


@pytest.mark.parametrize("parts", [1, 2, 4, 20])
def test_shards_are_all_cells_each_once_whatever_is_done(parts: int) -> None:
    shares = [shard_of_cells(CELLS, f"{i}/{parts}") for i in range(1, parts + 1)]
    assert sorted(c.fingerprint for share in shares for c in share) == sorted(
        c.fingerprint for c in CELLS
    )
    done = [replace(c, status="done") if n % 3 else c for n, c in enumerate(CELLS)]
    again = [shard_of_cells(done, f"{i}/{parts}") for i in range(1, parts + 1)]
    names = [[c.fingerprint for c in share] for share in shares]
    assert [[c.fingerprint for c in share] for share in again] == names
    for share in shares:  # bundles stay whole
        assert len(share) == 2 * len({(c.model.name, c.dataset) for c in share})


def test_shards_take_about_as_long() -> None:
    """Of equal bundles the counts differ by one at most."""
    cells = [cell(m, "eurosat", n) for m in range(3) for n in range(2)]
    assert sorted(len(shard_of_cells(cells, f"{i}/3")) for i in (1, 2, 3)) == [2, 2, 2]
    assert shard_of_cells(cells, "") == cells


def test_the_time_until_the_last_slot_is_through() -> None:
    assert finished_after([5, 4, 3, 3], 2) == 8.0
    assert finished_after([], 3) == 0.0


def test_a_budget_takes_the_shortest_bundles() -> None:
    every = [bundle("m", str(s), seconds=s) for s in (9.0, 5.0, 4.0, 2.0)]
    for budget, slots, expected in (
        (6.0, 1, [4.0, 2.0]), (7.0, 2, [5.0, 4.0, 2.0]), (1.0, 8, []),
        (99.0, 1, [9.0, 5.0, 4.0, 2.0]),
    ):  # fmt: skip
        now, later = within_budget(every, budget, slots)
        assert [b.seconds for b in now] == expected
        assert later + now == every


def test_a_schedule_has_the_longest_first_and_says_what_is_for_later(tmp_path: Path) -> None:
    request = Request(models=["rcf"], results=tmp_path, device="cpu", jobs=2)
    whole = make_schedule(request, [*CELLS, cell(0, "aid", 9, status="done")])
    seconds = [b.seconds or 0.0 for b in whole.bundles]
    assert seconds == sorted(seconds, reverse=True)
    assert {f for b in whole.bundles for f in b.fingerprints} == {c.fingerprint for c in CELLS}
    assert whole.seconds.keys() == {c.fingerprint for c in CELLS}
    assert (whole.slots, whole.guessed, len(whole.cells)) == (2, 18, 19)
    assert "18 cells to run in 9 bundles" in whole.describe(0)
    assert "a guess" in whole.describe(0)
    foreseen = make_schedule(request, CELLS, lambda cell: 1000.0 if cell.dataset == "aid" else None)
    assert {b.dataset for b in foreseen.bundles[:3]} == {"aid"}
    assert (foreseen.bundles[0].seconds, foreseen.guessed) == (2004.0, 12)
    cut = make_schedule(replace(request, budget=seconds[-1] * 1.5, jobs=1), CELLS)
    assert [b.seconds for b in cut.bundles] == seconds[-1:]
    assert len(cut.later) == 8
    assert "Not within 1 min: 16 cells, " in cut.describe(60.0)


def test_a_slot_goes_on_with_its_model_unless_the_run_would_wait() -> None:
    every = [
        bundle("a", "0", seconds=20.0),
        *(bundle("bc"[n % 2], str(n), seconds=10.0) for n in range(1, 9)),
    ]
    waiting = Waiting(every, 4)
    assert waiting.take("", set()) == every[0]  # 20 of 100 s in 4 slots is nearly a fair share
    waiting = Waiting(every, 2)
    assert waiting.take("c", {"b"}) == every[1]
    assert waiting.take("", {"a", "b"}) == every[3]
    waiting.put_back(every[1])
    assert waiting.take("x", {"a", "b", "c"}) == every[1]


def test_every_bundle_is_taken_once() -> None:
    rng = random.Random(0)
    every = [bundle(rng.choice("abcd"), str(n), seconds=rng.random()) for n in range(50)]
    waiting, taken, loaded = Waiting(every, 3), [], ["", "", ""]
    while (found := waiting.take(loaded[0], {*loaded[1:]})) is not None:
        taken.append(found.fingerprints[0])
        loaded = [*loaded[1:], found.model]
    assert sorted(taken) == sorted(b.fingerprints[0] for b in every)
    assert waiting.seconds == pytest.approx(0.0)
