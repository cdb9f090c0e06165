from __future__ import annotations

from dataclasses import replace

import pytest

from skybench.core import REFLECTANCE, UINT8, BandMapping, CannotRun, Conversion, Sensor, match

from ._sensors import RGB, S1, S2, model


def test_sensors_are_matched_by_name_first() -> None:
    other = Sensor("air", ("nir", "red", "green", "blue"), 0.2, UINT8)
    assert match(model(RGB), [other, RGB])["hr"].sensor == "hr"


def test_every_input_that_fits_by_name_is_used() -> None:
    found = match(model(RGB, S2, S1), [S1, S2])
    assert set(found) == {"s2", "s1"}


def test_channels_are_in_the_models_order() -> None:
    rgb = Sensor("s2", ("red", "green", "blue"), 10.0, REFLECTANCE)
    assert match(model(rgb), [S2])["s2"] == BandMapping("s2", (2, 1, 0), Conversion(1.0))


def test_bands_decide_only_if_no_name_fits() -> None:
    air = Sensor("air", ("nir", "red", "green", "blue"), 0.2, UINT8)
    assert match(model(RGB), [S1, air])["hr"] == BandMapping("air", (1, 2, 3), Conversion(1.0))
    # s1 fits by name, so hr is not looked for in another sensor.
    assert set(match(model(RGB, S1), [air, S1])) == {"s1"}


def test_a_sensor_of_the_right_name_without_the_bands_does_not_fit() -> None:
    pan = Sensor("hr", ("pan",), 0.5, UINT8)
    air = Sensor("air", ("red", "green", "blue"), 0.2, UINT8)
    assert match(model(RGB), [pan, air])["hr"].sensor == "air"
    with pytest.raises(CannotRun):
        match(model(RGB), [pan])


def test_bands_match_one_pair_only() -> None:
    one, two = (Sensor(n, ("red", "green", "blue"), 1.0, UINT8) for n in ("one", "two"))
    assert {n: f.sensor for n, f in match(model(RGB, S2), [one, two]).items()} == {"hr": "one"}


def test_what_is_missing_is_said() -> None:
    with pytest.raises(CannotRun) as caught:
        match(model(S2, S1), [RGB])
    assert str(caught.value) == (
        "toy needs s2 (blue, green, red, nir) or s1 (vv, vh); the dataset has hr (red, green, blue)"
    )
    with pytest.raises(CannotRun, match="the dataset has no sensor"):
        match(model(S2), [])


def test_units_that_do_not_convert_are_refused() -> None:
    linear = Sensor("s1", ("vv", "vh"), 10.0, "linear power")
    with pytest.raises(CannotRun, match="reads s1 in 'dB', the dataset gives 'linear power'"):
        match(model(S1), [linear])


def test_a_second_sensor_of_a_role_stands_in() -> None:
    s1 = [replace(S1, name=name) for name in ("s1a", "s1d")]
    s2 = Sensor("s2", ("red",), 10.0, REFLECTANCE)
    both = model(S1, s2)
    assert {n: f.sensor for n, f in match(both, [s2, *s1]).items()} == {
        "s1": "s1a",
        "s2": "s2",
    }
    assert match(both, [s1[1], s2])["s1"].sensor == "s1d"
