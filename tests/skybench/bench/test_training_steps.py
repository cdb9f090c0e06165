from __future__ import annotations

import pytest

from skybench.bench import training_steps
from skybench.bench.timing import value_row


def test_every_kind_of_training_has_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("time_finetuning", "time_upernet", "time_detector", "count_decodes"):
        row = value_row(name, 1, "s")
        monkeypatch.setattr(training_steps, name, lambda form, row=row: row)
    found = [row.what for row in training_steps.time_training_steps("tiny")]
    assert found == ["time_finetuning", "time_upernet", "time_detector", "count_decodes"]
