from __future__ import annotations

from pathlib import Path

import pytest

from skybench.core import UsageError
from skybench.report.export import export_boxes
from tests.conftest import Made


def test_only_detections_can_be_exported(made: Made, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="scene_classification gives no boxes"):
        export_boxes(made("rcf", [True, False]), tmp_path, tmp_path / "out")
