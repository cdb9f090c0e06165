"""The careful script is a thin way to `skybench.bench.careful`."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import Any

import pytest

SCRIPT = str(Path(__file__).parents[2] / "benchmarks" / "careful_script.py")


def test_it_prints_a_line_for_each_fraction(capsys: pytest.CaptureFixture[str]) -> None:
    script = runpy.run_path(SCRIPT)

    def read(root: Path, network: Any, size: int) -> Any:
        assert (root, network, size) == (Path("images"), "network", 128)
        return "features"

    def made(splits: Any, fractions: Any, seeds: int, _: Any) -> Any:
        assert splits == "features"
        return {(f, s): 100 * f + s for f in fractions for s in range(seeds)}

    names = script["main"].__globals__
    names.update(careful_features=read, careful_scores=made, plain_network=lambda: "network")
    script["main"]("images")
    assert capsys.readouterr().out.splitlines() == [
        "  10%  12.00 +- 1.41", "  50%  52.00 +- 1.41", " 100%  102.00 +- 1.41",
    ]  # fmt: skip
