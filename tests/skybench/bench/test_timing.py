from __future__ import annotations

import time

import pytest

from skybench.bench import timing
from skybench.bench.timing import Peer, Timing, time_alone, time_beside


def test_both_run_in_turn_and_parts_are_multiplied(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[str] = []
    ticks = iter([0, 2, 10, 11, 20, 22, 30, 31])
    monkeypatch.setattr(timing, "clock", lambda: lambda: float(next(ticks)))
    peer = Peer("peer", lambda: calls.append("theirs"), 1000)
    found = time_beside("a", lambda: calls.append("ours"), peer, 2, ">= 500")
    assert calls == ["ours", "theirs", "ours", "theirs"]
    assert found == Timing("a", 2.0, "s", "peer", 1000.0, 500.0, ">= 500", "yes")


@pytest.mark.parametrize(
    ("must", "ratio", "holds"),
    [("<= 1.05", 1.1, "no"), ("<= 1.1", 1.1, "yes"), (">= 1", 0.909, "no"), ("", 0.909, "")],
)
def test_a_ratio_is_in_the_direction_of_its_target(must: str, ratio: float, holds: str) -> None:
    found = timing.ratio_row("a", [1.1], "peer", [1.0], must)
    assert (found.ratio, found.holds) == (ratio, holds)


def test_the_median_is_of_the_ratios_of_rounds() -> None:
    found = timing.ratio_row("a", [1, 10, 100], "peer", [2, 30, 100])
    assert (found.ours, found.theirs, found.ratio) == (10, 30, 2)


def test_a_peer_that_is_absent_is_told_with_the_way_to_get_it() -> None:
    peer = timing.installed("no-such-package", lambda: None)
    found = time_beside("a", lambda: None, peer, must="<= 1")
    assert found.peer == "no-such-package is not installed: pip install no-such-package"
    assert (found.theirs, found.ratio, found.holds) == (None, None, "peer absent")
    assert timing.installed("numpy", lambda: None, "its name").name == "its name"


def test_a_value_is_judged_in_its_unit() -> None:
    assert timing.value_row("a", 299.7, "tiles/s", ">= 300").holds == "no"
    assert time_alone("a", lambda: None, 1, "<= 1000").holds == "yes"
    assert time_alone("a", lambda: None, 1).holds == ""


def test_no_verdict_at_another_size_than_the_target_is_of() -> None:
    row = timing.value_row("a", 1, "s", "<= 2")
    assert timing.judged_at_full(row, "full").holds == "yes"
    assert timing.judged_at_full(row, "short").holds == timing.AT_FULL
    assert timing.judged_at_full(row._replace(holds="peer absent"), "short").holds == "peer absent"


def test_cpu_time_is_not_wall_time() -> None:
    assert timing.seconds(lambda: time.sleep(0.05)) < 0.04
