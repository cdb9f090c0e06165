"""Simulated land cover, from which every dataset's demo copy is rendered.

Land cover has spectral signatures, textures and oriented objects, all drawn from a seed. The ground
is random, and each display image is stretched to a random mean and contrast, as in image archives:
a class shows in its structure and hardly in its colours.
"""

from __future__ import annotations

import functools
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw

MARKER = "skybench-demo.json"
SIMULATION_VERSION = 1  # incremented when the images change, so that demo folders are written again

Floats = NDArray[np.float32]
Shape = tuple[int, int]

# Reflectance of blue, green, red, nir, swir16; backscatter of vv, vh in dB. Plausible orders of
# magnitude, not measurements.
BANDS = ("blue", "green", "red", "nir", "swir16", "vv", "vh")
# The other optical bands, as linear mixtures of these.
MIXED: Mapping[str, Mapping[str, float]] = {
    "coastal": {"blue": 0.9},
    "rededge071": {"red": 0.7, "nir": 0.3},
    "rededge075": {"red": 0.25, "nir": 0.75},
    "rededge078": {"red": 0.08, "nir": 0.92},
    "nir08": {"nir": 1.02},
    "nir09": {"nir": 0.9},
    "cirrus": {"blue": 0.01},
    "swir22": {"swir16": 0.65},
}
VEGETATION = ("grass", "canopy")
MATERIALS: Mapping[str, tuple[float, ...]] = {
    "water": (0.060, 0.060, 0.040, 0.020, 0.010, -20.0, -27.0),
    "grass": (0.040, 0.085, 0.055, 0.400, 0.200, -11.0, -17.0),
    "canopy": (0.030, 0.055, 0.035, 0.350, 0.150, -9.0, -14.0),
    "soil": (0.095, 0.130, 0.170, 0.250, 0.320, -12.0, -20.0),
    "sand": (0.200, 0.250, 0.300, 0.380, 0.420, -16.0, -25.0),
    "asphalt": (0.100, 0.100, 0.105, 0.120, 0.140, -14.0, -22.0),
    "concrete": (0.210, 0.215, 0.220, 0.250, 0.270, -6.0, -14.0),
    "tile": (0.090, 0.110, 0.180, 0.220, 0.260, -3.0, -10.0),
    "metal": (0.360, 0.360, 0.360, 0.380, 0.350, -2.0, -10.0),
    "shade": (0.020, 0.022, 0.024, 0.030, 0.030, -18.0, -25.0),
}
MATERIAL_NAMES = tuple(MATERIALS)
GROUNDS = ("grass", "soil", "sand", "asphalt", "concrete")

# Outlines in units of half the length (x) and half the width (y).
OUTLINES: Mapping[str, tuple[tuple[float, float], ...]] = {
    "block": ((1, 1), (-1, 1), (-1, -1), (1, -1)),
    "ship": ((1, 0), (0.5, 1), (-0.9, 1), (-1, 0), (-0.9, -1), (0.5, -1)),
    "tank": tuple((float(np.cos(a)), float(np.sin(a))) for a in np.linspace(0, 6.0, 20)),
    "plane": (
        *((1, 0), (0.8, 0.12), (0.3, 0.12), (-0.1, 1), (-0.35, 1), (-0.15, 0.12), (-0.7, 0.1)),
        *((-0.85, 0.4), (-1, 0.4), (-1, -0.4), (-0.85, -0.4), (-0.7, -0.1), (-0.15, -0.12)),
        *((-0.35, -1), (-0.1, -1), (0.3, -0.12), (0.8, -0.12)),
    ),
}


def write_marker(root: Path, dataset: str, seed: int, **options: str) -> None:
    """Write the marker that tells readers that data are simulated; the last step of `write_demo`.

    options: values of options that a user of the real data must state.
    """
    root.mkdir(parents=True, exist_ok=True)
    text = json.dumps({"dataset": dataset, "seed": seed, "version": SIMULATION_VERSION, **options})
    (root / MARKER).write_text(text + "\n", encoding="utf-8")


def stated_options(root: Path) -> dict[str, str]:
    """Return the options in a demo folder's marker; {} for any other folder."""
    if not is_demo(root):
        return {}
    content = json.loads((root / MARKER).read_text(encoding="utf-8"))
    return {k: v for k, v in content.items() if k not in ("dataset", "seed", "version")}


def is_demo(*folders: Path) -> bool:
    """Return whether any of the folders holds simulated data."""
    return any((folder / MARKER).is_file() for folder in folders)


@functools.cache
def _spectra(bands: tuple[str, ...]) -> Floats:
    """Return the spectra of the materials, in the order of NAMES: float32 [materials, C]."""
    mixtures = [MIXED.get(band, {band: 1.0}) for band in bands]
    columns = [{BANDS.index(b): share for b, share in mixture.items()} for mixture in mixtures]
    rows = [[sum(m[i] * s for i, s in c.items()) for c in columns] for m in MATERIALS.values()]
    return np.asarray(rows, np.float32)


