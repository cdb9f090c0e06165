from __future__ import annotations

from skybench.core import registry
from skybench.data.demo_folder import demo_root
from skybench.data.sample_arrays import sample_bytes
from skybench.plan.first_sample import look_at


def test_the_bytes_are_those_of_a_decoded_sample_but_for_its_days_and_place() -> None:
    samples = registry.dataset("ben_mm").open(demo_root("ben_mm"), "train")
    found = look_at(samples)
    assert found.shapes == {"s2": (1, 48, 48), "s1": (1, 48, 48)}
    assert found.image_bytes == {"s2": 12 * 48**2 * 2, "s1": 2 * 48**2 * 4}  # uint16, float32
    whole = sample_bytes(samples.read(0))
    assert 0 < whole - found.bytes(["s2", "s1"]) < 100
    assert found.bytes(["s1"]) == found.image_bytes["s1"] + found.target_bytes


def test_a_mask_is_one_byte_a_pixel() -> None:
    samples = registry.dataset("isaid").open(demo_root("isaid"), "train", 256)
    assert look_at(samples).target_bytes == 256**2
