"""All records of a folder as one JSON list, in constant memory: a file is read at a time."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from skybench.core import SCHEMA, Record
from skybench.records import store

FIELDS = tuple(f.name for f in dataclasses.fields(Record))
# Of a file as `store` writes it: see `_is_whole`.
LINES = tuple(f'{"," if place else "{"}\n "{name}": ' for place, name in enumerate(FIELDS))
SHOWN = ("recipe_name", "content_label")  # of `used`, told by what else is in the folder


def json_list(
    stored: Mapping[str, Record], shown: Mapping[str, Record], results: Path
) -> Iterator[str]:
    """Yield a JSON list with all fields of the records `shown`, in parts.

    stored: records by the names of their files below `results`, as `index.read_brief` gives them.
    shown: the same with the flags and labels that they are to be shown with; equal objects are
    copied from their files as they are. A record that was deleted since is left out.
    """
    opened = "["
    for name, record in shown.items():
        try:
            text = (results / name).read_bytes().decode("utf-8-sig").rstrip()
        except FileNotFoundError:
            continue
        if not (record.schema == SCHEMA and _is_whole(text, record)):
            text = _labelled(text, record)
        elif record is not stored[name]:
            text = _patched(text, record)
        yield opened + text
        opened = ","
    yield "[]" if opened == "[" else "]"


def _is_whole(text: str, record: Record) -> bool:
    """Whether a text has every field of the record, each on a line of its own and in order.

    A line break inside of a JSON string is escaped, so that these lines are no part of one.
    """
    places = [text.find(line) for line in LINES]
    ordered = places[0] == 0 and places == sorted(places)
    return ordered and f'"fingerprint": "{record.fingerprint}"' in text


def _patched(text: str, shown: Record) -> str:
    """A whole text with the flags and labels that are shown; all else stays as it is."""
    start, stop, end = (text.index(LINES[FIELDS.index(n)]) for n in ("flags", "used", "cost"))
    opened = stop + len(LINES[FIELDS.index("used")])
    try:
        used = _used(json.loads(text[opened:end]), shown)
    except ValueError:  # a field that stands twice
        return _labelled(text, shown)
    flags = LINES[FIELDS.index("flags")] + json.dumps(list(shown.flags))
    return "".join([text[:start], flags, text[stop:opened], json.dumps(used), text[end:]])


def _used(stored: dict[str, Any], shown: Record) -> dict[str, Any]:
    labels = {name: shown.used[name] for name in SHOWN if name in shown.used}
    return {name: value for name, value in stored.items() if name not in SHOWN} | labels


def _labelled(text: str, shown: Record) -> str:
    raw = json.loads(text)
    if raw.get("schema") != SCHEMA or not raw.keys() >= {*FIELDS}:
        raw = dataclasses.asdict(store.parse_record(text))  # an older one, or one that was edited
    if raw["fingerprint"] == shown.fingerprint:
        raw["flags"] = list(shown.flags)
        raw["used"] = _used(raw["used"], shown)
    return json.dumps({name: raw[name] for name in FIELDS})
