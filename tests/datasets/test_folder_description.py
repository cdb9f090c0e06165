"""The skybench.toml of a user's own folder: right, or a sentence."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from skybench.core import DataError

_folder = importlib.import_module("skybench.datasets._readers.folder")
describe = _folder.describe_folder

KEYS = st.sampled_from([*_folder.KNOWN, "clases", "name"])
LEAVES = st.one_of(
    st.booleans(), st.integers(), st.floats(), st.text(max_size=8),
    st.sampled_from(["a", "../x", "/etc", ".", "train", "uint8"]),
)  # fmt: skip
VALUES = st.recursive(
    LEAVES,
    lambda v: st.one_of(
        st.lists(v, max_size=4), st.dictionaries(st.text(min_size=1, max_size=6), v, max_size=4)
    ),
    max_leaves=8,
)


def written(root: Path, text: str) -> Path:
    (root / "skybench.toml").write_text(text, encoding="utf-8")
    return root


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('change = "yes"', "change is 'yes'; expected true or false"),
        ("classes = 3", "classes is 3; expected a list of texts"),
        ('classes = ["a", "a"]', "'a' stands twice in classes"),
        ("[classes]\na = [1, 2, 3]\nb = [1, 2, 3]", "stands twice in classes"),
        ("[classes]\na = 1\nb = [1, 2, 3]", "expected a whole number where masks hold numbers"),
        ("[classes]\na = [1, 2, 3]\nb = 1", "1 is no colour"),
        ("[classes]\na = true", "True; expected a whole number"),
        ("ignore = [[0, 0, 0]]", r"\[0, 0, 0\]; expected a whole number"),
        ("ignore = [0]\n[classes]\na = [1, 2, 3]", "0 is no colour"),
        ("ignore = [1]\n[classes]\na = 1", "1 stands for a class, and `ignore` leaves it out"),
        ("ignore = [[1, 2, 3]]\n[classes]\na = [1, 2, 3]", "stands for a class"),
        ('boxes = "../x.json"', "leads out of the folder"),
        ('masks = "/etc/passwd"', "leads out of the folder"),
        ('before = "A"', "`before` and `after` belong together"),
        ("splits = 1", "splits is 1; expected a table"),
        ("[splits]\ntrain = []", "split 'train' lists nothing"),
        ("root = 1", "root is 1; expected a text"),
        ("a = " + "[" * 5000, "no usable description"),
    ],
)
def test_each_wrong_setting_is_named(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        describe(written(tmp_path, text))
    assert str(tmp_path / "skybench.toml") in str(caught.value)


@pytest.mark.parametrize("encoding", ["utf-16", "latin-1"])
def test_other_encodings_are_refused_in_words(tmp_path: Path, encoding: str) -> None:
    (tmp_path / "skybench.toml").write_text('classes = ["Gebäude"]', encoding=encoding)
    with pytest.raises(DataError, match=r"skybench\.toml .*: it is no text in UTF-8; save it as"):
        describe(tmp_path)


def test_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    assert describe(written(tmp_path, '\ufeffclasses = ["a"]')).classes == ("a",)


def test_numbers_and_colours_stand_for_classes(tmp_path: Path) -> None:
    about = describe(written(tmp_path, "ignore = [0]\n[classes]\nb = 20\na = 10\n"))
    assert (about.classes, about.values, about.ignored_ids) == (("b", "a"), (20, 10), (0,))
    about = describe(written(tmp_path, "ignore = [[9, 9, 9]]\n[classes]\na = [0, 0, 0]\n"))
    assert (about.colours, about.ignored_colours) == (((0, 0, 0),), ((9, 9, 9),))


def _toml(value: Any) -> str:
    if isinstance(value, dict):
        inner = ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items())
        return "{" + inner + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, float):
        return repr(value).replace("e", "e" if "." in repr(value) else ".0e")
    return json.dumps(value)


@settings(max_examples=100, derandomize=True, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(st.dictionaries(KEYS, VALUES, max_size=5))
def test_any_table_is_a_description_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, table: dict[str, Any]
) -> None:
    root = tmp_path_factory.getbasetemp()
    text = "\n".join(f"{key} = {_toml(value)}" for key, value in table.items())
    assert _is_described(written(root, text)) in (True, False)


@settings(max_examples=60, derandomize=True, deadline=None,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(st.binary(max_size=60))
def test_any_bytes_are_a_description_or_an_error(
    tmp_path_factory: pytest.TempPathFactory, data: bytes
) -> None:
    root = tmp_path_factory.getbasetemp()
    (root / "skybench.toml").write_bytes(data)
    assert _is_described(root) in (True, False)


def _is_described(root: Path) -> bool:
    try:
        about = describe(root)
    except DataError:
        return False
    assert len(about.colours) in (0, len(about.classes))
    assert not (about.colours and about.values)
    return True
