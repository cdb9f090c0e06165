"""What readers look up is remembered within a plan, and nowhere else."""

from __future__ import annotations

from pathlib import Path

import pytest

from skybench.data import once


def test_a_function_is_called_once_for_the_same_arguments_within_the_context() -> None:
    calls: list[int] = []

    @once.once_a_plan
    def double(number: int, *, more: int = 0) -> int:
        calls.append(number)
        return 2 * number + more

    assert [double(1), double(1)] == [2, 2]
    assert calls == [1, 1]  # outside of a plan nothing is remembered
    with once.remembered():
        assert [double(1), double(2), double(1), double(1, more=1)] == [2, 4, 2, 3]
        with once.remembered():
            double(2)
        double(2)
    assert calls == [1, 1, 1, 2, 1]
    with once.remembered():
        double(1)
    assert calls[-1] == 1
    assert len(calls) == 6


def test_an_error_is_raised_again_and_not_remembered() -> None:
    tries: list[int] = []

    @once.once_a_plan
    def fails() -> int:
        tries.append(0)
        if len(tries) == 1:
            raise ValueError("first")
        return 1

    with once.remembered():
        with pytest.raises(ValueError, match="first"):
            fails()
        assert fails() == fails() == 1
    assert len(tries) == 2


def test_a_folder_is_listed_by_what_links_lead_to(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "c.txt").touch()
    (tmp_path / "a").symlink_to("b")
    (tmp_path / "d").symlink_to("c.txt")
    (tmp_path / "gone").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to("loop")
    found = once.list_folder(tmp_path)
    assert [*found] == [("a", "b"), ("c.txt", "d"), ("gone", "loop")]
    assert found.every == ["a", "b", "c.txt", "d", "gone", "loop"]
    with pytest.raises(OSError, match="absent"):
        once.list_folder(tmp_path / "absent")
