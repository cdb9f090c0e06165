from __future__ import annotations

from skybench.bench.timing import time_beside


def test_both_run_in_turn_and_parts_are_multiplied() -> None:
    calls: list[str] = []
    found = time_beside(
        "a", lambda: calls.append("ours"), "peer", lambda: calls.append("theirs"), 2, 1000
    )
    assert calls == ["ours", "theirs", "ours", "theirs"]
    assert (found.what, found.peer) == ("a", "peer")
    assert found.peer_s is not None
    assert found.ratio is not None


def test_without_a_peer_there_is_no_ratio() -> None:
    found = time_beside("a", lambda: None, "peer", None)
    assert (found.peer, found.peer_s, found.ratio) == ("peer (not installed)", None, None)
