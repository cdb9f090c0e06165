from __future__ import annotations

import pytest

from skybench.bench import boxes
from skybench.metrics.horizontal_boxes import coco_ap


def test_all_is_timed_beside_what_is_installed(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [*boxes.time_boxes("tiny")]
    assert [row.peer.split(" ")[0].rstrip(":") for row in rows] == [
        *boxes.PEERS, "shapely", "shapely",
    ]  # fmt: skip
    for row in rows:
        assert (row.ratio is None) == ("is not installed: pip install" in row.peer)
    assert [row.must for row in rows] == ["", ">= 14", "", "", ">= 60"]
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("package", boxes.PEERS)
def test_what_is_timed_gives_the_same_scores(package: str) -> None:
    pytest.importorskip(package.replace("-", "_"))
    found, truth = boxes.made_scenes(5, 60, boxes.CLASSES, boxes.upright_boxes)
    run = boxes._evaluation(found, truth, package)
    expected = coco_ap(found, truth)
    scores = dict(zip(("ap", "ap50", "ap75"), 100 * run()[:3], strict=True))
    assert scores == pytest.approx(expected, abs=1e-6)
