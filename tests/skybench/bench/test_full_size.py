from __future__ import annotations

from skybench.bench import full_size
from skybench.core import registry


def test_tiles_and_a_reader_are_timed() -> None:
    first, rate, tiles, reader = full_size.time_full_size("tiny")
    assert first.what == "first pass over 1 tiles of a 500 x 450 PNG"
    assert (rate.unit, rate.must) == ("tiles/s", ">= 300")
    assert tiles.peer == "PIL: image and mask a tile"
    assert reader.peer == "rasterio"


def test_torchgeo_is_the_peer_where_the_dataset_names_its_class() -> None:
    named = {
        case.dataset for case in full_size.CASES if hasattr(registry.dataset(case.dataset), "peer")
    }
    assert named == {"levir_cd", "ben_s2", "pastis_mm"}
