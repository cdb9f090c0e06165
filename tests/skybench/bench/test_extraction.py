from __future__ import annotations

import pytest

from skybench.bench import extraction
from skybench.bench.timing import AT_FULL


def test_a_cell_and_its_rerun_are_timed() -> None:
    cell, again = extraction.time_extraction("tiny")
    assert cell.what == "EfficientNet-Lite0, 9 images of 32 pixels: a cell"
    assert (cell.peer, cell.must, cell.holds) == ("bare forward loop", "<= 1.08", AT_FULL)
    assert (again.peer, again.must, again.theirs) == ("the first time", "<= 0.02", cell.ours)


@pytest.mark.parametrize("family", extraction.FAMILIES, ids=lambda family: family.title)
def test_families_are_networks_that_can_be_built(family: extraction.Family) -> None:
    from skybench.core import registry
    from skybench.weights.meta_init import build_on_meta

    plugin = registry.model(family.model)
    model = build_on_meta(lambda: plugin.build(family.variant, **family.arch))
    count = sum(p.numel() for p in model.parameters()) / 1e6
    expected = {"ResNet-50": 23.5, "ViT-B/16": 85.6, "Swin-B": 86.7, "EfficientNet-Lite0": 3.4}
    assert count == pytest.approx(expected[family.title], abs=0.1)
