from __future__ import annotations

import re
from typing import Any

import pytest

from skybench.bench import groups, timing
from skybench.cli import output_bench

ROWS = [
    timing.ratio_row(
        "kNN, 5,400 queries in 21,600 x 1,024, k=200", [2.0], "faiss, flat", [1.0], "<= 1"
    ),
    timing.value_row("300 random tiles of a 4000 x 3600 PNG, after it", 1860, "tiles/s", ">= 300"),
    timing.ratio_row("a", [1.0], "nothing is not installed: pip install nothing", [], ">= 14"),
]


@pytest.fixture(autouse=True)
def _rows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        groups, "run_groups", lambda names, form, report: [r._replace(group=names[0]) for r in ROWS]
    )


def test_the_table_has_its_columns_and_is_no_wider_than_80(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output_bench.show_benchmarks(["heads"], "short", as_json=False)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines)) <= 80
    assert lines[1].split() == ["what", "ours", "peer", "s", "ratio", "must", "holds"]
    text = " ".join(" ".join(lines).split())
    assert re.search(r"2 faiss,( flat)? 1 2 <= 1 no", text)
    for words in ("heads", "1860 tiles/s", ">= 300 yes", "pip", "peer", "absent", "CPU time"):
        assert words in text


def test_the_document_has_machine_and_rows_and_becomes_a_page(skybench: Any) -> None:
    document = skybench("bench", "heads", "--json").json
    assert document["machine"]["size"] == "short"
    first, rate, absent = document["rows"]
    assert (first["group"], first["ratio"], first["holds"]) == ("heads", 2.0, "no")
    assert (absent["theirs"], absent["holds"]) == (None, "peer absent")
    lines = output_bench.as_markdown(document)
    assert lines[-2].startswith("| heads | 300 random tiles")
    assert f"{rate['ours']:g} tiles/s" in lines[-2]
    assert all(line.count("|") == lines[-1].count("|") for line in lines[2:])
