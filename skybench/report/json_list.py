"""All records of a folder as one JSON list, in constant memory: a file is read at a time."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator, Mapping
from pathlib import Path

from skybench.core import SCHEMA, Record
from skybench.records import store

FIELDS = tuple(f.name for f in dataclasses.fields(Record))
# Of a file as `store` writes it, see `_is_whole`.
LINES = tuple(f'\n "{name}": ' for name in FIELDS)
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
        unchanged = record is stored[name] and _is_whole(text, record)
        yield opened + (text if unchanged else _labelled(text, record))
        opened = ","
    yield "[]" if opened == "[" else "]"


def _is_whole(text: str, record: Record) -> bool:
    """Whether a text has every field of the record, each on a line of its own.

    A line break inside of a JSON string is escaped, so that these lines are no part of one.
    """
    return (
        record.schema == SCHEMA
        and f'"fingerprint": "{record.fingerprint}"' in text
        and all(line in text for line in LINES)
    )


def _labelled(text: str, shown: Record) -> str:
    raw = json.loads(text)
    if raw.get("schema") != SCHEMA or not raw.keys() >= {*FIELDS}:
        raw = dataclasses.asdict(store.parse_record(text))  # an older one, or one that was edited
    if raw["fingerprint"] == shown.fingerprint:
        raw["flags"] = list(shown.flags)
        for name in SHOWN:
            raw["used"].pop(name, None)
        raw["used"] |= {name: shown.used[name] for name in SHOWN if name in shown.used}
    return json.dumps({name: raw[name] for name in FIELDS})
