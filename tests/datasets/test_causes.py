"""Why a file cannot be read, in words."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from skybench.core import DataError

causes = importlib.import_module("skybench.datasets._readers.causes")


def raised(action: Any) -> Exception:
    try:
        action()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


def test_no_name_of_an_error_of_python_is_shown(tmp_path: Path) -> None:
    (tmp_path / "a.png").write_text("<html>")
    actions = {
        "it has no 99": lambda: {1: 2}[99],
        "a list in it is too short": lambda: [][1],
        "there is no such file": lambda: (tmp_path / "none").read_text(),
        "it is no image of a known kind": lambda: Image.open(tmp_path / "a.png"),
        "it is no text in UTF-8": lambda: b"\xff".decode(),
        "it is no complete JSON": lambda: json.loads("{"),
        "of another kind than expected": lambda: 1 / 0,
        "Is a directory": lambda: tmp_path.read_text(),
        "day is out of range": lambda: __import__("datetime").date(2019, 2, 30),
        "the words": lambda: (_ for _ in ()).throw(DataError("the words")),
    }
    for text, action in actions.items():
        said = causes.cause_of(raised(action))
        assert text in said
        assert "Error" not in said


@pytest.mark.parametrize("kind", [KeyError, OSError, ValueError, TypeError, RuntimeError])
def test_an_error_without_text_has_a_cause(kind: type[Exception]) -> None:
    assert causes.cause_of(kind()) == causes.OTHER_KIND
