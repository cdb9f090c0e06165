from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from skybench.data.subsampling import hold_out, stratified_subset

CASES = settings(max_examples=100, deadline=None, derandomize=True, database=None)
labels = st.lists(st.integers(0, 4), min_size=1, max_size=80)
seeds = st.integers(0, 1000)


def counts(known: list[int], chosen: list[int]) -> dict[int, int]:
    return {c: sum(known[i] == c for i in chosen) for c in set(known)}


@CASES
@given(labels, seeds, st.data())
def test_the_wanted_number_comes_sorted_and_without_doubles(
    known: list[int], seed: int, data: st.DataObject
) -> None:
    wanted = data.draw(st.integers(0, len(known) + 3))
    for given_labels in (known, None):
        chosen = stratified_subset(given_labels, len(known), wanted, seed)
        assert chosen == sorted(set(chosen))
        assert len(chosen) == min(wanted, len(known))
        assert set(chosen) <= set(range(len(known)))
        assert chosen == stratified_subset(given_labels, len(known), wanted, seed)


@CASES
@given(labels, seeds, st.data())
def test_every_class_keeps_a_sample_while_it_can(
    known: list[int], seed: int, data: st.DataObject
) -> None:
    wanted = data.draw(st.integers(1, len(known)))
    kept = {known[i] for i in stratified_subset(known, len(known), wanted, seed)}
    assert len(kept) == min(wanted, len(set(known)))


@CASES
@given(st.lists(st.integers(10, 60), min_size=1, max_size=5), seeds, st.floats(0.3, 1))
def test_the_proportions_of_the_classes_stay(sizes: list[int], seed: int, share: float) -> None:
    known = [c for c, n in enumerate(sizes) for _ in range(n)]
    wanted = round(share * len(known))
    found = counts(known, stratified_subset(known, len(known), wanted, seed))
    for c, n in enumerate(sizes):
        assert abs(found[c] - share * n) < 1.5


@CASES
@given(labels, seeds)
def test_a_larger_fraction_contains_the_smaller(known: list[int], seed: int) -> None:
    before: set[int] = set()
    for wanted in range(len(known) + 1):
        now = set(stratified_subset(known, len(known), wanted, seed))
        assert before <= now
        before = now


def test_another_seed_draws_other_samples() -> None:
    known = [0, 1] * 30
    assert stratified_subset(known, 60, 10, 0) != stratified_subset(known, 60, 10, 1)
    assert stratified_subset(None, 60, 10, 0) != stratified_subset(None, 60, 10, 1)
    assert hold_out(known, 0.2, 0) != hold_out(known, 0.2, 1)


def test_all_samples_keep_their_order() -> None:
    assert stratified_subset([1, 0, 1], 3, 3, 7) == [0, 1, 2]
    assert stratified_subset([1, 0, 1], 3, 9, 7) == [0, 1, 2]


def test_more_classes_than_wanted_gives_one_of_each_of_some() -> None:
    known = [c for c in range(10) for _ in range(5)]
    chosen = stratified_subset(known, 50, 4, 0)
    assert len({known[i] for i in chosen}) == 4


@CASES
@given(labels, seeds, st.floats(0.05, 0.95))
def test_holding_out_splits_every_class(known: list[int], seed: int, share: float) -> None:
    stay, out = hold_out(known, share, seed)
    assert stay == sorted(stay)
    assert out == sorted(out)
    assert sorted(stay + out) == list(range(len(known)))
    assert (stay, out) == hold_out(known, share, seed)
    for c, n in counts(known, list(range(len(known)))).items():
        held = counts(known, out)[c]
        if n == 1:
            assert held == 0
            continue
        assert 1 <= held <= n - 1
        assert abs(held - share * n) <= 1


@CASES
@given(labels, seeds, st.floats(0.05, 0.95))
def test_units_of_one_sample_are_held_out_like_samples(
    known: list[int], seed: int, share: float
) -> None:
    single = [f"image {i}" for i in range(len(known))]
    assert hold_out(known, share, seed, single) == hold_out(known, share, seed)


@CASES
@given(st.lists(st.integers(1, 9), min_size=2, max_size=20), seeds, st.floats(0.05, 0.6))
def test_tiles_of_one_image_stay_together(sizes: list[int], seed: int, share: float) -> None:
    images = [f"image {n}" for n, size in enumerate(sizes) for _ in range(size)]
    stay, out = hold_out([0] * len(images), share, seed, images)
    assert sorted(stay + out) == list(range(len(images)))
    assert {images[i] for i in stay}.isdisjoint(images[i] for i in out)
    assert stay
    assert out
    assert abs(len(out) - share * len(images)) <= max(sizes)


def test_units_are_held_out_of_every_class_that_has_two() -> None:
    known, places = [0, 0, 0, 0, 1, 1, 1], ["a", "a", "b", "b", "c", "c", "c"]
    _, out = hold_out(known, 0.2, 0, places)
    assert out in ([0, 1], [2, 3])


def test_tiles_of_a_single_image_are_held_out_one_by_one() -> None:
    stay, out = hold_out([0] * 10, 0.2, 0, ["the image"] * 10)
    assert (len(stay), len(out)) == (8, 2)
