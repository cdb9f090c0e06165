"""Values and rows as text for a terminal of any width."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from skybench.cli import output, terminal
from skybench.records.labels import RED

ROW = {"task": "scene_classification", "cell": "folder roads [09cb7f] OA knn hr",
       "rcf": "71.20 (s)", "imagenet": "80.10", "95 %": "[-12.10, -5.70]", "p": None,
       "": "loss"}  # fmt: skip


def test_values_are_plain_text() -> None:
    assert terminal.plain({"train": 5, "test": 6}) == "train 5, test 6"
    assert terminal.plain([1, "a", (2, 3)]) == "1, a, 2, 3"
    assert [*map(terminal.plain, (True, False, None, 1.5))] == ["yes", "no", "", "1.5"]


def test_the_narrowest_table_breaks_no_word() -> None:
    assert terminal.narrowest([]) == 0
    assert terminal.narrowest([{"a": "one", "b": "seven words or so"}]) == 3 + 3 + 3 + 5


def test_a_row_that_does_not_fit_is_a_paragraph() -> None:
    assert terminal.paragraph(ROW, 60).splitlines() == [
        "scene_classification  folder roads [09cb7f] OA knn hr",
        "    rcf 71.20 (s); imagenet 80.10; 95 % [-12.10, -5.70];",
        "    loss",
    ]
    assert terminal.paragraph({"a": 1}, 60).strip() == "1"


@pytest.mark.parametrize(("width", "stacked"), [(0, False), (60, True), (200, False)])
def test_rows_are_stacked_only_in_a_terminal_that_is_too_narrow(
    width: int, stacked: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def given() -> Any:
        return width

    monkeypatch.setattr(output, "terminal_width", given)
    output.show_rows([ROW], as_json=False)
    assert ("rcf 71.20 (s); imagenet" in capsys.readouterr().out) == stacked


@pytest.mark.parametrize(
    ("tty", "variables", "wanted"),
    [
        (True, {}, True),
        (False, {}, False),
        (True, {"NO_COLOR": "1"}, False),
        (True, {"NO_COLOR": ""}, True),
        (True, {"TERM": "dumb"}, False),
    ],
)
def test_colours_are_for_terminals_whose_users_want_them(
    tty: bool, variables: dict[str, str], wanted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdout", SimpleNamespace(isatty=lambda: tty))
    for name in ("NO_COLOR", "TERM"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    assert terminal.shows_colour() == wanted


def test_what_was_chosen_on_the_test_is_red_in_rows_too() -> None:
    assert terminal.marked("71.20", ["limited"]) == "71.20 (l)"
    assert not isinstance(terminal.marked("71.20", ["limited"]), terminal.Red)
    text = terminal.marked("71.20", ["limited", RED])
    assert text == "71.20 (lq)"
    assert isinstance(text, terminal.Red)
