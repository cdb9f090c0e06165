"""Hashes of JSON values and of lists of keys."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any


def canonical(value: Any) -> str:
    """JSON with sorted keys and no white space: equal values give equal text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def fingerprint(affecting: Mapping[str, Any]) -> str:
    """The sha256 of what affects a number.

    >>> fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    True
    """
    return hashlib.sha256(canonical(affecting).encode()).hexdigest()


def fingerprint_keys(keys: Iterable[str]) -> str:
    """The sha256 of the sorted keys, one a line: independent of order, prefix and format.

    >>> fingerprint_keys(["b", "a"]) == fingerprint_keys(["a", "b"])
    True
    """
    return hashlib.sha256("".join(f"{k}\n" for k in sorted(keys)).encode()).hexdigest()
