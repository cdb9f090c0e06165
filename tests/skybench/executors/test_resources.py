"""Resources of bundles: read as sbatch reads them, and the time that a job asks for."""

from __future__ import annotations

import pytest

from skybench.core import UsageError
from skybench.executors.resources import job_minutes, memory_of, resources_of
from skybench.plan.request import Request


def test_what_is_not_asked_for_has_a_default() -> None:
    found = resources_of(Request(), 2)
    assert tuple(found) == (4, 2.0, 0, 0.0, 1000, 0, {})
    assert found.environment == {"SKYBENCH_CORES": "4", "OMP_NUM_THREADS": "4"}


def test_other_names_are_options_of_the_scheduler() -> None:
    asked = "cpus=8,gpus=0.5,mem=1.5G,time=90m,array_limit=50,parallel=8,partition=a,mail_type=END"
    found = resources_of(Request(resources=dict(p.split("=") for p in asked.split(","))), 1)
    assert found == (8, 0.5, 3 << 29, 5400.0, 50, 8, {"partition": "a", "mail-type": "END"})


@pytest.mark.parametrize(
    "wrong", [{"cpus": "0"}, {"cpus": "many"}, {"mem": "much"}, {"gpus": "-1"}, {"time": "1x"}]
)
def test_what_is_no_resource_is_refused(wrong: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="Expected --resources"):
        resources_of(Request(resources=wrong), 1)


def test_memory_has_the_units_of_sbatch() -> None:
    assert [memory_of(t) for t in ("500", "500M", "2G", "1t", "3 GB")] == [
        500 << 20, 500 << 20, 2 << 30, 1 << 40, 3 << 30,
    ]  # fmt: skip


def test_a_job_asks_for_more_than_its_estimate_and_never_for_less_than_ten_minutes() -> None:
    assert [job_minutes(s) for s in (0, 100, 200.1, 3600, 86400)] == [10, 10, 11, 95, 2165]
