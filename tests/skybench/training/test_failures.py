"""Which error gets into the record when one of several processes fails."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from torch import distributed

from skybench.training import failures
from skybench.training.failures import Failures

CLOSED = "RuntimeError: [gloo/transport/tcp/pair.cc:561] Connection closed by peer"
Make = Callable[..., list[Failures]]


@pytest.fixture
def make(monkeypatch: pytest.MonkeyPatch) -> Iterator[Make]:
    """Makes the errors of some processes, whose abort is noted in `aborted`."""
    monkeypatch.setattr(failures, "LOOK", 0.01)
    made: list[Failures] = []

    def several(size: int, aborted: list[int] | None = None) -> list[Failures]:
        stores: Any = distributed  # whose annotations lack them
        store = stores.HashStore()
        noted = [] if aborted is None else aborted
        made.extend(
            Failures(rank, size, store, lambda r=rank: noted.append(r))  # type: ignore[misc]
            for rank in range(size)
        )
        return made

    yield several
    for one in made:
        one.close()


def fail(helper: Failures, text: str) -> None:
    with pytest.raises(SystemExit) as end:
        helper.tell(text, f"trace of {text}")
    assert end.value.code == 0


def test_what_another_process_said_counts_more_than_that_it_has_gone(make: Make) -> None:
    first, _, third = make(3)
    fail(third, "no memory")
    note, trace = first.tell(CLOSED, "trace of closing")
    assert note == "rank 2: no memory"
    assert trace == "Rank 2:\ntrace of no memory\nRank 0:\ntrace of closing"


def test_who_lost_the_connection_is_not_blamed(make: Make) -> None:
    first, second, third = make(3)
    fail(second, "NCCL error: remote process exited")
    fail(third, "bad image")
    note, trace = first.tell(CLOSED, "t")
    assert note == "rank 2: bad image"
    assert "Rank 1:\ntrace of NCCL" in trace


def test_several_errors_are_all_said(make: Make) -> None:
    first, second, third = make(3)
    fail(third, "bad image")
    fail(second, "bad image")
    assert first.tell("no memory", "t")[0] == "rank 2: bad image; rank 0: no memory"


def test_an_error_of_all_is_said_as_that_of_one_process(make: Make) -> None:
    first, second = make(2)
    fail(second, "the loss became nan")
    assert first.tell("the loss became nan", "t") == ("the loss became nan", "t")


def test_an_error_of_the_first_alone_needs_no_other(make: Make) -> None:
    assert make(2)[0].tell("no memory", "t") == ("no memory", "t")


def test_a_killed_process_says_nothing(make: Make) -> None:
    note, trace = make(2)[0].tell(CLOSED, "t")
    assert note == "another process has ended without a word, perhaps for want of memory"
    assert trace == "t"


def test_what_waits_for_a_failed_process_is_ended(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended, codes = list[int](), list[int]()
    monkeypatch.setattr(failures, "LEAVE", 0.0)
    monkeypatch.setattr(os, "_exit", codes.append)
    first, second, third = make(3, ended)
    assert not ended
    fail(second, "no memory")
    for one in (first, second, third):
        one.watch.join(timeout=20)
    assert sorted(ended) == [0, 1, 2]
    assert codes == [0, 0]  # the helpers, had they not ended by themselves; the first never


def test_a_helper_ends_when_the_first_process_has(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    codes = list[int]()
    monkeypatch.setattr(failures, "LEAVE", 0.0)
    monkeypatch.setattr(os, "_exit", codes.append)
    _, second = make(2)

    class Gone:
        def __getattr__(self, _: str) -> Any:
            raise distributed.DistNetworkError("Connection reset by peer")

    gone: Any = Gone()
    second.store = gone
    second.watch.join(timeout=20)
    assert codes == [0]
    fail(second, CLOSED)  # which nobody hears


def test_a_cell_is_given_up_by_all_or_by_none(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    several = make(2)
    with ThreadPoolExecutor(2) as pool:
        for _ in range(2):  # two cells
            assert [*pool.map(Failures.all_give_up, several)] == [True, True]
    monkeypatch.setattr(failures, "AGREE", 0.05)
    assert not several[1].all_give_up()  # the first one goes on
    monkeypatch.setattr(failures, "AGREE", 60.0)
    fail(several[1], "no")
    several[0].given_up += 1
    assert not several[0].all_give_up()  # and does not wait for one that has failed
