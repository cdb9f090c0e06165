from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from skybench import bench, bench_boxes
from skybench.core import DataError
from skybench.plan import demo_root


def test_a_reader_is_timed_beside_torchgeo() -> None:
    pytest.importorskip("torchgeo.datasets")
    (speed,) = bench.data(["levir_cd"], demo_root, 0.1)
    assert speed.peer == "torchgeo LEVIRCD"
    assert speed.samples_per_s > 0
    assert speed.ratio == pytest.approx(
        speed.million_values_per_s / speed.peer_million_values_per_s, rel=0.05
    )


def test_what_is_not_there_is_left_out(tmp_path: Path) -> None:
    def root(name: str) -> Path:
        return demo_root(name) if name == "eurosat" else tmp_path / name

    (speed,) = bench.data(["aid", "eurosat"], root, 0.02)
    assert (speed.dataset, speed.peer) == ("eurosat", "")
    with pytest.raises(DataError, match="none of these"):
        bench.data(["aid"], root)


def test_box_metrics_are_timed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(bench_boxes, "IMAGES", 3)
    monkeypatch.setattr(bench_boxes, "ROTATED", (30, 2, 40))
    races = bench_boxes.boxes()
    assert [race.peer.split(" ")[0] for race in races] == [
        "pycocotools", "faster_coco_eval", "shapely", "shapely",
    ]  # fmt: skip
    for race in races:
        there = race.peer.startswith("shapely") or importlib.util.find_spec(race.peer.split(" ")[0])
        assert (race.ratio is not None) == bool(there)
    assert capsys.readouterr().out == ""
