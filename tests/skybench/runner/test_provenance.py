"""What a record says of the cost of its run, and of what it ran on."""

from __future__ import annotations

import platform

import torch

from skybench.runner import provenance
from skybench.runner.energy import Meter
from skybench.runner.peak_memory import PeakMemory

TIMING = {"extract_s": 2.0, "extracted": 30, "parameters": 7, "parameters_in_all": 9,
          "gflops": 1.23456}  # fmt: skip


def test_a_rate_is_told_only_where_images_were_extracted() -> None:
    meter, memory = Meter("cpu"), PeakMemory("cpu")
    facts = provenance.cost_facts(TIMING, 3.456, meter, memory)
    assert {n: facts[n] for n in ("parameters", "parameters_in_all", "gflops")} == {
        "parameters": 7, "parameters_in_all": 9, "gflops": 1.235,
    }  # fmt: skip
    assert (facts["images_per_s"], facts["wall_s"]) == (15.0, 3.46)
    cached = provenance.cost_facts({**TIMING, "extracted": 0}, 3.456, meter, memory)
    assert cached["images_per_s"] is None


def test_versions_are_those_that_are_installed() -> None:
    found = provenance.versions()
    assert found["python"] == platform.python_version()
    assert torch.__version__.startswith(found["torch"])
    assert {"skybench", "timm", "gdal", "rasterio"} <= {*found}
