from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from skybench.core import (
    CONVERT,
    DB,
    REFLECTANCE,
    S2_DISPLAY,
    UINT8,
    Batch,
    CannotRun,
    Conversion,
    DatasetCard,
    Found,
    ModelCard,
    Sample,
    Sensor,
    dataset,
    fingerprint,
    match,
)
from skybench.core.dataset import Samples, Split, Subset

RGB = Sensor("hr", ("red", "green", "blue"), 0.5, UINT8)
S2 = Sensor("s2", ("blue", "green", "red", "nir"), 10.0, REFLECTANCE)
S1 = Sensor("s1", ("vv", "vh"), 10.0, DB)


def model(*inputs: Sensor) -> ModelCard:
    return ModelCard("toy", "Toy", "extra", inputs, 4, (), "ours", "ours", "none")


class Letters(Samples):
    """One sample a letter; the image holds the letter's position."""

    card = DatasetCard("toy", "Toy", (), (RGB,), ("a", "b"), {}, "ours", "none", "nothing", "none")
    split = Split("train", "ours", "", False)

    def __init__(self, keys: str, files: Sequence[Path] = (), labelled: bool = True) -> None:
        self.keys, self.files = tuple(keys), tuple(files)
        self.labels = tuple(i % 2 for i in range(len(keys))) if labelled else None
        self.decoded: list[int] = []

    def read(self, index: int) -> Sample:
        self.decoded.append(index)
        return Sample(self.keys[index], {"hr": torch.full((1, 3, 2, 2), index)}, index % 2)


def series() -> Batch:
    images = {
        "s2": torch.arange(2 * 3 * 4, dtype=torch.int16).reshape(2, 3, 4, 1, 1),
        "hr": torch.full((2, 1, 3, 2, 2), 255, dtype=torch.uint8),
    }
    seen = {"s2": torch.tensor([[True, True, True], [True, False, False]]),
            "hr": torch.ones(2, 1, dtype=torch.bool)}  # fmt: skip
    days = {"s2": torch.tensor([[1, 2, 3], [4, -1, -1]]), "hr": torch.tensor([[9], [8]])}
    return Batch(("a", "b"), images, seen, days, torch.tensor([[1.0, 2.0], [3.0, 4.0]]))


def test_sensors_are_matched_by_name_first() -> None:
    other = Sensor("air", ("nir", "red", "green", "blue"), 0.2, UINT8)
    assert match(model(RGB), [other, RGB])["hr"].sensor == "hr"


def test_every_input_that_fits_by_name_is_used() -> None:
    found = match(model(RGB, S2, S1), [S1, S2])
    assert set(found) == {"s2", "s1"}


def test_channels_are_in_the_models_order() -> None:
    rgb = Sensor("s2", ("red", "green", "blue"), 10.0, REFLECTANCE)
    assert match(model(rgb), [S2])["s2"] == Found("s2", (2, 1, 0), Conversion(1.0))


def test_bands_decide_only_if_no_name_fits() -> None:
    air = Sensor("air", ("nir", "red", "green", "blue"), 0.2, UINT8)
    assert match(model(RGB), [S1, air])["hr"] == Found("air", (1, 2, 3), Conversion(1.0))
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


def test_what_a_display_cannot_show_is_cut_off() -> None:
    s2 = Sensor("s2", ("red",), 10.0, REFLECTANCE)
    found = match(model(Sensor("hr", ("red",), 0.0, UINT8)), [s2])
    x = torch.tensor([-50, 0, 1375, 2750, 9000])[None, None, None, None]
    batch = Batch(("a",), {"s2": x}, {"s2": x}, {"s2": x}, x)
    shown = batch.select(found).images["hr"].flatten()
    torch.testing.assert_close(shown, torch.tensor([0, 0, 127.5, 255, 255]))


def test_a_second_sensor_of_a_role_stands_in() -> None:
    s1 = [replace(S1, name=name) for name in ("s1a", "s1d")]
    s2 = Sensor("s2", ("red",), 10.0, REFLECTANCE)
    both = model(S1, s2)
    assert {n: f.sensor for n, f in match(both, [s2, *s1]).items()} == {
        "s1": "s1a",
        "s2": "s2",
    }
    assert match(both, [s1[1], s2])["s1"].sensor == "s1d"


def test_select_reorders_channels_and_converts_units() -> None:
    wanted = model(Sensor("sentinel", ("red", "blue"), 10.0, REFLECTANCE))
    display = Sensor("s2", S2.bands, 10.0, S2_DISPLAY)
    batch = series().select(match(wanted, [display]))
    assert set(batch.images) == set(batch.seen) == set(batch.days) == {"sentinel"}
    image = batch.images["sentinel"]
    assert image.dtype == torch.float32
    assert image.shape == (2, 3, 2, 1, 1)
    raw = torch.tensor([14.0, 12.0])  # sample 0 holds 0..11, sample 1 12..23; red is channel 2
    torch.testing.assert_close(image[1, 0, :, 0, 0], raw * 2750 / 255)
    torch.testing.assert_close(batch.seen["sentinel"], series().seen["s2"])
    torch.testing.assert_close(batch.days["sentinel"], series().days["s2"])
    assert batch.keys == ("a", "b")


