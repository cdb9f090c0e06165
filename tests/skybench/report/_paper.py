"""A cell of the paper and a record that may stand beside it: for several tests."""

from __future__ import annotations

from skybench.core import Record
from skybench.records.published import PaperCell

PLACE = PaperCell("aid", "scene_classification", "TR=20%", "RGB", "OA")
RECORD = Record(
    "gfm", "scene_classification", "aid", {"protocol": "finetune", "label": "20 %"}, "measured",
    "real", "f", scores={"oa": 91.5}, used={"sensors": ["hr"]},
)  # fmt: skip
