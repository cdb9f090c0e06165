"""Ctrl-C and SIGTERM: what was begun is cleaned up, and the exit code says what happened."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest

from skybench.cli import output
from skybench.cli.interrupts import ended_by_sigterm
from skybench.core.atomic import write_whole

CODES = [(signal.SIGINT, 130), (signal.SIGTERM, 143)]


@pytest.mark.parametrize(("sign", "code"), CODES)
def test_a_command_that_is_stopped_cleans_up_and_says_how_to_go_on(
    sign: signal.Signals, code: int, skybench: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(*_: Any) -> int:
        with write_whole(tmp_path / "a") as temporary:
            temporary.touch()
            assert len([*tmp_path.iterdir()]) == 1
            os.kill(os.getpid(), sign)
        raise AssertionError("it went on")

    # A shell's background job, as this suite may be, begins with SIGINT ignored.
    default = signal.signal(signal.SIGINT, signal.default_int_handler)
    monkeypatch.setattr(output, "run_request", run)
    before = signal.getsignal(signal.SIGTERM)
    try:
        ended = skybench("run", "--model", "rcf")
    finally:
        signal.signal(signal.SIGINT, default)
    assert ended.code == code
    assert "stopped; the same command goes on where it stopped" in ended.err
    assert [*tmp_path.iterdir()] == []
    assert signal.getsignal(signal.SIGTERM) == before


def test_the_second_signal_does_not_stop_the_cleaning() -> None:
    cleaned = []

    def stopped() -> None:
        with ended_by_sigterm():
            try:
                os.kill(os.getpid(), signal.SIGTERM)
            finally:
                os.kill(os.getpid(), signal.SIGTERM)
                cleaned.append(True)

    with pytest.raises(SystemExit):
        stopped()
    assert cleaned == [True]


def test_another_thread_changes_nothing() -> None:
    before, seen = signal.getsignal(signal.SIGTERM), []

    def inside() -> None:
        with ended_by_sigterm():
            seen.append(signal.getsignal(signal.SIGTERM))

    thread = threading.Thread(target=inside)
    thread.start()
    thread.join()
    assert seen == [before]
