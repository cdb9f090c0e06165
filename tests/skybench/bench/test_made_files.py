from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from skybench.bench import made_files
from skybench.core import registry


def test_images_are_enlarged_in_their_layout_and_masks_keep_their_ids(tmp_path: Path) -> None:
    made_files.write_enlarged("levir_cd", tmp_path, 2, ["*/*_[2-9].png", "*/*_1[0-9].png"])
    (first,) = registry.dataset("levir_cd").open(tmp_path, "train", 256)
    assert first.images["hr"].shape == (2, 3, 256, 256)
    assert set(np.unique(first.target)) <= {0, 1}
    image = np.asarray(Image.open(tmp_path / "A" / "train_1.png")).astype(int)
    apart = np.abs(image[:128] - image[128:])
    assert apart.max() < made_files.NOISE
    assert apart.any()


@pytest.mark.parametrize("suffix", [".tif", ".npy"])
def test_rasters_and_arrays_keep_type_and_bands(tmp_path: Path, suffix: str) -> None:
    import rasterio

    path, small = tmp_path / f"a{suffix}", np.full((3, 4, 6), 65535, np.uint16)
    if suffix == ".npy":
        np.save(path, small)
    else:
        with rasterio.open(path, "w", "GTiff", 6, 4, 3, dtype="uint16", crs="EPSG:32632",
                           transform=rasterio.Affine(10, 0, 0, 0, -10, 0)) as file:  # fmt: skip
            file.write(small)
    made_files.ENLARGE[suffix](path, 2.5, np.random.default_rng(0))
    large = np.load(path) if suffix == ".npy" else rasterio.open(path).read()
    assert (large.shape, large.dtype) == ((3, 10, 15), np.uint16)
    assert (large == 65535).all()  # noise does not run over
