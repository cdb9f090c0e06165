from __future__ import annotations

import torch

from skybench.checks import adapter_probes
from skybench.core import DB, UINT8, ModelCard, Sensor
from tests.skybench._toys import Toy

SENSORS = (Sensor("hr", ("red", "green", "blue"), 0.5, UINT8), Sensor("s1", ("vv", "vh"), 10.0, DB))
CARD = ModelCard(
    "toy", "Toy", "extra", SENSORS, 3, ((3, 1), (3, 2)), "ours", "ours", "none",
    min_pixels=20, multiple=8, input_sizes={"s1": (30, 6)},
)  # fmt: skip


def test_noise_is_in_the_unit_at_the_smallest_size_and_the_same_again() -> None:
    batch = adapter_probes.noise_batch(CARD, ["hr", "s1"], 2, 3)
    assert {n: tuple(x.shape) for n, x in batch.images.items()} == {
        "hr": (2, 3, 3, 24, 32), "s1": (2, 3, 2, 30, 36),
    }  # fmt: skip
    assert 0 <= float(batch.images["hr"].min()) < 1
    assert -25 <= float(batch.images["s1"].min()) < -24
    assert batch.days["hr"].tolist() == [[18000, 18030, 18060]] * 2
    again = adapter_probes.noise_batch(CARD, ["hr"], 2, 3)
    assert torch.equal(again.images["hr"], batch.images["hr"])


def test_changes_of_an_input_have_an_effect_on_its_own_features() -> None:
    model = Toy(card=CARD)
    batch = adapter_probes.noise_batch(CARD, ["hr"])
    probes = adapter_probes.probe_inputs(model, batch)
    assert [p.change for p in probes] == [
        "values doubled and shifted", "bands reversed", "red and blue exchanged",
    ]  # fmt: skip
    assert min(p.effect for p in probes) > 0.1
    assert set(adapter_probes.probe_bands(model, batch, "hr")) == {"red", "green", "blue"}
    assert adapter_probes.ignored_changes(Toy(0.0, card=CARD), batch) == [
        f"hr: {p.change}" for p in probes
    ]


def test_a_change_to_nan_is_infinite() -> None:
    ones = (torch.ones(2),)
    assert adapter_probes.relative_change(ones, (torch.full((2,), torch.nan),)) == float("inf")
    assert adapter_probes.relative_change(ones, ones) == 0
