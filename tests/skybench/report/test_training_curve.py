"""The curve of a training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from matplotlib.lines import Line2D
from numpy.typing import NDArray
from PIL import Image

from skybench.report import training_curve
from skybench.training.log import LOG, TrainingLog, read_log


def training(folder: Path, steps: int, seed: int = 0, val: bool = True, fall: float = 5) -> Path:
    """The log of a training whose loss falls by exp(fall)."""
    rng = np.random.default_rng(seed)
    with TrainingLog(folder) as told:
        for step in range(1, steps + 1):
            noise = float(np.exp(0.2 * rng.standard_normal()))
            loss = float(np.exp(-fall * step / steps)) * noise
            told.step(step, 1 + step // 50, loss, 1e-3 * (1 - step / steps), samples=4)
            if val and step % 50 == 0:
                told.score(step // 50, 50 + step / steps)
    return folder / LOG


def values(line: Line2D) -> NDArray[np.float64]:
    return np.asarray(line.get_ydata(), np.float64)


def test_the_curve_of_three_seeds_has_their_lines(tmp_path: Path) -> None:
    logs = [read_log(training(tmp_path / str(seed), 400, seed)) for seed in range(3)]
    figure = training_curve.training_figure(logs)
    assert figure is not None
    loss, scores, rate = figure.axes
    legend = loss.get_legend()
    assert legend is not None
    assert [t.get_text() for t in legend.get_texts()] == ["seed 0", "seed 1", "seed 2"]
    raw, mean = loss.lines[:2]
    assert np.allclose(values(raw), [r["loss"] for r in logs[0] if "loss" in r])
    rough, fine = (np.diff(np.log(values(x))).std() for x in (raw, mean))
    assert fine < 0.2 * rough
    assert [mean.get_linewidth() > raw.get_linewidth(), loss.get_yscale()] == [True, "log"]
    assert [len(axes.lines) for axes in (loss, scores, rate)] == [6, 3, 3]
    assert np.asarray(scores.lines[0].get_xdata()).tolist() == [50 * i for i in range(1, 9)]
    assert values(rate.lines[0])[-1] == 0


def test_the_curve_of_one_short_training_is_plain(tmp_path: Path) -> None:
    figure = training_curve.training_figure([read_log(training(tmp_path, 5, val=False, fall=1))])
    assert figure is not None
    loss, _ = figure.axes
    assert loss.get_legend() is None
    assert loss.get_yscale() == "linear"
    assert loss.lines[1].get_marker() == "o"


def test_where_a_training_was_resumed_is_marked(tmp_path: Path) -> None:
    path = training(tmp_path, 60)
    with TrainingLog(tmp_path) as told:
        told.resume(50)
        told.step(51, 2, 0.01, 1e-4, samples=4)
    figure = training_curve.training_figure([read_log(path)])
    assert figure is not None
    marked = [x for x in figure.axes[0].lines if x.get_label() == "seed 0 resumed"]
    assert [np.asarray(x.get_xdata())[0] for x in marked] == [50]


def test_the_curve_becomes_a_png(tmp_path: Path) -> None:
    out = tmp_path / "new" / "curve.png"
    training_curve.write_training_curve([tmp_path / "absent.jsonl"], out)
    assert not out.exists()
    training_curve.write_training_curve(training(tmp_path, 100), out, "a model on a dataset")
    with Image.open(out) as image:
        assert image.size[0] == 1200
        assert len(image.convert("L").getcolors() or []) > 20
