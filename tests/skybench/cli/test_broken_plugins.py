"""Commands work beside a plugin of another package that cannot be imported, and name it."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from skybench.cli import app
from tests.skybench._plugins import installed

LINE = (
    "skybench: cannot use the model 'lost' of the package toys (no_such_package.lost): "
    "ModuleNotFoundError: No module named 'no_such_package'"
)


@pytest.fixture(autouse=True)
def _broken(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with installed(monkeypatch, baselines={"lost": "no_such_package.lost"}):
        yield


def call(monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["skybench", *words])
    try:
        app.main()
    except SystemExit as end:
        return int(end.code or 0)
    return 0


@pytest.mark.parametrize(
    "words",
    [
        ("list", "models", "--json"),
        ("doctor", "--json"),
        ("run", "--model", "all", "--task", "scene_classification", "--dataset", "eurosat",
         "--data", "demo", "--dry-run", "--json"),
    ],
)  # fmt: skip
def test_it_is_named_on_one_line_of_stderr(
    words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert call(monkeypatch, *words) == 0
    shown = capsys.readouterr()
    assert shown.err.splitlines() == [LINE]
    found = json.loads(shown.out)
    if words[0] == "doctor":
        assert found["broken plugins"] == [LINE.removeprefix("skybench: cannot use the ")]
    else:
        assert len(found) > 20
        assert "lost" not in {row.get("name", row.get("model")) for row in found}


def test_its_own_name_says_why_it_cannot_be_used(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ("run", "--model", "lost", "--data", "demo", "--results", str(tmp_path))
    assert call(monkeypatch, *words) == 2
    said = capsys.readouterr().err
    assert "Cannot use model 'lost' of the package toys" in said
    assert said.count("no_such_package.lost") == 1
