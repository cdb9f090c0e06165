from __future__ import annotations

import contextlib
import copy
import functools
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
import torch

from skybench.core import FitContext, Recipe, SkybenchError, UsageError
from skybench.heads.classifier import Finetuned
from skybench.training import activation_checkpointing
from skybench.training import step as stepping
from skybench.training.distributed import SingleProcess
from skybench.training.lr_schedules import Schedule, linear_decay
from skybench.training.step import Stepper, TrainingJob

from ._training import RECIPE, Net, trained

EIGHT = replace(RECIPE, batch=8)
OPTIMIZERS = {
    "": torch.optim.AdamW,
    "adam": torch.optim.Adam,
    "sgd=0.9": functools.partial(torch.optim.SGD, momentum=0.9),
    "sgd=0": torch.optim.SGD,
}


@pytest.mark.parametrize("micro", [1, 3, 4, 100])
def test_gradients_of_parts_make_the_step_of_the_whole_batch(micro: int) -> None:
    whole, numbers = trained(dropout=0.0)
    parts, other = trained(dropout=0.0, micro_batch=micro)
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
    ("precision", "message"), [("fp16", "needs a CUDA device"), ("int8", "Known: bf16, fp16, tf32")]
)
def test_a_precision_that_cannot_be_is_refused(precision: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        trained(replace(RECIPE, precision=precision))


def starved(
    most: int, saved: bool, recipe: Recipe = EIGHT
) -> tuple[Stepper, list[tuple[int, bool]]]:
    """A stepper on a device for `most` samples at once, twice as many if activations are not kept,
    and what it tried."""
    tried = []
    backbone = Net()

    def loss_of(indices: list[int], _: Any) -> torch.Tensor:
        tried.append((len(indices), stepper.recomputing))
        if len(indices) > (most if not stepper.recomputing else 1):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return backbone.vectors(torch.ones(len(indices), 3)).mean()

    setting = FitContext(0, backbone=backbone, recompute_activations=saved)
    stepper = Stepper(
        torch.nn.Linear(1, 1),
        recipe,
        setting,
        TrainingJob(loss_of, Schedule(linear_decay)),
    )
    return stepper, tried


def test_a_batch_that_does_not_fit_is_halved_until_it_does() -> None:
    stepper, tried = starved(2, saved=False)
    stepper(list(range(8)), None, 1.0)  # type: ignore[arg-type]
    assert tried == [(8, False), (4, False)] + [(2, False)] * 4
    assert stepper.micro == 2
    stepper(list(range(5)), None, 1.0)  # type: ignore[arg-type]
    assert [count for count, _ in tried[6:]] == [2, 2, 1]


@pytest.mark.parametrize("batch", [1, 2, 5, 9, 17])
@pytest.mark.parametrize("micro", [1, 2, 4])
def test_all_processes_take_a_batch_in_as_many_parts(batch: int, micro: int) -> None:
    """Shared batch normalisation and the join of gradients wait for all in each part."""
    counts, seen, weight = set(), set(), 0.0
    for rank in range(2):
        parts: list[list[int]] = []
        shares: list[float] = []
        backbone = Net()

        def loss_of(indices: list[int], _: Any, parts: Any = parts, net: Any = backbone) -> Any:
            parts.append(indices)
            return net.vectors(torch.ones(len(indices), 3)).mean() * 0 + 1

        class Half(SingleProcess):
            def backward(self, loss: torch.Tensor, shares: Any = shares) -> None:
                shares.append(loss.item() / 2)
                super().backward(loss)

        half = Half()
        half.rank, half.size = rank, 2
        setting = FitContext(0, backbone=backbone, workers=half, micro_batch=micro)
        stepper = Stepper(
            torch.nn.Linear(1, 1), RECIPE, setting, TrainingJob(loss_of, Schedule(linear_decay))
        )
        stepper(list(range(batch)), None, 1.0)  # type: ignore[arg-type]
        counts.add(len(parts))
        assert max(map(len, parts)) <= micro
        seen |= {i for part, share in zip(parts, shares, strict=True) if share for i in part}
        weight += sum(shares)
    assert len(counts) == 1
    assert seen == set(range(batch))
    assert weight == pytest.approx(1)


def test_a_classifier_learns_from_samples_one_by_one() -> None:
    """Normalised beside itself a sample would be 0, whatever it shows."""
    made = torch.Generator().manual_seed(0)
    truth = [i % 2 for i in range(16)]
    shown = torch.randn((16, 4), generator=made) + 2.0 * torch.tensor(truth)[:, None]

    class Shown:
        def __len__(self) -> int:
            return len(shown)

        def vectors(self, indices: Any) -> torch.Tensor:
            return shown[list(indices)]

        def target(self, index: int) -> int:
            return truth[index]

    recipe = replace(RECIPE, epochs=30, batch=8)
    for micro in (1, 3, 0):
        head = Finetuned(4, 2, False, recipe)
        head.fit(Shown(), None, FitContext(0, micro_batch=micro))  # type: ignore[arg-type]
        said = [int(x.argmax()) for x in head.predict(Shown())]  # type: ignore[arg-type]
        assert sum(a == b for a, b in zip(said, truth, strict=True)) >= 14, micro


def test_a_sample_that_does_not_fit_is_computed_twice_or_given_up(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    enabled: list[Any] = []

    def enable(model: Any) -> int:
        enabled.append(model)
        return 2

    monkeypatch.setattr(activation_checkpointing, "enable", enable)
    stepper, tried = starved(0, saved=False)
    stepper([0, 1], None, 1.0)  # type: ignore[arg-type]
    assert enabled == [stepper.backbone]
    assert tried[-2:] == [(1, True), (1, True)]
    monkeypatch.setattr(activation_checkpointing, "enable", lambda model: 0)
    stepper, _ = starved(0, saved=False)
    with pytest.raises(SkybenchError, match=r"single sample does not fit .* precision=bf16"):
        stepper([0, 1], None, 1.0)  # type: ignore[arg-type]


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_steps_are_those_of_torchs_own_optimizer(name: str) -> None:
    """Three of them: AdamW decays weights apart from the gradient, the others within it."""
    recipe = replace(RECIPE, optimizer=name, weight_decay=0.3, lr=0.02, clip=0.0, layer_decay=1.0)
    stepper, _ = starved(8, saved=False, recipe=recipe)
    backbone: Any = stepper.backbone
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone.load_state_dict(Net().state_dict())
    backbone.eval()  # no dropout
    other = copy.deepcopy(backbone)
    decays = [{"params": [p], "weight_decay": 0.3 * (p.ndim > 1)} for p in other.parameters()]
    theirs: Any = OPTIMIZERS[name](decays, lr=0.02)  # type: ignore[operator]
    for _ in range(3):
        stepper([0, 1, 2, 3], None, 1.0)  # type: ignore[arg-type]
        theirs.zero_grad()
        other.vectors(torch.ones(4, 3)).mean().backward()
        theirs.step()
    for mine, their in zip(backbone.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(mine, their)


@pytest.mark.parametrize("clip", [0.0, 0.01, 1e3])
def test_the_gradient_is_clipped_where_the_recipe_says_so(clip: float) -> None:
    norms = []
    stepper, _ = starved(8, saved=False, recipe=replace(RECIPE, clip=clip))

    def noted(*_: Any) -> None:
        gradients = [p.grad for p in stepper.backbone.parameters()]  # type: ignore[union-attr]
        norms.append(float(torch.stack([g.norm() for g in gradients if g is not None]).norm()))

    stepper.optimizer.step = noted  # type: ignore[assignment, method-assign]
    stepper([0, 1], None, 1.0)  # type: ignore[arg-type]
    assert 0.05 < norms[0] < 1e3 if clip != 0.01 else norms[0] == pytest.approx(0.01, rel=1e-3)


def test_a_whole_step_is_in_tf32_on_a_gpu_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[bool, str]] = []

    @contextlib.contextmanager
    def noted(on: bool, device: str) -> Iterator[None]:
        seen.append((on, device))
        yield
        seen.append((on, "end"))

    monkeypatch.setattr(stepping, "tf32_on", noted)
    weight = torch.nn.Linear(1, 1)

    def loss_of(indices: list[int], _: Any) -> torch.Tensor:
        loss: torch.Tensor = weight(torch.ones(len(indices), 1)).mean()
        loss.register_hook(lambda _: seen.append((True, "backward")))  # type: ignore[no-untyped-call]
        return loss

    recipe = replace(RECIPE, precision="tf32")
    stepper = Stepper(weight, recipe, FitContext(0), TrainingJob(loss_of, Schedule(linear_decay)))
    stepper([0, 1], None, 1.0)  # type: ignore[arg-type]
    assert seen == [(True, "cpu"), (True, "backward"), (True, "end")]


def test_a_loss_is_a_module_of_all_that_learns() -> None:
    backbone, head = Net(), torch.nn.Linear(5, 2)
    loss = stepping.LossModule(head, backbone, lambda *_: torch.zeros(()))
    assert {id(p) for p in loss.parameters()} == {
        id(p) for m in (head, backbone) for p in m.parameters()
    }


@pytest.mark.parametrize("number", range(1, 13))
def test_moments_that_do_not_fit_cost_another_try_and_no_number(
    number: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """AdamW's own half-made state would be a KeyError in the next try."""
    halves, expected = trained(dropout=0.0, micro_batch=2)
    zeros_like, made = torch.zeros_like, []

    def short(*given: Any, **named: Any) -> torch.Tensor:
        made.append(1)
        if len(made) == number:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return zeros_like(*given, **named)

    monkeypatch.setattr(torch, "zeros_like", short)
    found, numbers = trained(dropout=0.0)
    assert len(made) >= 12  # two of each of six parameters
    assert found.losses == halves.losses
    assert found.facts()["micro_batch"] == 2
    assert all(torch.equal(numbers[name], value) for name, value in expected.items())


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_moments_are_those_that_the_optimizer_makes(name: str) -> None:
    stepper, _ = starved(8, saved=False, recipe=replace(EIGHT, optimizer=name))
    backbone, head = stepper.backbone, stepper.groups[0]["params"]
    stepper(list(range(8)), None, 1.0)  # type: ignore[arg-type]
    assert not any(p in stepper.optimizer.state for p in head)  # no gradient, no state
    mine = [stepper.optimizer.state[p] for p in backbone.parameters()]  # type: ignore[union-attr]
    other = Net()
    theirs: Any = OPTIMIZERS[name](other.parameters())  # type: ignore[operator]
    other.vectors(torch.ones(8, 3)).mean().backward()  # type: ignore[no-untyped-call]
    theirs.step()

    def kinds(state: Any) -> Any:
        tensors = {n: v for n, v in state.items() if v is not None}  # of SGD without momentum
        return {n: (v.dtype, v.shape, v.stride(), v.device) for n, v in tensors.items()}

    assert [*map(kinds, mine)] == [kinds(theirs.state[p]) for p in other.parameters()]


def test_an_update_that_breaks_off_is_an_error_and_not_done_twice() -> None:
    stepper, tried = starved(8, saved=False)
    step, updated = stepper.optimizer.step, []

    def half(*given: Any) -> None:
        updated.append(step(*given))
        raise torch.OutOfMemoryError("CUDA out of memory")

    stepper.optimizer.step = half  # type: ignore[assignment, method-assign]
    with pytest.raises(SkybenchError, match=r"cannot be repeated.* --micro-batch than 8"):
        stepper(list(range(8)), None, 1.0)  # type: ignore[arg-type]
    assert len(updated) == len(tried) == 1
