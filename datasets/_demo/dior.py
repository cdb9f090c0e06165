"""The simulated copy of DIOR and DIOR-R."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from skybench.core import DatasetCard

if TYPE_CHECKING:
    from . import sites


def write_dior(card: DatasetCard, root: Path, seed: int, annotations: str) -> None:
    """Write 24 training, 8 validation and 16 test images of 160 x 160 pixels, 3 to 9 objects.

    The scenes of DIOR and DIOR-R are the same.
    """
    from PIL import Image

    from skybench.data import simulation

    from . import sites

    kinds: Mapping[str, sites.ObjectKind] = {
        "airplane": sites.ObjectKind("plane", (38, 36)),
        "ship": sites.ObjectKind("ship", (38, 12)),
        "storagetank": sites.ObjectKind("tank", (24, 24)),
        "tenniscourt": sites.ObjectKind("court", (40, 20)),
        "vehicle": sites.ObjectKind("block", (20, 9)),
    }
    lists = root / "ImageSets" / "Main"
    labels = root / "Annotations" / annotations
    for folder in (lists, labels, root / "JPEGImages-trainval", root / "JPEGImages-test"):
        folder.mkdir(parents=True, exist_ok=True)
    write = _upright if annotations.startswith("Horizontal") else _rotated
    parts = {"train": range(1, 25), "val": range(25, 33), "test": range(11726, 11742)}
    for part, members in parts.items():
        images = root / ("JPEGImages-test" if part == "test" else "JPEGImages-trainval")
        for number in members:
            name = f"{number:05d}"
            canvas, placed = sites.draw_site(
                simulation.rng_of(seed, "dior", number), (160, 160), kinds
            )
            Image.fromarray(canvas.display()).save(images / f"{name}.jpg", quality=90)
            objects = "".join(write(thing) for thing in placed)
            text = (
                f"<annotation><filename>{name}.jpg</filename><size><width>160</width>"
                f"<height>160</height><depth>3</depth></size>{objects}</annotation>\n"
            )
            (labels / f"{name}.xml").write_text(text, encoding="utf-8")
        (lists / f"{part}.txt").write_text("".join(f"{n:05d}\n" for n in members))
    simulation.write_marker(root, card.name, seed)


def _upright(thing: sites.PlacedObject) -> str:
    (west, north), (east, south) = thing.corners.min(0), thing.corners.max(0)
    return (
        f"<object><name>{thing.name}</name><bndbox><xmin>{west:.0f}</xmin><ymin>{north:.0f}</ymin>"
        f"<xmax>{east:.0f}</xmax><ymax>{south:.0f}</ymax></bndbox></object>"
    )


def _rotated(thing: sites.PlacedObject) -> str:
    from .._readers.boxes import ROTATED

    points = "".join(
        f"<{x}>{at[0]:.0f}</{x}><{y}>{at[1]:.0f}</{y}>"
        for (x, y), at in zip(ROTATED, thing.corners, strict=True)
    )
    return (
        f"<object><type>robndbox</type><name>{thing.name}</name><robndbox>{points}</robndbox>"
        "<difficult>0</difficult></object>"
    )