def texture(
    rng: Generator, shape: Shape, period: float, angle: float | None = None, spread: float = 0.3
) -> Floats:
    """Return band-pass filtered noise, float32 [H, W], mean 0, variance 1.

    period: central wavelength in pixels; angle: direction of the waves in radians, None: isotropic;
    spread: bandwidth, as standard deviation of the logarithm of the wavelength.
    """
    length, direction = _frequencies(shape)
    weight = np.exp(-0.5 * ((length + np.float32(np.log(period))) / spread) ** 2)
    if angle is not None:
        weight *= np.exp(-0.5 * (np.sin(direction - np.float32(angle)) / 0.12) ** 2)
    noise = np.fft.rfft2(rng.standard_normal(shape, np.float32))
    field = np.fft.irfft2(noise * weight, shape)
    return np.asarray(field / (field.std() + 1e-9), np.float32)


@functools.lru_cache(maxsize=8)
def _frequencies(shape: Shape) -> tuple[Floats, Floats]:
    """Return the log magnitude and the direction of each frequency of a real Fourier transform."""
    fy, fx = np.fft.fftfreq(shape[0])[:, None], np.fft.rfftfreq(shape[1])[None]
    length = np.log(np.hypot(fy, fx) + 1e-9)
    return length.astype(np.float32), np.arctan2(fy, fx).astype(np.float32)


def relief(rng: Generator, shape: Shape) -> Floats:
    """Return smooth noise on the scale of the image, float32 [H, W], mean 0, variance 1."""
    return texture(rng, shape, 0.7 * min(shape), spread=0.6)


def outline(kind: str, at: tuple[float, float], size: tuple[float, float], angle: float) -> Floats:
    """Return an object's corners, float32 [N, 2] as (x, y) in pixels; size: length and width."""
    corners = np.asarray(OUTLINES[kind], np.float32) * np.asarray(size, np.float32) / 2
    turn = np.array([[np.cos(angle), np.sin(angle)], [-np.sin(angle), np.cos(angle)]], np.float32)
    return np.asarray(corners @ turn + np.asarray(at, np.float32), np.float32)


class Thing(NamedTuple):
    """An object with an outline, of one material, on the ground."""

    corners: Floats  # [N, 2] as (x, y) in pixels
    material: str
    label: int = -1  # -1: the pixels keep their label


class Canvas:
    """A patch of ground with maps of material, brightness and label, [H, W] each."""

    def __init__(self, rng: Generator, shape: Shape, ground: str = "") -> None:
        self.rng, self.shape = rng, shape
        self.cover = np.full(shape, MATERIAL_NAMES.index(ground or self.any(GROUNDS)), np.uint8)
        self.shine = 1 + 0.06 * relief(rng, shape)  # a factor on the reflectance
        self.labels = np.zeros(shape, np.uint8)

    def any(self, names: tuple[str, ...]) -> str:
        """Return a random name."""
        return names[int(self.rng.integers(len(names)))]

    def paint(
        self, where: NDArray[np.bool_], material: str, grain: Floats | float = 0.0, label: int = -1
    ) -> None:
        """Cover a region, bool [H, W], with a material; grain: relative change of the brightness.

        label: of the region; -1: the pixels keep theirs.
        """
        self.cover[where] = MATERIAL_NAMES.index(material)
        varied = grain[where] if isinstance(grain, np.ndarray) else grain
        self.shine[where] = np.maximum(1 + varied, 0.1)
        if label >= 0:
            self.labels[where] = label

    def region(self, corners: Floats) -> NDArray[np.bool_]:
        """Return the interior of a polygon, bool [H, W]."""
        image = Image.new("L", (self.shape[1], self.shape[0]))
        ImageDraw.Draw(image).polygon(corners.ravel().tolist(), fill=1)
        return np.asarray(image, bool)

    def put(self, things: Sequence[Thing], height: int = 2) -> None:
        """Draw objects of random brightness, in order; height: length of their shadows, 0: none."""
        for first in range(0, len(things), 255):
            some = things[first : first + 255]
            image = Image.new("L", (self.shape[1], self.shape[0]))
            draw = ImageDraw.Draw(image)
            for number, thing in enumerate(some, 1):
                draw.polygon(thing.corners.ravel().tolist(), fill=number)
            owner = np.asarray(image)
            if height:
                shadow = np.zeros(self.shape, bool)
                shadow[height:, height:] = owner[:-height, :-height] > 0
                self.paint(shadow, "shade")
            inside = owner > 0
            which = owner[inside] - 1
            self.cover[inside] = np.array(
                [MATERIAL_NAMES.index(t.material) for t in some], np.uint8
            )[which]
            self.shine[inside] = self.rng.uniform(0.8, 1.2, len(some)).astype(np.float32)[which]
            labels = np.array([t.label for t in some])[which]
            self.labels[inside] = np.where(labels < 0, self.labels[inside], labels)

    def line(self, points: Floats, width: float) -> NDArray[np.bool_]:
        """Return the pixels of a polyline, bool [H, W]; points: [N, 2] as (x, y)."""
        image = Image.new("L", (self.shape[1], self.shape[0]))
        flat = points.ravel().tolist()
        ImageDraw.Draw(image).line(flat, fill=1, width=max(int(width), 1), joint="curve")
        return np.asarray(image, bool)

    def reflectance(self, bands: tuple[str, ...], vigour: Floats | float = 1.0) -> Floats:
        """Render the image of an optical sensor: reflectance, float32 [C, H, W], 0..1.

        vigour: greenness of the vegetation, 0..1, a scalar or [H, W]; at 0 it has soil's spectrum.
        """
        table = _spectra(bands)
        seen = table[self.cover]
        if isinstance(vigour, np.ndarray) or vigour < 1:
            green = np.isin(self.cover, [MATERIAL_NAMES.index(n) for n in VEGETATION])
            bare = np.where(green, 1 - vigour, 0)[..., None]
            seen = seen + bare * (table[MATERIAL_NAMES.index("soil")] - seen)
        seen = seen * self.shine[..., None]
        return np.asarray(seen.transpose(2, 0, 1).clip(0, 1), np.float32)

    def backscatter(self, bands: tuple[str, ...], rng: Generator, looks: float = 12.0) -> Floats:
        """Render a radar image in dB, float32 [C, H, W]; looks: number of looks of its speckle."""
        clean = _spectra(bands)[self.cover].transpose(2, 0, 1)
        speckle = rng.gamma(looks, 1 / looks, clean.shape)
        return np.asarray(clean + 10 * np.log10(speckle), np.float32)

    def display(self) -> NDArray[np.uint8]:
        """Render a hazy display image with a random stretch: uint8 [H, W, 3], red, green, blue."""
        seen = self.reflectance(("red", "green", "blue"))
        seen = seen + 0.004 * self.rng.standard_normal(seen.shape, np.float32)
        seen = (seen - seen.mean((1, 2), keepdims=True)) / (seen.std() + 1e-6)
        seen = np.sign(seen) * np.abs(seen) ** self.rng.uniform(0.7, 1.3)
        seen = seen + self.rng.uniform(0, 0.9) * relief(self.rng, self.shape)
        contrast = self.rng.uniform(24, 44) * self.rng.uniform(0.85, 1.15, (3, 1, 1))
        level = self.rng.uniform(95, 140) + self.rng.uniform(-18, 18, (3, 1, 1))
        stretched = (seen / seen.std() * contrast + level).clip(0, 255)
        return np.asarray(stretched.round().transpose(1, 2, 0), np.uint8)


