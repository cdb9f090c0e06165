"""Fingerprints that former versions gave: a change of one makes every stored record stale.

They are those of revision 4cefe3b on demo data, which are seeded; those of tasks whose version was
raised on 2026-11-30 (segmentation, change, detection), of fine-tuning, of linear probes, of
SkySense's reduced variant and of frozen dense heads on demo data, which are newer, of that day. A
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
    ("skysense", "scene_classification", "eurosat", "frozen", ""): "f3c64c102f699eb9",
    ("skysense", "multimodal_classification", "ben_mm", "frozen", ""): "e12f0910929b6a0a",
    ("skysense", "semantic_segmentation", "isaid", "frozen", ""): "23f0583f75346557",
    ("skysense", "multimodal_segmentation", "dyna_mm", "frozen", ""): "2c1c39c3ea51215b",
    ("skysense", "change_detection", "levir_cd", "frozen", ""): "ca0b16e98277214d",
    ("skysense", "horizontal_detection", "dior", "frozen", ""): "665a52b359293eea",
    ("skysense", "oriented_detection", "dior_r", "frozen", ""): "445da5adf327bb31",
    ("skysense", "semantic_segmentation", "isaid", "finetune", ""): "b8137fed762637bf",
    ("rvsa", "scene_classification", "aid", "finetune", "50 %"): "36a7acfd8ab7a9f3",
    ("imagenet", "semantic_segmentation", "isaid", "frozen", ""): "5bba8f6e9caabcc6",
    ("croma", "multimodal_segmentation", "dyna_mm", "frozen", ""): "88fb6d73c75d5d29",
    ("imagenet", "change_detection", "levir_cd", "frozen", ""): "f9c0c99e32c9a8b0",
    ("croma", "multimodal_classification", "ben_mm", "knn", ""): "ceb4d4449eaf7637",
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
