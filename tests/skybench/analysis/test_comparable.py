"""Which records may be set side by side, and which cells of a table are marked."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from skybench.analysis import comparable, paired_tests
from skybench.analysis.remembered_tests import RememberedTests
from skybench.analysis.replicates import load_replicates
from skybench.core import Record, UsageError
from skybench.report import tables

Made = Callable[..., Record]
RNG = np.random.default_rng(0)
GOOD = RNG.random(200) < 0.9
CLOSE = np.where(np.arange(200) < 4, ~GOOD, GOOD)
POOR = RNG.random(200) < 0.5


def lead(records: list[Record], results: Path | None) -> comparable.Leaders:
    tests = RememberedTests(results) if results else None
    return comparable.leaders(dict(enumerate(records)), tests)


def test_models_that_a_paired_test_does_not_tell_apart_share_the_best_mark(
    made: Made, tmp_path: Path
) -> None:
    found = lead([made("a", GOOD), made("b", CLOSE), made("c", POOR)], tmp_path)
    assert found == comparable.Leaders(frozenset({0, 1}), frozenset({2}), True, False)


def test_a_small_difference_that_is_always_there_is_told_though_intervals_overlap(
    made: Made, tmp_path: Path
) -> None:
    lower = GOOD & (np.arange(200) >= 20)  # wrong on images that the other has right, never else
    records = [made("a", GOOD), made("b", lower)]
    assert lead(records, tmp_path) == comparable.Leaders(
        frozenset({0}), frozenset({1}), True, False
    )
    assert lead(records, None) == comparable.Leaders(frozenset({0, 1}), frozenset(), False, True)


def test_without_predictions_intervals_decide(made: Made, tmp_path: Path) -> None:
    records = [made(m, r, keep=False) for m, r in (("a", GOOD), ("b", CLOSE), ("c", POOR))]
    found = lead(records, tmp_path)
    assert found == comparable.Leaders(frozenset({0, 1}), frozenset({2}), False, True)
    bare = [replace(r, intervals={}) for r in records]
    assert lead(bare, tmp_path).best == {int(np.argmax([r.scores["oa"] for r in bare]))}


def test_many_comparisons_are_corrected_for(made: Made, tmp_path: Path) -> None:
    lower = GOOD & ~np.isin(np.arange(200), np.flatnonzero(GOOD)[:7])
    pair = [made("a", GOOD), made("b", lower)]
    p = paired_tests.paired_difference(*(load_replicates(r, tmp_path) for r in pair)).p
    assert 0.05 / 20 < p < 0.05
    assert lead(pair, tmp_path).best == {0}
    many = [*pair, *(made(f"c{i}", lower) for i in range(20))]
    assert lead(many, tmp_path).best == set(range(22))


@pytest.mark.parametrize(
    "changes",
    [{"data": "demo"}, {"recipe": {"limit": 50}}, {"recipe": {"label": "50 %"}},
     {"used": {"sensors": ["s2"]}}, {"flags": ["random weights"]}, {"flags": ["tiny variant"]}],
)  # fmt: skip
def test_what_is_not_comparable_gets_no_mark_beside(
    changes: dict[str, Any], made: Made, tmp_path: Path
) -> None:
    records = [made("a", POOR), made("b", GOOD, **changes)]
    found = lead(records, tmp_path)
    assert found[:4] == comparable.Leaders(frozenset(), frozenset(), False, False)[:4]
    assert dict(found.unmarked) == ({1: ", ".join(changes["flags"])} if "flags" in changes else {})


def test_a_row_at_chance_is_never_marked(made: Made, tmp_path: Path) -> None:
    records = [made("a", POOR), made("b", CLOSE), made("c", GOOD, flags=["chance"])]
    found = lead(records, tmp_path)
    assert found.best == {1}
    assert found.second == {0}
    assert dict(found.unmarked) == {2: "not above chance"}
    chance = [replace(r, flags=["chance"]) for r in records]
    assert lead(chance, tmp_path).best == lead(chance, tmp_path).second == set()
    assert lead([chance[0], records[1]], tmp_path).best == {1}


def test_a_row_that_was_chosen_on_the_test_is_never_marked_and_ties_with_none(
    made: Made, tmp_path: Path
) -> None:
    records = [made("a", POOR), made("b", CLOSE), made("c", GOOD, flags=["chosen on the test"])]
    found = lead(records, tmp_path)
    assert found.best == {1}
    assert found.second == {0}
    assert dict(found.unmarked) == {2: "chosen on the test"}


def test_rows_of_too_few_images_are_never_marked(made: Made, tmp_path: Path) -> None:
    few = {"used": {"no_interval": "3 independent test images: no interval (fewer than 5)"}}
    records = [made(m, [True, right, True], **few) for m, right in (("a", True), ("b", False))]
    found = lead(records, tmp_path)
    assert not found.best
    assert not found.second
    assert "3 independent test images" in found.unmarked[0]
    assert "3 independent test images" in tables.render_tables(records, "md", tmp_path)


def test_a_table_shows_the_marks_in_the_cells_of_the_scores(made: Made, tmp_path: Path) -> None:
    records = [made("a", GOOD), made("b", CLOSE), made("c", POOR)]
    (grid,) = tables.record_grids(records, tmp_path)
    assert "settings" not in grid.header
    cells = dict(zip((row[0] for row in grid.rows), grid.shown("<{}>", "({})"), strict=True))
    assert cells["a"][-1].startswith("<")
    assert cells["b"][-1].startswith("<")
    assert cells["c"][-1].startswith("(")
    assert all(cell[0] not in "<(" for row in cells.values() for cell in row[:-1])
    text = tables.render_tables(records, "md", tmp_path)
    assert f"**{records[0].scores['oa']:.2f}" in text
    assert "paired tests over test images, Holm" in text
    assert "overlapping interval" in tables.render_tables(records, "md")
    assert "Marked as best" not in tables.render_tables(records[:1], "md", tmp_path)


def test_a_table_of_kept_draws_imports_nothing_heavy(made: Made, tmp_path: Path) -> None:
    for model, right in (("imagenet", GOOD), ("rcf", POOR)):
        load_replicates(made(model, right), tmp_path)
    code = (
        "import sys; from pathlib import Path; "
        "from skybench.records import store as records; from skybench.report import tables\n"
        "found, _ = records.read_records(Path(sys.argv[1]))\n"
        "print(tables.render_tables(found, 'text', Path(sys.argv[1])))\n"
        "assert not {'torch', 'pandas', 'scipy.stats', 'matplotlib'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-P", "-c", code, str(tmp_path)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "paired tests" in done.stdout


def test_the_newest_record_of_a_model_is_taken_on_every_ground(made: Made) -> None:
    old = made("imagenet", GOOD)
    new = replace(old, made="2026-02-01T00:00:00+00:00")
    demo = made("imagenet", GOOD, data="demo")
    failed = replace(old, status="failed", scores={}, made="2026-03-01T00:00:00+00:00")
    found = comparable.records_of_model([new, demo, old, failed], "imagenet")
    assert {g.data: r for g, r in found.items()} == {"real": new, "demo": demo}


def test_random_weights_are_taken_only_where_they_are_named(made: Made) -> None:
    trained = made("imagenet", GOOD)
    random = made("imagenet", POOR, used={"weights": "random"})
    assert list(comparable.records_of_model([trained, random], "imagenet").values()) == [trained]
    assert list(comparable.records_of_model([trained, random], "imagenet/random").values()) == [
        random
    ]
    with pytest.raises(UsageError, match="There are imagenet/full/random"):
        comparable.records_of_model([random], "imagenet")


def test_a_model_with_several_variants_must_be_told_apart(made: Made) -> None:
    records = [made("galileo", GOOD, used={"variant": v}) for v in ("nano", "base")]
    with pytest.raises(UsageError, match="name galileo/nano/abababab or galileo/base/abababab"):
        comparable.records_of_model(records, "galileo")
    assert list(comparable.records_of_model(records, "galileo/base").values()) == [records[1]]


def test_an_unknown_model_is_named_with_the_nearest(made: Made) -> None:
    with pytest.raises(UsageError, match="Did you mean 'imagenet'"):
        comparable.records_of_model([made("rcf", GOOD)], "imagnet")
    with pytest.raises(UsageError, match="Nothing of imagenet was measured"):
        comparable.records_of_model([made("rcf", GOOD)], "imagenet")


def test_a_mean_is_over_one_kind_of_cells(made: Made) -> None:
    kinds: tuple[dict[str, Any], ...] = (
        {"data": "demo"},
        {},
        {"recipe": {"fraction": 0.1}},
        {"recipe": {"limit": 5}},
    )
    demo, whole, tenth, limited = (comparable.comparison_key(made("a", GOOD, **k)) for k in kinds)
    assert comparable.keep_one_kind([demo, tenth, whole, limited]) == [whole]
    assert comparable.keep_one_kind([demo, tenth, limited]) == [tenth, limited]
    assert comparable.keep_one_kind([demo]) == [demo]
    assert comparable.keep_one_kind([]) == []


def test_a_record_from_before_a_field_stands_beside_one_with_its_usual_value(made: Made) -> None:
    old = comparable.comparison_key(made("a", GOOD))
    usual = {"iterations": 0, "augment": [], "views": [], "precision": ""}
    assert comparable.comparison_key(made("b", GOOD, recipe=usual)) == old
    assert comparable.comparison_key(made("b", GOOD, recipe={**usual, "iterations": 5})) != old


def test_recipes_are_told_apart_by_what_they_do_not_by_their_names(made: Made) -> None:
    old = comparable.comparison_key(made("a", GOOD))
    for told in ({"name": "pangaea"}, {"source": "another text"}):
        assert comparable.comparison_key(made("b", GOOD, recipe=told)) == old
    for other in ({"optimizer": "adam"}, {"clip": 35.0}, {"state": "best-on-val"}, {"mixup": 0.8}):
        assert comparable.comparison_key(made("b", GOOD, recipe=other)) != old


def test_models_that_are_not_ranked_are_named_with_the_reason(made: Made) -> None:
    trained, random = made("imagenet", GOOD), made("rcf", POOR, used={"weights": "random"})
    failed = replace(made("galileo", GOOD), status="failed", scores={}, note="no memory.")
    note = comparable.unranked("First.", [trained, random, failed], ["imagenet/full"])
    assert note == (
        "First. Not ranked: galileo (failed: no memory); "
        "rcf (only rcf/full/random, to be named so)."
    )
    assert comparable.unranked("", [trained], ["imagenet"]) == ""
