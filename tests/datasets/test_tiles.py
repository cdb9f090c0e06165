from __future__ import annotations

import importlib
import itertools
import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from skybench.core import UINT8, DataError, DatasetCard, Sensor
from skybench.core.dataset import Split

_tiles = importlib.import_module("skybench.datasets._readers.tiles")
Pair, Tiles, starts = _tiles.ImageMask, _tiles.MaskTiles, _tiles.tile_starts
Legend = importlib.import_module("skybench.datasets._readers.raster").Legend
CARD = DatasetCard(
    name="toy",
    title="Toy",
    tasks=("semantic_segmentation",),
    sensors=(Sensor("hr", ("red", "green", "blue"), 0, UINT8),),
    classes=("a", "b"),
    splits={},
    source="ours",
    licence="ours",
    obtain="",
    layout="",
)
SPLIT = Split("train", "ours: toy", "", False)


@given(st.integers(1, 4000), st.integers(1, 1000), st.data())
def test_tiles_cover_every_pixel_and_lie_inside(
    length: int, side: int, data: st.DataObject
) -> None:
    stride = data.draw(st.integers(1, side))
    first = starts(length, side, stride)
    assert len(first) == 1 + math.ceil(max(length - side, 0) / stride)
    assert first == sorted(set(first))
    assert first[0] == 0
    assert first[-1] == max(length - side, 0)
    assert all(b - a <= stride for a, b in itertools.pairwise(first))


def test_the_official_grids() -> None:
    assert len(starts(6000, 512, 512)) ** 2 == 144  # Potsdam: 24 x 144 = 3,456
    assert starts(2000, 896, 512) == [0, 512, 1024, 1104]  # iSAID: last tile moved back inside
    assert starts(1408, 896, 512) == [0, 512]  # ends exactly: no tile twice
    assert starts(800, 896, 512) == [0]


def _pair(folder: Path, height: int, width: int) -> Any:
    rng = np.random.default_rng(0)
    image, mask = folder / "p.png", folder / "p_mask.png"
    Image.fromarray(rng.integers(0, 256, (height, width, 3), np.uint8)).save(image)
    Image.fromarray(rng.integers(0, 2, (height, width), np.uint8)).save(mask)
    return Pair("p", image, mask)


def test_tiles_put_together_give_the_image_back(tmp_path: Path) -> None:
    pair = _pair(tmp_path, 50, 70)
    tiles = Tiles(CARD, SPLIT, [pair], (32, 20), Legend(2))
    assert tiles.keys == tuple(f"p_{y}_{x}" for y in (0, 18) for x in (0, 20, 38))
    image, mask = np.zeros((50, 70, 3), np.uint8), np.full((50, 70), 77, np.uint8)
    for tile in tiles:
        y, x = (int(v) for v in tile.key.split("_")[1:])
        assert tile.images["hr"].shape == (1, 3, 32, 32)
        assert tile.images["hr"].dtype == tile.target.dtype == torch.uint8
        image[y : y + 32, x : x + 32] = tile.images["hr"][0].permute(1, 2, 0).numpy()
        mask[y : y + 32, x : x + 32] = tile.target.numpy()
    np.testing.assert_array_equal(image, np.asarray(Image.open(pair.image)))
    np.testing.assert_array_equal(mask, np.asarray(Image.open(pair.mask)))


def test_a_small_image_is_padded_and_its_padding_ignored(tmp_path: Path) -> None:
    (tile,) = Tiles(CARD, SPLIT, [_pair(tmp_path, 20, 40)], (32, 32), Legend(2))[0:1]
    image = tile.images["hr"][0]
    assert (image[:, 20:] == 0).all()
    assert (tile.target[20:] == 255).all()
    assert (tile.target[:20] < 2).all()


def test_samples_survive_pickling_and_can_be_changed_without_harm(tmp_path: Path) -> None:
    tiles = Tiles(CARD, SPLIT, [_pair(tmp_path, 40, 40)], (32, 32), Legend(2))
    first = tiles[1].images["hr"].clone()
    tiles[1].images["hr"].zero_()
    tiles[1].target.zero_()
    again = pickle.loads(pickle.dumps(tiles))
    assert torch.equal(again[1].images["hr"], first)
    assert tiles.split.sha256 == again.split.sha256 != ""


def test_a_mask_of_another_size_is_an_error_on_opening(tmp_path: Path) -> None:
    pair = _pair(tmp_path, 40, 50)
    Image.new("L", (40, 50)).save(pair.mask)
    with pytest.raises(DataError, match=r"p_mask\.png is 50 x 40 .*p\.png 40 x 50"):
        Tiles(CARD, SPLIT, [pair], (32, 32), Legend(2))


def test_an_empty_split_is_an_error() -> None:
    with pytest.raises(DataError, match="split 'train' of Toy is empty"):
        Tiles(CARD, SPLIT, [], (32, 32), Legend(2))
