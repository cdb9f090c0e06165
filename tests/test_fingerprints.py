"""Fingerprints that former versions gave: a change of one makes every stored record stale.

They are those of revision 4cefe3b on demo data, which are seeded; those of tasks whose version was
raised on 2026-11-30 (segmentation, change, detection), and of fine-tuning, of that day. A
fingerprint may change only together with the `version` of the card or task whose numbers changed;
say so in docs/log.md.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from skybench.plan.planner import Planner
from skybench.plan.request import Request

ROOT = Path(__file__).resolve().parent.parent
STORED = {
    ("skysense", "scene_classification", "eurosat", "frozen", ""): "205baaa996eab317",
    ("skysense", "multimodal_classification", "ben_mm", "frozen", ""): "4db59d7cec143c96",
    ("skysense", "semantic_segmentation", "isaid", "frozen", ""): "bd8eba845b76deb4",
    ("skysense", "multimodal_segmentation", "dyna_mm", "frozen", ""): "a51ef2df7e42bed0",
    ("skysense", "change_detection", "levir_cd", "frozen", ""): "ca0a466f0b12b49f",
    ("skysense", "horizontal_detection", "dior", "frozen", ""): "450034719a8ba0eb",
    ("skysense", "oriented_detection", "dior_r", "frozen", ""): "6c56b68cdd7b49f5",
    ("skysense", "semantic_segmentation", "isaid", "finetune", ""): "a7d219c16b283d61",
    ("rvsa", "scene_classification", "aid", "finetune", "50 %"): "36a7acfd8ab7a9f3",
    ("imagenet", "scene_classification", "resisc45", "knn", "10 %"): "a6c8db014663aa2a",
}


@pytest.mark.parametrize("known", STORED, ids=lambda k: f"{k[1]}-{k[2]}-{k[3]}")
def test_a_cell_has_the_fingerprint_of_former_versions(
    known: tuple[str, str, str, str, str],
) -> None:
    model, task, dataset, protocol, label = known
    request = Request([model], [task], datasets=[dataset], protocol=protocol, data="demo")
    found = [c.fingerprint[:16] for c in Planner(request).cells() if c.recipe.label == label]
    assert found == [STORED[known]]


def test_every_measured_record_is_read_and_lies_where_its_fingerprint_says() -> None:
    from skybench.records.store import parse_record

    paths = list((ROOT / "results" / "measured").glob("*/*/*.json"))
    assert len(paths) > 30
    for path in paths:
        record = parse_record(path.read_text(encoding="utf-8"))
        assert path.as_posix().endswith(record.path.as_posix())
        assert json.loads(path.read_text())["fingerprint"].startswith(path.stem.rpartition(".")[2])
