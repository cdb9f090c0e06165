"""Hashes of JSON values and of lists of keys."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any


def canonical_json(value: Any) -> str:
    """Return JSON with sorted keys and no white space, so that equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def fingerprint(affecting: Mapping[str, Any]) -> str:
    """Return the sha256 of everything that can change a score, as canonical JSON.

    >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(canonical_json(affecting).encode()).hexdigest()


def fingerprint_keys(keys: Iterable[str]) -> str:
    """Return the sha256 of the sorted keys, one a line; their order does not matter.

    >>> fingerprint_keys(["b", "a"]) == fingerprint_keys(["a", "b"])
    True
    """
    return hashlib.sha256("".join(f"{k}\n" for k in sorted(keys)).encode()).hexdigest()