def test_an_offset_is_added_after_scaling() -> None:
    found = {"hr": Found("hr", (0,), Conversion(2.0, -1.0))}
    assert series().select(found).images["hr"].flatten().tolist() == [509.0] * 8


def test_one_date_of_a_batch() -> None:
    date = series().at(2)
    assert date.images["s2"].flatten().tolist() == [8, 9, 10, 11, 20, 21, 22, 23]
    assert date.images["s2"].shape == (2, 1, 4, 1, 1)
    assert date.seen["s2"].tolist() == [[True], [False]]
    assert date.days["s2"].tolist() == [[3], [-1]]
    torch.testing.assert_close(date.images["hr"], series().images["hr"])  # it has one date alone


def test_moving_a_batch_moves_all_of_it() -> None:
    moved = series().to("meta")
    for tensors in (moved.images, moved.seen, moved.days):
        assert {x.device.type for x in tensors.values()} == {"meta"}
    assert moved.lonlat.device.type == "meta"
    assert moved.keys == ("a", "b")


def test_samples_are_a_sequence_that_decodes_on_demand() -> None:
    letters = Letters("abcde")
    assert len(letters) == 5
    assert letters[-1].key == "e"
    assert [s.key for s in letters] == list("abcde")
    letters.decoded.clear()
    part = letters[1:4]
    assert letters.decoded == []
    assert [s.key for s in part] == list("bcd")
    assert [s.key for s in letters[::-2]] == list("eca")
    for index in (5, -6):
        with pytest.raises(IndexError):
            letters[index]


def test_a_subset_is_made_of_samples_like_the_whole() -> None:
    letters = Letters("abcde", [Path("x")])
    part = Subset(letters, [4, 0, 3])
    assert part.keys == ("e", "a", "d")
    assert part.labels == (0, 0, 1)
    assert part.files == letters.files
    assert part[-1].key == "d"
    assert int(part[2].images["hr"][0, 0, 0, 0]) == 3
    again = part[1:]
    assert isinstance(again, Subset)
    assert again.keys == ("a", "d")
    assert again.labels == (0, 1)
    assert [s.key for s in again] == ["a", "d"]
    with pytest.raises(IndexError):
        part[3]
    assert Subset(Letters("ab", labelled=False), [0]).labels is None


def test_the_fingerprint_of_keys() -> None:
    assert fingerprint.fingerprint_keys(["b", "a"]) == hashlib.sha256(b"a\nb\n").hexdigest()
    assert fingerprint.fingerprint_keys(iter(["a", "b"])) == fingerprint.fingerprint_keys(
        ("b", "a")
    )
    # Keys are lines: where one ends matters.
    assert fingerprint.fingerprint_keys(["ab", "c"]) != fingerprint.fingerprint_keys(["a", "bc"])
    assert fingerprint.fingerprint_keys(["a", "a"]) != fingerprint.fingerprint_keys(["a"])


def test_the_stamp_changes_when_a_file_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(b"one")
    letters = Letters("ab", [path])
    before = letters.stamp()
    assert letters.stamp() == before
    assert letters[:1].stamp() == before  # type: ignore[attr-defined]
    fact = path.stat()
    path.write_bytes(b"two")
    os.utime(path, ns=(fact.st_atime_ns, fact.st_mtime_ns + 1_000_000))
    assert letters.stamp() != before
    path.write_bytes(b"longer")
    os.utime(path, ns=(fact.st_atime_ns, fact.st_mtime_ns))
    assert letters.stamp() != before
    assert Letters("ab").stamp() == Letters("cd").stamp()


def test_joined_splits_are_one_set_whatever_the_ratio(tmp_path: Path) -> None:
    files = [tmp_path / n for n in ("x", "y")]
    some = dataset.Joined({"train": Letters("da", files[:1]), "test": Letters("cb", files)})
    other = dataset.Joined({"test": Letters("a", files), "train": Letters("bdc", files)})
    assert some.keys == other.keys == ("a", "b", "c", "d")
    assert some.files == other.files == tuple(files)
    places = some.places()
    assert places == {"train": [3, 0], "test": [2, 1]}
    for name, part in some.parts.items():
        assert [some[i].key for i in places[name]] == [s.key for s in part]


def test_a_sample_of_two_splits_is_joined_once() -> None:
    both = dataset.Joined({"ten": Letters("ca"), "all": Letters("abc")})
    assert both.keys == ("a", "b", "c")
    assert both.places() == {"ten": [2, 0], "all": [0, 1, 2]}
