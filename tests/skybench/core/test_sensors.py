from __future__ import annotations

import pytest

from skybench.core import CONVERT, DB, REFLECTANCE, S2_DISPLAY, UINT8, Conversion
from skybench.core.sensors import L1C, L2A, S2_FINE


def test_the_conversion_of_units() -> None:
    identities = [(u, u) for u in (UINT8, REFLECTANCE, DB)]
    assert all(CONVERT[pair] == Conversion(1.0, 0.0, True) for pair in identities)
    display = CONVERT[S2_DISPLAY, REFLECTANCE]
    assert 255 * display.scale + display.offset == pytest.approx(2750)
    assert display.exact
    nominal = CONVERT[UINT8, REFLECTANCE]
    assert nominal[:2] == display[:2]
    assert not nominal.exact
    back = CONVERT[REFLECTANCE, UINT8]
    assert back.scale * nominal.scale == pytest.approx(1)
    assert (back.exact, back.highest) == (False, 255)


def test_the_bands_of_sentinel_2() -> None:
    assert (len(L1C), len(L2A), len(S2_FINE)) == (13, 12, 10)
    assert set(L1C) - set(L2A) == {"cirrus"}
    assert set(L2A) - set(S2_FINE) == {"coastal", "nir09"}
