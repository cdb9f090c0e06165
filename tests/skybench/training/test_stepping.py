from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch

from skybench import recompute, stepping
from skybench.core import Setting, SkybenchError, UsageError
from skybench.schedules import Schedule, rate
from skybench.stepping import Job, Stepper

from ._training import RECIPE, Net, trained


@pytest.mark.parametrize("micro", [1, 3, 4, 100])
def test_gradients_of_parts_make_the_step_of_the_whole_batch(micro: int) -> None:
    whole, numbers = trained(dropout=0.0)
    parts, other = trained(dropout=0.0, micro=micro)
    assert parts.losses == pytest.approx(whole.losses, abs=2e-5)
    for name, value in numbers.items():
        torch.testing.assert_close(other[name], value, rtol=1e-4, atol=1e-5)
    assert parts.facts().get("micro_batch", 4) == min(micro, 4)


def test_bfloat16_is_near_float32_and_not_the_same() -> None:
    made, _ = trained(replace(RECIPE, precision="bf16"), dropout=0.0)
    exact, _ = trained(dropout=0.0)
    assert made.losses != exact.losses
    assert made.losses == pytest.approx(exact.losses, abs=0.05)


@pytest.mark.parametrize(
    ("precision", "message"), [("fp16", "needs a CUDA device"), ("int8", "Known: bf16, fp16")]
)
def test_a_precision_that_cannot_be_is_refused(precision: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        trained(replace(RECIPE, precision=precision))


def starved(most: int, saved: bool) -> tuple[Stepper, list[tuple[int, bool]]]:
    """A stepper on a device for `most` samples at once, twice as many if activations are not kept,
    and what it tried."""
    tried = []
    backbone = Net()

    def loss_of(indices: list[int], _: Any) -> torch.Tensor:
        tried.append((len(indices), stepper.recomputing))
        if len(indices) > (most if not stepper.recomputing else 1):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return backbone.vectors(torch.ones(len(indices), 3)).mean()

    setting = Setting(0, backbone=backbone, recompute=saved)
    stepper = Stepper(
        torch.nn.Linear(1, 1), replace(RECIPE, batch=8), setting, Job(loss_of, Schedule(rate))
    )
    return stepper, tried


def test_a_batch_that_does_not_fit_is_halved_until_it_does() -> None:
    stepper, tried = starved(2, saved=False)
    stepper(list(range(8)), None, 1.0)  # type: ignore[arg-type]
    assert tried == [(8, False), (4, False)] + [(2, False)] * 4
    assert stepper.micro == 2
    stepper(list(range(5)), None, 1.0)  # type: ignore[arg-type]
    assert [count for count, _ in tried[6:]] == [2, 2, 1]


def test_a_sample_that_does_not_fit_is_computed_twice_or_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    enabled: list[Any] = []

    def enable(model: Any) -> int:
        enabled.append(model)
        return 2

    monkeypatch.setattr(recompute, "enable", enable)
    stepper, tried = starved(0, saved=False)
    stepper([0, 1], None, 1.0)  # type: ignore[arg-type]
    assert enabled == [stepper.backbone]
    assert tried[-2:] == [(1, True), (1, True)]
    monkeypatch.setattr(recompute, "enable", lambda model: 0)
    stepper, _ = starved(0, saved=False)
    with pytest.raises(SkybenchError, match=r"single sample does not fit .* precision=bf16"):
        stepper([0, 1], None, 1.0)  # type: ignore[arg-type]


def test_a_loss_is_a_module_of_all_that_learns() -> None:
    backbone, head = Net(), torch.nn.Linear(5, 2)
    loss = stepping.Loss(head, backbone, lambda *_: torch.zeros(()))
    assert {id(p) for p in loss.parameters()} == {
        id(p) for m in (head, backbone) for p in m.parameters()
    }
