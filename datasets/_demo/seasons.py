"""The phenology of the simulated vegetation."""

from __future__ import annotations

import numpy as np

# Greens around the first day and fades around the second, counted from 1 January of the year of
# harvest; below 0 it was sown the year before. Orders of magnitude for central France.
SEASONS = {
    "soft_winter_wheat": (60.0, 180.0),
    "winter_rapeseed": (-75.0, 165.0),
    "corn": (160.0, 275.0),
    "sunflower": (140.0, 230.0),
    "beet": (135.0, 320.0),
    "meadow": (-400.0, 800.0),
    "reeds": (110.0, 300.0),
    "trees": (95.0, 305.0),
}
PACE = 9.0  # days; a tenth to nine tenths takes about four and a half times as long


def vigour(kind: str, day: float, shift: float = 0.0) -> float:
    """Return the vigour, 0 (bare or dry) to 1 (lush), on a day of the year; shift: delay in days.

    >>> round(vigour("corn", 60), 2), round(vigour("corn", 220), 2)
    (0.0, 1.0)
    """
    up, down = SEASONS[kind]
    rise, fall = (1 / (1 + np.exp(-(day - shift - at) / PACE)) for at in (up, down))
    return float(np.clip(rise - fall, 0, 1))
