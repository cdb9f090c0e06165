"""Plausibility of images: do values fit the declared unit, and means the order of the bands?

Display imagery (three bands of 0 to 255) does not tell its order: red is brighter than blue in 18 %
of EuroSAT's chips and in 63 % of aerial frames of Munich, and neighbouring bands correlate alike in
both orders. There only an adapter can be checked (`skybench.checks.adapter_probes`).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from skybench.core import DB, REFLECTANCE, S2_DISPLAY, UINT8, Sensor
from skybench.core.sensors import L1C

PIXELS = 65536  # of one image and date that are looked at, evenly spaced


class Range(NamedTuple):
    """The plausible values of a unit, over some images."""

    lowest: float  # any value is between these two
    highest: float
    mean_low: float  # the mean of the brightest band, without zeros, is between these two
    mean_high: float
    peak: float = -np.inf  # the largest value is at least this


# Ours, far outside what was seen. Reflectance: means of published sets 2200 to 3300, water 1970,
# Landsat's digital numbers 8000 and more; dB: -10 to -20, linear power 0.01 to 0.3.
RANGES = {
    UINT8: Range(0, 255, 5, 250, 32),
    S2_DISPLAY: Range(0, 255, 5, 250, 32),
    REFLECTANCE: Range(-3000, 65535, 200, 12000, 500),
    DB: Range(-100, 60, -40, -1),
}

# Published means. Sources: BigEarthNet (L2A), bigearthnet-common; SSL4EO-S12 (L2A), SkySense++
# lib/datasets/utils/dataset_colors.py; SSL4EO-S12 (L1C), DeCUR and SSL4EO-S12's own loaders.
_SWIR = ("swir16", "swir22")
_OPTICAL = ("blue", "green", "red", "rededge071", "rededge075", "rededge078", "nir", "nir08")
_ALL = ("coastal", *_OPTICAL, "nir09", *_SWIR)
MEANS: tuple[Mapping[str, float], ...] = (
    dict(zip(_ALL, (340.8, 429.9, 614.2, 590.2, 950.7, 1792.5, 2075.5, 2219.0, 2266.5, 2246.1,
                    1594.4, 1009.3), strict=True)),
    dict(zip((*_OPTICAL, *_SWIR), (884.3, 1144.2, 1297.5, 1624.9, 2194.6, 2422.2, 2517.8, 2581.6,
                                   2368.5, 1805.1), strict=True)),
    dict(zip((*_ALL, "cirrus"), (1605.6, 1390.8, 1314.9, 1363.5, 1549.4, 2091.8, 2371.7, 2299.9,
                                 2560.3, 830.1, 2177.1, 1524.1, 22.1), strict=True)),
    {"vv": -12.6, "vh": -19.3},
)  # fmt: skip
# By resolution: 10, 20 and 60 m, another order in which the bands of Sentinel-2 are stored.
GROUPED = (
    "blue", "green", "red", "nir", "rededge071", "rededge075", "rededge078", "nir08", "swir16",
    "swir22", "coastal", "nir09", "cirrus",
)  # fmt: skip
# By the names of files of one band: B01, B02, …, B12, B8A, or B1, B10, B11, B12, B2, …
PADDED = (*(band for band in L1C if band != "nir08"), "nir08")
PLAIN = ("coastal", "cirrus", "swir16", "swir22", *L1C[1:9], "nir09")
FIT = 0.9  # correlation of the means with published ones that another order must have
BETTER = 0.2  # and by how much it must exceed that of the declared order; published sets: 0.6
# Red goes with the short-wave infrared more than blue does: by 0.05 to 0.16 in correlation over
# pixels, in BigEarthNet's examples, in series of lakes and of shrubland.
EXCHANGED = 0.03
# Products of Sentinel-2 since 2022 (baseline 04.00) hold 1000 more. Else the cirrus band, without
# clouds, and deep water or shadow in the others are about 0; their darkest hundredth is looked at.
ADDED = (900, 1200)
DARKEST = 1  # percent
SORTED = 4096  # pixels of an image among which it is looked for
ENOUGH = 16  # images below which correlations are not believed


class Moments:
    """Sums over the pixels of some images of one sensor."""

    def __init__(self, sensor: Sensor) -> None:
        count = len(sensor.bands)
        self.sensor, self.images, self.pixels, self.known = sensor, 0, 0, 0
        self.filled = np.zeros(count)  # pixels that are not 0
        self.zeros = np.zeros(count)
        self.total = np.zeros(count)
        self.products = np.zeros((count, count))
        self.lowest, self.highest = np.full(count, np.inf), np.full(count, -np.inf)
        self.dark = np.full(count, np.inf)  # of the darkest image

    def add(self, image: Tensor) -> None:
        """Add an image [T, C, H, W]; pixels that are NaN, or 0 in all bands, are nodata."""
        self.images += 1
        for date in image:
            flat = date.flatten(1).numpy()  # whose reductions take a tenth of torch's time
            flat = flat[:, :: max(1, flat.shape[1] // PIXELS)].astype(np.float64)
            self.pixels += flat.shape[1]
            filled = flat != 0
            self.zeros += flat.shape[1] - filled.sum(1)
            known = np.isfinite(flat).all(0) & filled.any(0)
            x = flat if known.all() else flat[:, known]
            if x.size:
                self.known += x.shape[1]
                self.filled += (x != 0).sum(1)
                self.total += x.sum(1)
                self.products += x @ x.T
                self.lowest = np.minimum(self.lowest, x.min(1))
                self.highest = np.maximum(self.highest, x.max(1))
                few = x[:, :: max(1, x.shape[1] // SORTED)]
                self.dark = np.minimum(self.dark, np.percentile(few, DARKEST, axis=1))

    def facts(self) -> dict[str, Any]:
        """Return mean without zeros, extremes and share of zeros by band, as plain JSON."""
        means = self.total / np.maximum(self.filled, 1)
        facts = {
            "unit": self.sensor.unit,
            "bands": list(self.sensor.bands),
            "images": self.images,
            "mean": _short(means),
            "min": _short(self.lowest),
            "max": _short(self.highest),
            "dark": _short(self.dark),
            "zeros": _short(self.zeros / max(self.pixels, 1)),
        }
        return facts | {"infrared": self._infrared()}

    def _infrared(self) -> dict[str, float]:
        """The correlation of red and blue with the short-wave infrared, where all are there."""
        bands = self.sensor.bands
        swir = [bands.index(b) for b in _SWIR if b in bands]
        if not ({"red", "blue"} <= {*bands} and swir and self.known):
            return {}
        mean = self.total / self.known
        covariance = self.products / self.known - np.outer(mean, mean)
        deviation = np.sqrt(np.maximum(covariance.diagonal(), 1e-12))
        correlation = covariance / np.outer(deviation, deviation)
        return {
            b: round(float(correlation[bands.index(b), swir].mean()), 3) for b in ("red", "blue")
        }


def _short(values: NDArray[np.float64]) -> list[float | None]:
    """To 4 digits; None without any value."""
    return [float(f"{v:.4g}") if np.isfinite(v) else None for v in values]


def implausible_values(facts: Mapping[str, Any]) -> str:
    """Return why values cannot be of the declared unit; "" where they can.

    facts: of `Moments.facts`.
    """
    bands, unit, limits = facts["bands"], facts["unit"], RANGES[facts["unit"]]
    if None in facts["max"]:
        return "every pixel is 0"
    lowest, highest = min(facts["min"]), max(facts["max"])
    known = [m for b, m in zip(bands, facts["mean"], strict=True) if any(b in p for p in MEANS)]
    brightest = max(known or facts["mean"])  # not of a ratio of two bands
    for band, low, high in zip(bands, facts["min"], facts["max"], strict=True):
        if low == high:
            return f"band {band} has the same value everywhere"
    if lowest < limits.lowest or highest > limits.highest:
        return f"{lowest:.4g} to {highest:.4g} cannot be {unit!r}"
    if highest < limits.peak:
        return f"nothing above {highest:.4g} in {facts['images']} images of {unit!r}"
    if not limits.mean_low <= brightest <= limits.mean_high:
        return f"the brightest band's mean of {brightest:.4g} cannot be {unit!r}"
    return _added_offset(facts)


def _added_offset(facts: Mapping[str, Any]) -> str:
    """Return why 1000 seems to be added to the reflectance of Sentinel-2; "" where it does not."""
    bands, low, high = facts["bands"], *ADDED
    if facts["unit"] != REFLECTANCE or not {*bands} <= {*L1C}:
        return ""
    remedy = (
        "as in products of Sentinel-2 since baseline 04.00: subtract 1000 (offset = -1000 under "
        "[sensor] in the skybench.toml of a folder of your own)"
    )
    cirrus = dict(zip(bands, facts["mean"], strict=True)).get("cirrus", 0)
    if low <= cirrus <= high:
        return f"the cirrus band has a mean of {cirrus:.4g}, {remedy}"
    dark = facts["dark"]
    near = sum(value <= high for value in dark)
    if facts["images"] >= ENOUGH and len(bands) >= 4 and min(dark) >= low and 2 * near > len(bands):
        return f"the darkest pixels of most bands are near 1000 ({min(dark):.4g}), {remedy}"
    return ""


def suspected_band_order(facts: Mapping[str, Any]) -> str:
    """Return another order of the bands that the images fit clearly better; "" if there is none.

    facts: of `Moments.facts`.
    """
    bands, means = facts["bands"], facts["mean"]
    declared = _fit(bands, means)
    tried = [(_fit(other, means), name) for name, other in _orders(bands)]
    fits, name = max(tried, key=lambda one: one[0])
    if fits > max(FIT, declared + BETTER):
        return f"the means fit the bands {name} ({fits:.2f} against {declared:.2f})"
    near = facts["infrared"]
    if near and facts["images"] >= ENOUGH and near["blue"] - near["red"] > EXCHANGED:
        return (
            f"blue goes with the infrared more than red does ({near['blue']} against "
            f"{near['red']}), as if both were exchanged"
        )
    return ""


def _orders(bands: Sequence[str]) -> Iterator[tuple[str, Sequence[str]]]:
    yield "in reverse", bands[::-1]
    if {*bands} <= {*GROUPED}:
        yield "grouped by resolution", [b for b in GROUPED if b in bands]
        yield "by their numbers", [b for b in L1C if b in bands]
        yield "in the order of B01, B02, …, B12, B8A", [b for b in PADDED if b in bands]
        yield "in the order of B1, B10, B11, B12, B2, …", [b for b in PLAIN if b in bands]


def _fit(bands: Sequence[str], means: Sequence[float]) -> float:
    """The best correlation of the means with published ones; 0 where too few bands are known."""
    best = []
    for published in MEANS:
        pairs = [(m, published[b]) for b, m in zip(bands, means, strict=True) if b in published]
        if len(pairs) >= 4 or {*published} <= {*bands}:
            best.append(float(np.corrcoef(np.array(pairs).T)[0, 1]))
    return max(best, default=0.0)
