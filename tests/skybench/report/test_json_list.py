"""Records as one JSON list: the same as from memory, though files are copied as they are."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from skybench.core import Record
from skybench.records import index, store
from skybench.report.json_list import json_list

pytestmark = pytest.mark.usefixtures("own_cache")


def make(model: str) -> Record:
    recipe = {"protocol": "knn", "label": "", "seeds": 1}
    return Record(
        model, "scene_classification", "aid", recipe, "measured", "real", f"{ord(model):064x}",
        {"oa": 50.0}, used={"sensors": ["hr"], "recipe_name": "old"}, cost={"wall_s": 1.0},
        note='a "note"\n "fingerprint": ', made=store.now(),
    )  # fmt: skip


def test_the_list_has_every_field_with_the_labels_that_are_shown(tmp_path: Path) -> None:
    made = [make("a"), make("b"), make("c")]
    paths = [store.write_record(r, tmp_path) for r in made]
    raw = dataclasses.asdict(made[1])  # of another writer: compact, and without a field
    del raw["traceback"]
    paths[1].write_bytes(b"\xef\xbb\xbf" + json.dumps(raw).encode())
    stored, _ = index.read_brief(tmp_path)
    shown = dict(stored)
    last = [*stored][2]
    used = {"sensors": ["hr"], "content_label": "[123]"}
    shown[last] = replace(stored[last], flags=["chance"], used=used)
    told = json.loads("\n".join(json_list(stored, shown, tmp_path)))
    expected = [*made[:2], replace(made[2], flags=["chance"], used=used)]
    assert told == [dataclasses.asdict(r) for r in expected]
    assert [[*one] for one in told] == [[f.name for f in dataclasses.fields(Record)]] * 3


def test_only_what_may_differ_is_parsed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    odd, flag = 'a", \n "used": {} [\u2028]', 'a", "used": {'
    made = [replace(make(m), note=odd, flags=["chance", flag]) for m in "abc"]
    paths = [store.write_record(r, tmp_path) for r in made]
    twice = paths[1].read_text().replace('\n "cost": ', '\n "used": {},\n "cost": ')
    paths[1].write_text(twice.replace('"sensors"', '"sensors" '))  # a field that stands twice
    stored, _ = index.read_brief(tmp_path)
    used = {"sensors": ["hr"], "recipe_name": "new", "content_label": "[123]"}
    shown = {n: replace(r, flags=[*r.flags, "limited"], used=used) for n, r in stored.items()}
    parsed, real = [], json.loads

    def spy(text: str) -> Any:
        parsed.append(len(text))
        return real(text)

    monkeypatch.setattr(json, "loads", spy)
    parts = [*json_list(stored, shown, tmp_path)]
    monkeypatch.undo()
    assert len(parsed) == 4  # `used` of each, and all of the second file
    assert max(parsed[:1] + parsed[3:]) < 100
    told = json.loads("\n".join(parts))
    labels = {"recipe_name": "new", "content_label": "[123]"}
    expected = [replace(r, flags=["chance", flag, "limited"], used=used) for r in made]
    expected[1] = replace(expected[1], used=labels)
    assert told == [dataclasses.asdict(r) for r in expected]
    assert [[*one] for one in told] == [[f.name for f in dataclasses.fields(Record)]] * 3


def test_a_file_is_held_at_a_time(tmp_path: Path) -> None:
    for model in "ab":
        store.write_record(make(model), tmp_path)
    stored, _ = index.read_brief(tmp_path)
    parts = json_list(stored, stored, tmp_path)
    assert json.loads(next(parts)[1:])["model"] == "a"
    (tmp_path / [*stored][1]).unlink()  # it was not read yet: a record that is gone is left out
    assert [*parts] == ["]"]
    assert json.loads("\n".join(json_list({}, {}, tmp_path))) == []
