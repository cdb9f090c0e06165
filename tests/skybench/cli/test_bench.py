"""The commands of `skybench bench`."""

from __future__ import annotations

from typing import Any

import pytest

from skybench.bench.groups import GROUPS


def test_readers_are_timed(skybench: Any) -> None:
    (row,) = skybench("bench", "data", "eurosat", "--seconds", "0.1", "--json").json
    assert row["dataset"] == "eurosat"
    assert row["samples_per_s"] > 0
    missing = skybench("bench", "data", "eurosat", "--data", "nowhere")
    assert missing.code == 2
    assert "none of these datasets was found" in missing.err


def test_groups_are_listed(skybench: Any) -> None:
    assert [row["group"] for row in skybench("bench", "list", "--json").json] == [*GROUPS]


@pytest.fixture
def light(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every group gives one row, of the form it is asked for."""
    from skybench.bench import timing

    for group in GROUPS.values():
        module, _, function = group.function.partition(":")
        monkeypatch.setattr(
            f"skybench.bench.{module}.{function}",
            lambda form, name=module: [timing.ratio_row(f"{name} {form}", [1.0], "x", [], "<= 1")],
        )


@pytest.mark.usefixtures("light")
def test_words_that_are_no_command_are_groups_and_none_is_all(skybench: Any) -> None:
    def of(*words: str) -> list[str]:
        return [row["group"] for row in skybench("bench", *words, "--json").json["rows"]]

    assert of() == [*GROUPS]
    assert of("boxes,heads") == ["heads", "boxes"]
    assert of("boxes", "--size", "full") == ["boxes"]
    assert skybench("bench", "boxes", "--size", "huge").code == 2
    wrong = skybench("bench", "boxs")
    assert (wrong.code, "Did you mean 'boxes'" in wrong.err) == (2, True)
    assert "statistics" in skybench("bench", "--help").out
