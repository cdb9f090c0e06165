from __future__ import annotations

from dataclasses import replace

import pytest

from skybench.core import Protocol, Record, registry
from skybench.plan import protocols

KNN = Protocol("knn", False, "pooled", "votes")
TUNED = Protocol("tuned", True, "pyramid", "everything is trained")


def test_the_fine_tuning_protocol_is_the_one_that_trains_the_backbone() -> None:
    task = registry.task("scene_classification")
    other = replace(task, protocols={"knn": KNN, "tuned": TUNED})
    assert protocols.finetuning_protocol(other) == TUNED
    assert protocols.finetuning_protocol(replace(task, protocols={"knn": KNN})) is None
    found = protocols.finetuning_protocol(task)
    assert found is not None
    assert found.name == "finetune"
    assert protocols.protocol_names([other, task])[:2] == ["knn", "tuned"]


@pytest.mark.parametrize(
    ("task", "protocol", "trains"),
    [("scene_classification", "finetune", True), ("scene_classification", "knn", False),
     ("gone", "finetune", True), ("gone", "linear", False), ("scene_classification", "old", False)],
)  # fmt: skip
def test_a_record_outlives_its_plugin(task: str, protocol: str, trains: bool) -> None:
    record = Record("rcf", task, "aid", {"protocol": protocol}, "measured", "real", "f" * 64)
    assert protocols.protocol_of_record(record).trains_backbone is trains
