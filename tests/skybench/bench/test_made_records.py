from __future__ import annotations

from pathlib import Path

import pytest

from skybench.bench.made_records import write_records
from skybench.records import predictions, store


def test_records_are_read_and_each_is_another_cell(tmp_path: Path) -> None:
    write_records(tmp_path, 300)
    records, skipped = store.read_records(tmp_path)
    assert (len(records), len(skipped)) == (300, 0)
    assert len({(r.model, r.dataset, r.recipe["fraction"]) for r in records}) == 300


def test_predictions_are_those_of_the_record(tmp_path: Path) -> None:
    write_records(tmp_path, 2, images=50)
    records, skipped = store.read_records(tmp_path)
    assert (len(records), skipped) == (2, [])
    for record in records:
        assert record.intervals["oa"][0] < record.scores["oa"] < record.intervals["oa"][1]
        assert (tmp_path / record.path.with_suffix(store.DRAWS)).is_file()  # as a run leaves it
        kept = predictions.load_predictions(record, tmp_path)
        assert kept.metrics[0].scores() == pytest.approx(record.scores)
