"""Readers on made files of full size, beside PIL, rasterio and torchgeo's classes."""

from __future__ import annotations

import functools
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import rasterio
from PIL import Image

from skybench.bench.cells import own_folders
from skybench.bench.made_files import write_enlarged
from skybench.bench.timing import (
    Form,
    Peer,
    Timing,
    judged_at_full,
    seconds,
    time_beside,
    value_row,
)
from skybench.core import registry
from skybench.core.dataset import Samples
from skybench.data import simulation
from skybench.data.decoded import open_decoded

RATE = ">= 300"  # random tiles a second and core, after the first pass


class _Case(NamedTuple):
    """A dataset, the factor from its simulated copy to full size, and what one sample is there."""

    dataset: str
    factor: float
    samples: int
    what: str
    fewer: tuple[str, ...] = ()  # files that are removed


CASES = (
    _Case("levir_cd", 8, 8, "pairs of 1024 x 1024 PNGs"),
    _Case("ben_s2", 2.5, 45, "patches of 120 x 120, 12 bands", (simulation.MARKER,)),
    _Case("pastis_mm", 4, 9, "series of 128 x 128"),
    _Case("fmow_s2", 1, 48, "images of 45 x 45, 13 bands"),
)
TILES = {"tiny": 4, "short": 300, "full": 1000}
ISAID = 8  # from 450 x 500 pixels to 3600 x 4000
ROUNDS = {"tiny": 1, "short": 3, "full": 5}


def time_full_size(form: Form) -> Iterator[Timing]:
    """Yield random tiles of one large PNG after the first pass, then the readers of four datasets.

    A peer reads the same files: PIL decodes the whole image for a tile, torchgeo's class or
    rasterio a sample. In the form "tiny" the files are the simulated ones.
    """
    with tempfile.TemporaryDirectory() as name, own_folders(Path(name, "cache"), Path(name, "r")):
        yield from _tiles(Path(name, "isaid"), form)
        for case in CASES[-1:] if form == "tiny" else CASES:
            yield _reader(case, Path(name, case.dataset), form)


def _tiles(root: Path, form: Form) -> Iterator[Timing]:
    factor = 1 if form == "tiny" else ISAID
    write_enlarged("isaid", root, factor, ["*/images/P000[1-9]*", "*/*/images/P000[1-9]*"])
    samples = registry.dataset("isaid").open(root, "train")
    (path,) = (root / "train" / "images").glob("*.png")
    with Image.open(path) as image:
        what = f"{image.width} x {image.height} PNG"
    kept: list[Samples] = []
    identity = {"dataset": "isaid"}
    peer = Peer("PIL: image and mask once", _decode_both(root))
    yield time_beside(
        f"first pass over {len(samples)} tiles of a {what}",
        lambda: kept.append(open_decoded(samples, identity)), peer, 1,
    )  # fmt: skip
    picks = np.random.default_rng(0).integers(0, len(samples), TILES[form]).tolist()
    ours = seconds(lambda: _read(kept[0], picks))
    row = value_row(
        f"{len(picks)} random tiles of a {what}, after it", len(picks) / ours, "tiles/s", RATE
    )
    yield judged_at_full(row, form) if form == "tiny" else row
    yield time_beside(
        f"{len(picks)} random tiles of a {what}, after it",
        lambda: _read(kept[0], picks),
        Peer("PIL: image and mask a tile", _decode_both(root), len(picks)),
        ROUNDS[form],
    )


def _decode_both(root: Path) -> Callable[[], Any]:
    """Decode the image and its mask, all tiles in reach."""
    paths = sorted((root / "train").rglob("*.png"))

    def run() -> list[Any]:
        return [np.asarray(Image.open(path)) for path in paths]

    return run


def _read(samples: Sequence[Any], picks: Sequence[int]) -> int:
    """Read samples with their targets; return how many."""
    return sum(samples[i] is not None for i in picks)


def _reader(case: _Case, root: Path, form: Form) -> Timing:
    factor, fewer = (1.0, ()) if form == "tiny" else (case.factor, case.fewer)
    write_enlarged(case.dataset, root, factor, fewer)
    count = 2 if form == "tiny" else case.samples
    # Whole images are kept in memory by their path: each round has files of its own.
    copies = [root.with_name(f"{root.name}{i}") for i in range(ROUNDS[form] + 1)]
    fresh = iter([_opened(case.dataset, shutil.copytree(root, copy)) for copy in copies])
    peer = _peer(case.dataset, root, count)
    ours = functools.partial(_read_next, fresh, range(count))
    for run in (ours, peer.run):
        if run is not None:
            run()  # imports, and what both keep
    what = f"{case.dataset}, {count} {case.what}, each read once"
    return time_beside(what, ours, peer, ROUNDS[form])


def _opened(dataset: str, root: Path) -> Samples:
    """The training samples, read as the peer reads them."""
    plugin = registry.dataset(dataset)
    if hasattr(plugin, "peer"):
        samples: Samples = plugin.peer(root, _scratch(root))[0]
        return samples
    return plugin.open(root, next(iter(plugin.CARD.splits)))


def _scratch(root: Path) -> Path:
    folder = root.with_name(f"{root.name}_scratch")
    folder.mkdir()
    return folder


def _read_next(fresh: Iterator[Samples], picks: Sequence[int]) -> int:
    return _read(next(fresh), picks)


def _peer(dataset: str, root: Path, count: int) -> Peer:
    """torchgeo's class where the dataset names one, else rasterio on the images."""
    plugin = registry.dataset(dataset)
    if not hasattr(plugin, "peer"):
        images = sorted(root.rglob("train/**/*.tif"))
        return Peer("rasterio", lambda: [_raster(path) for path in images[:count]])
    theirs = plugin.peer(root, _scratch(root))[1]
    return Peer(f"torchgeo {type(theirs).__name__}", lambda: _read(theirs, range(count)))


def _raster(path: Path) -> Any:
    with rasterio.open(path) as file:
        return file.read()
