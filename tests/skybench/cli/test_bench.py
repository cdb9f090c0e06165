"""The commands of `skybench bench`."""

from __future__ import annotations

from typing import Any


def test_readers_are_timed(skybench: Any) -> None:
    (row,) = skybench("bench", "data", "eurosat", "--seconds", "0.1", "--json").json
    assert row["dataset"] == "eurosat"
    assert row["samples_per_s"] > 0
    missing = skybench("bench", "data", "eurosat", "--data", "nowhere")
    assert missing.code == 2
    assert "none of these datasets was found" in missing.err
