from __future__ import annotations

import pytest

from skybench.bench import whole_job
from skybench.bench.whole_job import CASES, _Case


def test_the_job_and_the_script_are_timed_and_agree(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CASES, "tiny", _Case(60, 2, 32, 128, (1.0,), 1))
    job, heads, apart = whole_job.time_whole_job("tiny")
    assert job.what.startswith("100 images of 32 pixels, 1 fractions, 1 seeds, 13 lambdas")
    assert heads.what == "the same after features"
    assert heads.theirs is not None
    assert job.theirs is not None
    assert heads.theirs < job.theirs  # the script's features are in the first alone
    assert (job.peer, job.must) == ("careful script", ">= 5")
    assert apart.unit == "points"
    assert apart.ours <= 5.1  # one of 20 test images
