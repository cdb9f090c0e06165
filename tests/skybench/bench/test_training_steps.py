from __future__ import annotations

import pytest

from skybench.bench import training_steps
from skybench.bench.timing import value_row


def test_every_kind_of_training_has_a_row(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("finetuning", "upernet", "detector"):
        row = value_row(name, 1, "s")
        monkeypatch.setattr(training_steps, f"time_{name}", lambda form, row=row: row)
    found = [row.what for row in training_steps.time_training_steps("tiny")]
    assert found == ["finetuning", "upernet", "detector"]