class GridNode(NamedTuple):
    """A node of a rotated grid."""

    at: tuple[float, float]  # (x, y) in pixels
    angle: float  # of the grid's rows, in radians
    row: int


def grid(canvas: Canvas, step: float, jitter: float) -> list[GridNode]:
    """Return the nodes of a randomly rotated grid that covers the canvas, `step` pixels apart."""
    size = np.array(canvas.shape[::-1])
    angle, reach = canvas.rng.uniform(0, np.pi), int(0.75 * size.max() / step) + 1
    i, j = np.mgrid[-reach : reach + 1, -reach : reach + 1].reshape(2, -1)
    along = np.array([np.cos(angle), np.sin(angle)]) * step
    nodes = size / 2 + i[:, None] * along + j[:, None] * (-along[1], along[0])
    nodes += canvas.rng.uniform(-jitter, jitter, nodes.shape)
    near = ((nodes > -step) & (nodes < size + step)).all(1)
    rows = zip(nodes[near].tolist(), j[near].tolist(), strict=True)
    return [GridNode((x, y), float(angle), row) for (x, y), row in rows]


def scatter(canvas: Canvas, count: int, gap: float) -> list[tuple[float, float]]:
    """Return up to `count` random points (x, y) on the canvas, at least `gap` pixels apart."""
    height, width = canvas.shape
    places: list[tuple[float, float]] = []
    for _ in range(count * 10):
        x, y = canvas.rng.uniform((gap / 2, gap / 2), (width - gap / 2, height - gap / 2))
        if len(places) < count and all(np.hypot(x - a, y - b) >= gap for a, b in places):
            places.append((float(x), float(y)))
    return places


def rng_of(*parts: int | str) -> Generator:
    """Return a random generator that is seeded by a combination of seeds and names."""
    return np.random.default_rng(
        [p if isinstance(p, int) else zlib.crc32(p.encode()) for p in parts]
    )


def write_scenes(
    folder: Path,
    scenes: Mapping[str, Callable[[Canvas], None]],
    count: int,
    side: int,
    name: Callable[[str, int], str],
    seed: int,
) -> None:
    """Write `count` JPEG images of side x side pixels for each class, in a folder per class.

    scenes: class -> function that paints it; name: (class, number from 1) -> file name.
    """
    for title, painter in scenes.items():
        (folder / title).mkdir(parents=True, exist_ok=True)
        for number in range(1, count + 1):
            canvas = Canvas(rng_of(seed, title, number), (side, side))
            painter(canvas)
            path = folder / title / name(title, number)
            Image.fromarray(canvas.display()).save(path, quality=90)
