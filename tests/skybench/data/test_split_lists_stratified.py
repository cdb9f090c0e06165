"""Stratified splits: the shares of every class, the same on every machine."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from skybench.data.split_lists import stratified_split


@given(
    st.dictionaries(st.text(max_size=8), st.integers(0, 4), max_size=80),
    st.sampled_from([(0.2, 0.8), (0.1, 0.9), (0.6, 0.2, 0.2)]),
    st.integers(0, 3),
)
def test_a_stratified_split_parts_every_class(
    labels: dict[str, int], shares: tuple[float, ...], seed: int
) -> None:
    parts = stratified_split(labels, shares, seed)
    assert sorted(key for part in parts for key in part) == sorted(labels)
    backwards = dict(reversed(labels.items()))
    assert stratified_split(backwards, shares, seed) == parts
    for part, share in zip(parts, shares, strict=True):
        for label in set(labels.values()):
            of_class = [key for key in labels if labels[key] == label]
            assert abs(sum(key in of_class for key in part) - share * len(of_class)) <= 1


def test_the_seed_changes_a_stratified_split() -> None:
    labels = {str(i): i % 3 for i in range(60)}
    assert stratified_split(labels, (0.5, 0.5), 0) != stratified_split(labels, (0.5, 0.5), 1)


def test_a_stratified_split_is_the_same_on_every_machine() -> None:
    labels = {f"{i}.jpg": i % 2 for i in range(10)}
    assert stratified_split(labels, (0.4, 0.6), 0)[0] == ["2.jpg", "3.jpg", "8.jpg", "9.jpg"]
