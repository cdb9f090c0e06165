from __future__ import annotations

import hashlib

from skybench.core import fingerprint


def test_the_fingerprint_of_keys() -> None:
    assert fingerprint.fingerprint_keys(["b", "a"]) == hashlib.sha256(b"a\nb\n").hexdigest()
    assert fingerprint.fingerprint_keys(iter(["a", "b"])) == fingerprint.fingerprint_keys(
        ("b", "a")
    )
    # Keys are lines: where one ends matters.
    assert fingerprint.fingerprint_keys(["ab", "c"]) != fingerprint.fingerprint_keys(["a", "bc"])
    assert fingerprint.fingerprint_keys(["a", "a"]) != fingerprint.fingerprint_keys(["a"])


def test_equal_values_have_one_canonical_text() -> None:
    text = fingerprint.canonical_json({"b": [1, 2.5], "a": "é"})
    assert text == '{"a":"\\u00e9","b":[1,2.5]}'
    assert fingerprint.fingerprint({"a": "é", "b": [1, 2.5]}) == (
        hashlib.sha256(text.encode()).hexdigest()
    )
