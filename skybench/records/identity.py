"""Identity of a record's data: which records are of the same images and labels, by their contents.

Two folders of one name, or two copies of a published set, may differ in content. Their records are
never of one cell, and where several contents are shown together each gets a label.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from skybench.core import Record, SkybenchError, registry
from skybench.core.fingerprint import canonical_json, fingerprint_keys
from skybench.core.record import with_fields

BY_NAMES = "identity by names only"  # the flag of a user's folder without recorded contents
UNKNOWN = "contents unknown"  # the label and the key of records without contents
ROLES = ("test", "train", "val")  # in the order in which a difference is looked for
DIGITS = 6  # of a content's hash in a label


class Part(NamedTuple):
    """A split as it was read: two records that share a part must agree on its content."""

    role: int  # place in ROLES
    split: str
    reading: str  # options and tile, as JSON


Parts = dict[Part, str]  # -> short hash of the content


def content_key(record: Record) -> str:
    """Return what identifies the contents of a record's data, "" for simulated data.

    Records of real data that do not state their contents have the hashes of their splits' names.
    """
    if record.data == "demo":
        return ""
    content = record.used.get("content")
    return canonical_json(content) if content else canonical_json([UNKNOWN, _by_names(record)])


def _states_content(record: Record) -> bool:
    """Whether a record says what it was measured on; one that did not run need not."""
    return record.data == "demo" or not record.came_out or bool(record.used.get("content"))


def _by_names(record: Record) -> dict[str, str]:
    """The short hashes of the names in each split."""
    splits = record.used.get("splits", {})
    return {role: str(splits[role].get("sha256", ""))[:12] for role in ROLES if role in splits}


def place_label(record: Record) -> str:
    """Return the recipe's label, with the label of the content where several are shown."""
    parts = (str(record.recipe.get("label", "")), str(record.used.get("content_label", "")))
    return " ".join(filter(None, parts))


def card_versions(record: Record) -> str:
    """Return the versions of reader, metric and protocol as "dataset 2, task 1"; "" if unknown.

    That of a protocol is left out while it is 1.
    """
    cards, named = record.used.get("cards", {}), ("dataset", "task", "protocol")
    return ", ".join(f"{name} {cards[name]}" for name in named if name in cards)


def with_identity(records: Sequence[Record]) -> list[Record]:
    """Return records with the flag BY_NAMES and content labels, for showing them together.

    A label ("[3fa9c1]", the first digits of a content's hash) is set where records of one dataset
    and column are of several contents.
    """
    places: dict[tuple[str, ...], list[int]] = {}
    for index in sorted(range(len(records)), key=lambda i: records[i].made):
        r = records[index]
        places.setdefault((r.data, r.dataset, str(r.recipe.get("label", ""))), []).append(index)
    labels = dict.fromkeys(range(len(records)), "")
    for indices in places.values():
        labels.update(_content_labels({i: records[i] for i in indices}))
    used: dict[tuple[int, str], dict[str, Any]] = {}  # with these labels, by `id`
    own = frozenset(filter(_is_of_a_user, {record.dataset for record in records}))
    return [_labelled(_flagged(r, own), labels[i], used) for i, r in enumerate(records)]


def _is_of_a_user(dataset: str) -> bool:
    """Whether a dataset is a user's own folder; not where its plugin is gone."""
    with contextlib.suppress(SkybenchError):
        return registry.dataset(dataset).CARD.user_data
    return False


def _flagged(record: Record, own: frozenset[str]) -> Record:
    """The record with BY_NAMES where it is of a user's folder whose contents it does not state."""
    if record.dataset not in own or BY_NAMES in record.flags or _states_content(record):
        return record
    return with_fields(record, flags=[*record.flags, BY_NAMES])


def _labelled(record: Record, label: str, known: dict[tuple[int, str], dict[str, Any]]) -> Record:
    """The record with a content label; known: `used` by `id` and label, filled here."""
    if record.used.get("content_label", "") == label:
        return record
    key = (id(record.used), label)
    if key not in known:
        used = {n: v for n, v in record.used.items() if n != "content_label"}
        known[key] = {**used, **({"content_label": label} if label else {})}
    return with_fields(record, used=known[key])


def _content_labels(records: Mapping[int, Record]) -> Mapping[int, str]:
    """The content labels of the records of one column, by their keys."""
    known: list[Parts] = []
    place: dict[tuple[Any, ...], int] = {}  # of records that share their objects, in `known`
    whose = {i: (id(r.recipe), id(r.used), r.came_out) for i, r in records.items()}
    for index, record in records.items():
        if whose[index] in place:  # it fits where the one before did: nothing there is taken back
            continue
        parts = _parts(record)
        fits = (n for n, other in enumerate(known) if not _differ(parts, other))
        number = place[whose[index]] = next(fits, len(known))
        if number == len(known):
            known.append({})
        known[number].update(parts)
    if len(known) < 2:
        return {}
    names = _names(known)
    return {index: f"[{names[place[own]]}]" for index, own in whose.items()}


def _parts(record: Record) -> Parts:
    """The content of each split, or else its names; none of simulated data or without a run."""
    if record.data == "demo":
        return {}
    reading = canonical_json([record.recipe.get("options", []), record.recipe.get("tile", 0)])
    stated = _states_content(record)
    content = record.used.get("content", {}) if stated else _by_names(record)
    parts = {
        Part(number, str(record.recipe.get(role, role)), reading): content[role]
        for number, role in enumerate(ROLES) if role in content
    }  # fmt: skip
    if record.came_out:  # what is known by names never joins what is known by content
        parts[Part(len(ROLES), "", "")] = "" if stated else UNKNOWN
    return parts


def _differ(one: Parts, other: Parts) -> bool:
    return any(other.get(part, content) != content for part, content in one.items())


def _names(known: Sequence[Parts]) -> dict[int, str]:
    """A name for each content: the hash of the first part in which they differ, or of all."""
    unknown = [UNKNOWN in parts.values() for parts in known]
    shown = {n: UNKNOWN for n in range(len(known)) if unknown[n]} if sum(unknown) == 1 else {}
    others = {n: parts for n, parts in enumerate(known) if n not in shown}
    for part in sorted({part for parts in others.values() for part in parts}):
        found = {n: parts.get(part, "")[:DIGITS] for n, parts in others.items()}
        if all(found.values()) and len({*found.values()}) == len(found):
            return {**shown, **found}
    every = {n: fingerprint_keys(parts.values())[:DIGITS] for n, parts in others.items()}
    return {**shown, **every}
