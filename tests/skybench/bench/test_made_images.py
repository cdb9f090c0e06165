from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from skybench.bench.made_images import write_classes


def test_images_follow_the_seed_and_their_mean_colour_tells_no_class(tmp_path: Path) -> None:
    for name in ("a", "b"):
        write_classes(tmp_path / name, {"train": 40, "test": 2}, 2, 16)
    paths = sorted((tmp_path / "a").rglob("*.jpg"))
    assert len(paths) == 42
    assert {p.parts[-3:-1] for p in paths} == {
        (split, label) for split in ("train", "test") for label in ("class00", "class01")
    }
    for path in paths[:3]:
        assert path.read_bytes() == (tmp_path / "b" / path.relative_to(tmp_path / "a")).read_bytes()
    means = np.array([np.asarray(Image.open(p)).mean() for p in paths])
    of = np.array([p.parent.name == "class01" for p in paths])
    assert abs(means[of].mean() - means[~of].mean()) < means.std()
