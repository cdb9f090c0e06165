from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from skybench.checks import model_check
from skybench.checks.model_check import CheckResult, run_model_checks
from skybench.core import UINT8, Batch, Features, ModelCard, Sensor
from skybench.core.model import Model
from skybench.weights.load import load_model

RGBN = Sensor("hr", ("red", "green", "blue", "nir"), 0.5, UINT8)
CARD = ModelCard("toy", "Toy", "extra", (RGBN,), 6, ((6, 2),), "ours", "ours", "none")


class Adapter(Model):
    """A convolution, with a fault where one is given: a change of images, or of features."""

    def __init__(
        self,
        before: Callable[[Tensor], Tensor] = lambda x: x,
        after: Callable[[Tensor], Tensor] = lambda x: x,
        card: ModelCard = CARD,
    ) -> None:
        super().__init__(card)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.conv = nn.Conv2d(4, 6, 2, stride=2)
        self.before, self.after = before, after
        self.eval()

    def forward(self, batch: Batch) -> Features:
        x = self.before(batch.images["hr"].mean(1) / 255)
        x = self.after(torch.relu(self.conv(x)))
        return Features(x.mean((-1, -2)), (x,))


def without_nir(x: Tensor) -> Tensor:
    return x * torch.tensor([1, 1, 1, 0])[:, None, None]


def failed(model: Model) -> dict[str, str]:
    return {r.check: r.note for r in run_model_checks(model) if r.verdict == "FAIL"}


def test_a_sound_adapter_passes() -> None:
    results = run_model_checks(Adapter())
    assert {r.verdict for r in results} == {"ok"}
    assert [r.check for r in results] == [
        "values doubled and shifted", "bands reversed", "red and blue exchanged",
        "every band counts", "declared shapes", "alone as in a batch", "gradients",
    ]  # fmt: skip
    assert all(r.change is None or math.isfinite(r.change) for r in results)


def test_every_tiny_network_of_a_model_passes() -> None:
    assert failed(load_model("imagenet", "random", "tiny")) == {}


def test_an_ignored_band_is_named() -> None:
    assert failed(Adapter(without_nir)) == {"every band counts": "ignored: nir"}


@pytest.mark.parametrize(
    ("model", "check", "note"),
    [
        (Adapter(lambda x: x - x.mean(0)), "alone as in a batch", "a sample depends on"),
        (Adapter(after=lambda x: x.detach()), "gradients", "does not require grad"),
        (Adapter(after=lambda x: x / 0), "declared shapes", "not all values are finite"),
        (Adapter(after=lambda x: x[..., :-1]), "declared shapes", "declared 2x6 2x6x8x8"),
        (Adapter(torch.zeros_like), "values doubled and shifted", "do not change"),
        (Adapter(lambda x: x[:, :3]), "values and bands", "RuntimeError"),
    ],
)
def test_a_fault_is_found(model: Model, check: str, note: str) -> None:
    assert note in failed(model)[check]


def test_a_model_that_averages_dates_gets_a_note() -> None:
    series = ModelCard(
        "toy", "Toy", "extra", (RGBN,), 6, ((6, 2),), "ours", "ours", "none", temporal=True
    )
    (dates,) = (r for r in run_model_checks(Adapter(card=series)) if r.check == "dates shuffled")
    assert (dates.verdict, dates.note) == ("note", "the order of dates does not count")


def test_without_parameters_there_is_nothing_to_train() -> None:
    (last,) = model_check._gradients(Adapter().requires_grad_(False))
    note = "the model has no trainable parameters"
    assert last == CheckResult("gradients", "all", None, "note", note)
