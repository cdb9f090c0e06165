"""Fine-tuning: every task learns a few samples by heart, and gradients go where they should."""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import pytest
import torch

from skybench.core.dataset import Samples
from skybench.core.model import Model
from skybench.weights.load import load_model

from ._finetune import Blocks, Learned, Objects, card_of, learn, score, task_of

RGB, S2, SEVERAL = ("ssl4eo", "tiny_rgb"), ("ssl4eo", "tiny"), ("galileo", "tiny")
# Where parameters of the networks begin that no gradient reaches: of weather, relief, land cover
# and the like, which no dataset has.
UNREACHED = {
    SEVERAL: (
        *("net.sp_", "net.t_", "net.st_"),
        *("net.space_embed.", "net.time_embed.", "net.static_embed."),
    )
}


class Case(NamedTuple):
    """How a task learns by heart, and how well it must."""

    task: str
    dataset: str  # whose card the made samples have
    network: tuple[str, str]
    size: int
    images: int
    dates: int
    epochs: int
    lr: float
    least: float  # main score
    most: float  # loss of the last epoch, as a share of the first one's


# Dense heads have dropout in training, and a second loss of their auxiliary answers.
CASES = [
    Case("scene_classification", "eurosat", RGB, 32, 8, 1, 60, 1e-2, 100, 0.01),
    Case("scene_classification", "ben_s2", S2, 32, 8, 1, 150, 1e-1, 100, 0.05),
    Case("semantic_segmentation", "potsdam", RGB, 64, 8, 1, 60, 1e-2, 95, 0.15),
    Case("horizontal_detection", "dior", RGB, 96, 2, 1, 70, 4e-3, 80, 0.25),
    Case("oriented_detection", "dior_r", RGB, 96, 2, 1, 90, 4e-3, 90, 0.25),
    Case("change_detection", "levir_cd", RGB, 64, 8, 2, 50, 1e-2, 98, 0.05),
    Case("change_detection", "dyna_s2", S2, 64, 2, 3, 60, 2e-2, 95, 0.15),
    Case("multimodal_segmentation", "pastis_mm", SEVERAL, 32, 2, 2, 80, 1e-2, 95, 0.2),
    Case("multimodal_classification", "ben_mm", SEVERAL, 16, 8, 1, 150, 1e-1, 100, 0.05),
]


def samples_of(case: Case) -> Samples:
    card = card_of(case.dataset)
    if case.task in ("horizontal_detection", "oriented_detection"):
        return Objects(card, case.task)
    return Blocks(card, case.task, case.images, case.dates)


def network(name: str, variant: str) -> Model:
    """One in which no parameter is 0: a branch may begin with that, and gets no gradient then."""
    model = load_model(name, "random", variant)
    made = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += 0.02 * torch.randn(parameter.shape, generator=made)
    return model


@pytest.fixture(scope="module", params=CASES, ids=[f"{c.task}/{c.dataset}" for c in CASES])
def trained(request: pytest.FixtureRequest) -> tuple[Case, Learned]:
    """A training by the task's own recipe for demo data, without augmentation."""
    case: Case = request.param
    task, samples = task_of(case.task), samples_of(case)
    (recipe, *_) = task.recipes(samples.card, "finetune", True)
    recipe = replace(
        recipe, size=case.size, epochs=case.epochs, lr=case.lr, batch=len(samples), augment=(),
        validate=0, state="last",
    )  # fmt: skip
    if recipe.width:
        recipe = replace(recipe, width=32)
    return case, learn(task, recipe, network(*case.network), samples)


def test_a_few_samples_are_learned_by_heart(trained: tuple[Case, Learned]) -> None:
    case, learned = trained
    samples = samples_of(case)
    share, main = (
        learned.losses[-1] / learned.losses[0],
        score(task_of(case.task), learned, samples),
    )
    assert share <= case.most, main
    assert main >= case.least
    assert not learned.model.training


def test_gradients_reach_all_that_learns_and_nothing_else(trained: tuple[Case, Learned]) -> None:
    case, learned = trained
    parameters = dict(learned.loss.named_parameters())
    above = ("net.layer4.",) if case.dataset == "levir_cd" else ()  # BIT takes the third of four
    never = tuple(f"backbone.{name}" for name in (*UNREACHED.get(case.network, ()), *above))
    wanted = {n for n, p in parameters.items() if p.requires_grad and not n.startswith(never)}
    assert {n.partition(".")[0] for n in wanted} == {"backbone", "head"}
    assert {*learned.reached} == wanted
    # Detectors draw which anchors and regions they learn from: a level may have none in a step.
    late = {n for n, step in learned.reached.items() if step > 1}
    assert all(n.startswith("head.") and "detection" in case.task for n in late), late
    now = learned.model.state_dict()
    for name, was in learned.before.items():
        parameter = parameters.get(f"backbone.{name}")
        learns = parameter is not None and f"backbone.{name}" in wanted
        assert torch.equal(now[name], was) != learns, name
