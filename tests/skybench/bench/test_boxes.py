from __future__ import annotations

import importlib.util

import pytest

from skybench.bench import boxes, detector
from skybench.metrics.horizontal_boxes import coco_ap


@pytest.fixture(autouse=True)
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {"IMAGES": 3, "ROTATED": (30, 2, 40)}.items():
        monkeypatch.setattr(boxes, name, value)
    for name, value in {"IMAGES": 1, "SIDE": 64, "OBJECTS": 2, "WIDTH": 8, "ROUNDS": 1}.items():
        monkeypatch.setattr(detector, name, value)


def test_all_is_timed_beside_what_is_installed(capsys: pytest.CaptureFixture[str]) -> None:
    races = boxes.bench_boxes()
    assert [race.peer.split(" ")[0] for race in races] == [
        *boxes.PEERS, "shapely", "shapely", "torchvision",
    ]  # fmt: skip
    for race in races:
        name = race.peer.split(" ")[0]
        assert race.ours_s >= 0
        assert (
            (race.ratio is not None)
            == bool(importlib.util.find_spec(name))
            != ("not installed" in race.peer)
        )
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("module", boxes.PEERS)
def test_what_is_timed_gives_the_same_scores(module: str) -> None:
    pytest.importorskip(module)
    found, truth = boxes._scenes(5, 60, boxes.CLASSES, boxes._upright)
    run = boxes._evaluation(found, truth, module)
    assert run is not None
    expected = coco_ap(found, truth)
    scores = dict(zip(("ap", "ap50", "ap75"), 100 * run()[:3], strict=True))
    assert scores == pytest.approx(expected, abs=1e-6)
