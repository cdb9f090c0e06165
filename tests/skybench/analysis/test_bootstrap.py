from __future__ import annotations

import numpy as np
import pytest

from skybench.analysis import bootstrap


def named(units: int, samples: int = 1) -> list[str]:
    return [f"u{i // samples:04}" for i in range(units * samples)]


def test_every_resampling_draws_as_many_units_as_there_are() -> None:
    for units in (1, 7, 49, 1000):
        drawn = np.concatenate(list(bootstrap.resamplings(named(units))))
        assert drawn.shape == (bootstrap.RESAMPLES, units)
        assert drawn.dtype == np.float64
        assert (drawn.sum(1) == units).all()
        assert (drawn >= 0).all()
        assert (drawn == drawn.round()).all()


def test_each_unit_is_drawn_as_often_as_when_drawing_with_replacement() -> None:
    drawn = np.concatenate(list(bootstrap.resamplings(named(20), resamples=20_000)))
    np.testing.assert_allclose(drawn.mean(0), 1, atol=0.05)
    np.testing.assert_allclose(drawn.var(0), 1 - 1 / 20, atol=0.06)


def test_resamplings_follow_the_seed() -> None:
    (first,), (again,), (other,) = (list(bootstrap.resamplings(named(9), s)) for s in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert (first != other).any()


def test_the_samples_of_a_unit_are_drawn_together() -> None:
    (drawn,) = bootstrap.resamplings(["b", "a", "b", "a", "c"])
    np.testing.assert_array_equal(drawn[:, 0], drawn[:, 2])
    np.testing.assert_array_equal(drawn[:, 1], drawn[:, 3])
    assert (drawn[:, [0, 1, 4]].sum(1) == 3).all()


def test_samples_in_another_order_get_the_same_weights() -> None:
    groups = ["b", "a", "b", "d", "c"]
    order = [3, 1, 4, 0, 2]
    (first,), (turned,) = (bootstrap.resamplings(g) for g in (groups, [groups[i] for i in order]))
    np.testing.assert_array_equal(first[:, order], turned)


def test_the_size_of_a_block_changes_no_weight(monkeypatch: pytest.MonkeyPatch) -> None:
    (whole,), (omitted,) = bootstrap.resamplings(named(30)), bootstrap.omissions(named(30))
    monkeypatch.setattr(bootstrap, "BLOCK", 30 * 64)
    blocks = list(bootstrap.resamplings(named(30)))
    assert [len(b) for b in blocks] == [64] * 15 + [40]
    np.testing.assert_array_equal(np.concatenate(blocks), whole)
    monkeypatch.setattr(bootstrap, "BLOCK", 30 * 8)
    np.testing.assert_array_equal(np.concatenate(list(bootstrap.omissions(named(30)))), omitted)


def test_each_unit_is_left_out_once() -> None:
    (omitted,) = bootstrap.omissions(["b", "a", "b", "c"])
    np.testing.assert_array_equal(omitted, [[1, 0, 1, 1], [0, 1, 0, 1], [1, 1, 1, 0]])


def test_of_many_units_parts_of_nearly_the_same_size_are_left_out() -> None:
    omitted = np.concatenate(list(bootstrap.omissions(named(130, samples=2))))
    assert omitted.shape == (bootstrap.PARTS, 260)
    gone = 1 - omitted
    np.testing.assert_array_equal(gone.sum(0), 1)  # each once
    assert set(gone.sum(1)) == {6, 8}  # three or four units of two samples
    np.testing.assert_array_equal(gone[:, ::2], gone[:, 1::2])


def test_the_spread_over_seeds() -> None:
    assert bootstrap.seed_deviation([71.0]) == 0.0
    assert bootstrap.seed_deviation([70.0, 72.0, 74.0]) == pytest.approx(2.0)
