from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from skybench.core import CannotRun, SkybenchError, registry
from skybench.plan.located_weights import locate_weights
from skybench.plan.request import Request


def test_weights_are_a_file_or_random_or_none(tmp_path: Path) -> None:
    card = registry.model("caco").CARD
    demo = Request(models=["caco"], data="demo")
    assert locate_weights(card, "tiny", demo) == ("random", "random")
    assert locate_weights(registry.model("rcf").CARD, "full", demo) == ("none", "none")
    file = tmp_path / "own.pth"
    file.write_bytes(b"weights")
    digest = hashlib.sha256(b"weights").hexdigest()
    given = Request(models=["caco"], data="demo", weights={"caco": str(file)})
    assert locate_weights(card, "tiny", given) == (str(file), digest)


def test_what_nobody_can_have_cannot_run_and_what_is_missing_is_said() -> None:
    real = Request(models=["all"])
    withheld = [
        n for n in registry.names("baselines")
        if (w := registry.model(n).CARD.weights) and w.withheld
    ]  # fmt: skip
    assert withheld
    with pytest.raises(CannotRun):
        locate_weights(registry.model(withheld[0]).CARD, "full", real)
    with pytest.raises(SkybenchError, match="weights of scale_mae are not on this machine"):
        locate_weights(registry.model("scale_mae").CARD, "full", real)
