from __future__ import annotations

from pathlib import Path

import pytest

from skybench.bench import readers
from skybench.core import DataError
from skybench.data.demo_folder import demo_root


def test_a_reader_is_timed_beside_torchgeo() -> None:
    pytest.importorskip("torchgeo.datasets")
    (speed,) = readers.bench_readers(["levir_cd"], demo_root, 0.1)
    assert speed.peer == "torchgeo LEVIRCD"
    assert speed.samples_per_s > 0
    assert speed.ratio == pytest.approx(
        speed.million_values_per_s / speed.peer_million_values_per_s, rel=0.05
    )


def test_what_is_not_there_is_left_out(tmp_path: Path) -> None:
    def root(name: str) -> Path:
        return demo_root(name) if name == "eurosat" else tmp_path / name

    (speed,) = readers.bench_readers(["aid", "eurosat"], root, 0.02)
    assert (speed.dataset, speed.peer) == ("eurosat", "")
    with pytest.raises(DataError, match="none of these"):
        readers.bench_readers(["aid"], root)
